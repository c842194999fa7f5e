"""Does it find what is known? Drug-disease pairs of many texts, ranked, against lists of indications.

    python benchmarks/known_indications.py --model MODEL --data ../shared/data [--output FOLDER] [--sample N] [--gold]
                                           [--diseases development]

All abstracts of BC5CDR, BioRED, NCBI-disease and NLM-Gene, and titles and abstracts of randomised trials (Evidence
Inference), each once and without their annotations, pass `textome bulk` with the bundled entity model and a model
for relations; a second call goes on where the first was. They are read in the order of a hash of their ids, so that the
first N, which `--sample` takes, are drawn from all. The pairs are ranked by

    evidence    the relation `treats` as `textome evidence` ranks it: by the documents that support it, those against it and
                those that mention both
    probability the same pairs by their probability, and
    sum         by the sum of confidences of the documents that support it, less those against it
    co-mention  the number of documents with a sentence that has both
    PMI         pointwise mutual information of the two in documents (Church and Hanks 1990), of pairs in two documents

With --gold mentions and identifiers are those of the corpora (the PubTator files alone), and so are the relations, of which
BioRED has those of treatment, or with --model a model's relations between these mentions.

The pairs are compared with the indications of PharmacotherapyDB (categories DM and SYM) and of DrugCentral by identifiers:
a pair is right where the list has it, or the drug with a broader disease. Of each ranking only pairs count whose drug and
disease the list names somewhere; of others it says nothing. Recall is of the known pairs that any sentence mentions
together. `--diseases` takes the pairs of one half of the diseases, by a hash of their identifiers: the ranking of
`textome evidence` was chosen on the one, `development`, and `test` is the other.
Neither list says since when a pair is known, so evidence cannot be compared with later indications.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from math import log
from pathlib import Path

from textome.bulk.output import write_chunk
from textome.bulk.query import Results
from textome.documents import Document
from textome.evidence.concepts import Concepts
from textome.evidence.known import Known, read_known
from textome.evidence.pairs import Pair, read_pairs
from textome.evidence.predicates import type_named
from textome.evidence.statements import Concept
from textome.formats import Quarantine, read_documents, write_documents
from textome.runtime.model import Model
from textome.vocabularies import open_vocabulary

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "recipes"))
from relation_corpora import TRIALS, passages_of  # noqa: E402

ABSTRACTS = [
    *(f"re/BC5CDR-relations/CDR_{part}Set.PubTator.txt.gz" for part in ("Training", "Development", "Test")),
    *(f"re/BioRED/BioRED.zip!BioRED/{part}.PubTator.txt" for part in ("Train", "Dev", "Test")),
    *(f"link/AIONER/{name}.PubTator.gz" for name in ("NCBIdisease_TrainDev", "NCBIdisease_Test", "NLMgene_Train")),
]
LISTS = {
    "PharmacotherapyDB": ("drug/PharmacotherapyDB-catalog/catalog/indications.tsv", ("DM", "SYM")),
    "DrugCentral": ("drug/DrugCentral/indications.tsv", ("DM", "SYM")),
}
RANKS = (50, 100, 500)
HALVES = ("development", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "known-indications")
    parser.add_argument("--sample", type=int, help="only so many of the texts")
    parser.add_argument("--model", help="a bundle that finds relations; default: the bundled one, with --gold none")
    parser.add_argument("--gold", action="store_true", help="mentions and relations of the corpora, no model")
    parser.add_argument("--diseases", choices=["all", *HALVES], default="all")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    texts, results = options.output / "texts.jsonl", options.output / "annotated"
    if options.gold:
        gold = options.output / "gold"
        drawn = sorted(annotated(options.data), key=_by_hash)[: options.sample]
        if options.model:
            model = Model.load(options.model)
            drawn = list(model(Document(item.id, item.passages, item.entities) for item in drawn))
        located = (("corpora", number, document) for number, document in enumerate(drawn, 1))
        write_chunk(gold, "parquet", 1, 0, located)
        report(Results(gold), options.data, options.diseases)
        return
    if not texts.exists():
        drawn = sorted(documents(options.data), key=_by_hash)[: options.sample]
        write_documents(drawn, texts, "jsonl")
    command = [sys.executable, "-m", "textome.cli.main", "bulk", str(texts), "--output", str(results)]
    command += ["--workers", str(options.workers), "--model", "default", "--model", options.model or "relations"]
    if subprocess.run(command, check=False).returncode not in (0, 1):
        sys.exit(2)
    report(Results(results), options.data, options.diseases)


def report(results: Results, data: Path, diseases: str) -> None:
    concepts = Concepts(open_vocabulary("default"))
    every = [pair for pair in read_pairs(results) if pair.supporting and _in_half(pair, diseases)]
    stated = {verb: [pair for pair in every if pair.verb == verb] for verb in ("treats", "causes")}
    related = stated["treats"]
    rankings = {
        "evidence": related,
        "probability": sorted(related, key=lambda pair: (pair.probability, len(pair.supporting)), reverse=True),
        "sum": sorted(related, key=_sum, reverse=True),
        **{way: [pair for pair in pairs if _in_half(pair, diseases)] for way, pairs in co_mentions(results).items()},
    }
    (count,) = next(results.ask("SELECT count(*) FROM documents").rows)
    print(f"{count:,} documents\n")
    head = "".join(f" {rank} |" for rank in RANKS)
    for name, (path, categories) in LISTS.items():
        known = read_known(str(data / path), concepts, Quarantine(), categories)
        together = [pair for pair in rankings["co-mention"] if known.holds(pair, concepts)]
        print(f"{name}: {len(together):,} of its pairs stand in one sentence somewhere\n")
        print(f"| ranked by | pairs in the list's terms | average precision | precision of the first |{head}", end="")
        print(f" recall of the first |{head}")
        print("|---" * (5 + 2 * len(RANKS)) + "|")
        for way, pairs in rankings.items():
            print(_row(way, pairs, known, concepts, len(together)))
        covered = [pair for pair in stated["causes"] if known.covers(pair, concepts)]
        with_co_mentions = sorted(covered, key=lambda pair: pair.score + pair.co_mentions, reverse=True)
        first, other = (
            sum(known.holds(pair, concepts) for pair in pairs[:50]) for pairs in (covered, with_co_mentions)
        )
        print(f"\nOf the first 50 pairs of `causes` {first} are indications; if co-mentions counted, {other}.\n")


def _row(way: str, pairs: Sequence[Pair], known: Known, concepts: Concepts, total: int) -> str:
    marks = [known.holds(pair, concepts) for pair in pairs if known.covers(pair, concepts)]
    counts = f"{len(marks):,}, {sum(marks):,} known"
    precisions = [f"{100 * sum(marks[:rank]) / rank:.1f}" if len(marks) >= rank else "-" for rank in RANKS]
    recalls = [f"{100 * sum(marks[:rank]) / max(1, total):.1f}" for rank in RANKS]
    ranks_of_known = [rank for rank, mark in enumerate(marks, 1) if mark]
    average = sum(number / rank for number, rank in enumerate(ranks_of_known, 1)) / max(1, len(ranks_of_known))
    return "| " + " | ".join([way, counts, f"{100 * average:.1f}", "", *precisions, "", *recalls]) + " |"


def _in_half(pair: Pair, diseases: str) -> bool:
    return diseases == "all" or HALVES[sha256(pair.tail.key.encode()).digest()[0] % 2] == diseases


def _sum(pair: Pair) -> float:
    supporting, contradicting = (
        sum(max(item.confidence for item in items) for items in documents.values())
        for documents in (pair.supporting, pair.contradicting)
    )
    return supporting - contradicting


def co_mentions(results: Results) -> dict[str, list[Pair]]:
    """The pairs of chemical and disease in one sentence, by number of documents, and by mutual information."""
    (total,) = next(results.ask("SELECT count(*) FROM documents").rows)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    query = """SELECT type, coalesce(identifiers[1], lower(text)), count(DISTINCT (source, record)) FROM entities
        WHERE type IN ('Chemical', 'Disease') GROUP BY ALL"""
    for type, key, number in results.ask(query).rows:
        counts[type, key] = number
    rows = list(results.ask("SELECT chemical, disease, documents FROM chemical_disease_pairs").rows)
    pairs = [
        (Pair(Concept("Chemical", drug, drug), "mentioned_with", Concept("Disease", disease, disease)), number)
        for drug, disease, number in rows
    ]

    def information(item: tuple[Pair, int]) -> float:
        pair, number = item
        return log(number * total / (counts["Chemical", pair.head.key] * counts["Disease", pair.tail.key]))

    often = sorted((item for item in pairs if item[1] >= 2), key=lambda item: (-information(item), item[0].head.key))
    by_count = sorted(pairs, key=lambda item: (-item[1], item[0].head.key, item[0].tail.key))
    return {"co-mention": [pair for pair, _ in by_count], "PMI": [pair for pair, _ in often]}


def _by_hash(document: Document) -> bytes:
    return sha256(document.id.encode()).digest()


def annotated(data: Path) -> Iterator[Document]:
    """The abstracts with the annotations of their corpora, each id once, types by the names of the bundled model."""
    seen: set[str] = set()
    for path in ABSTRACTS:
        for document in read_documents(f"{data}/{path}", "pubtator", Quarantine()):
            if document.id not in seen:
                seen.add(document.id)
                entities = [replace(entity, type=type_named(entity.type)) for entity in document.entities]
                yield document.with_annotations(entities, document.relations)


def documents(data: Path) -> Iterator[Document]:
    """All texts, each id once, without annotations."""
    seen: set[str] = set()
    for path in ABSTRACTS:
        for document in read_documents(f"{data}/{path}", "pubtator", Quarantine()):
            if document.id not in seen:
                seen.add(document.id)
                yield Document(document.id, document.passages)
    for document in read_documents(f"{data}/{TRIALS}"):
        if passages := tuple(passages_of(document.text)):
            yield Document(document.id, passages)


if __name__ == "__main__":
    main()

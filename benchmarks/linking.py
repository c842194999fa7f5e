"""Identifiers of gold mentions on the public corpora: the table of docs/results/linking.md.

    python benchmarks/linking.py --data ../shared/data
    textome vocabulary build ../shared/data/vocab/gene_info/*.gz --output genes.vocab
    python benchmarks/linking.py --data ../shared/data --vocabulary default --vocabulary genes.vocab

strict       of the mentions with an identifier, how many get exactly the corpus's set; the linker always answers
lenient      the same as BELB counts: the first identifier is one of the corpus's
as written   strict without the successors of identifiers that MeSH has replaced, which count otherwise, as in BELB
unseen       strict over mentions of concepts that no training document has
document F1  over pairs of document and identifier, at the default threshold: mentions without a concept count

NCBI-disease, BC5CDR, BioRED and GNormPlus: the bundled vocabulary has learnt names from their training parts, and from no
document of any test part. NLM-Chem, LINNAEUS, SPECIES-800 and BioID, and all cell lines: it has learnt nothing from them.
SPECIES-800 is the 134 documents of its test part that AIONER's training file has. With --together, also end to end with the
bundled model. What linking costs, in time and memory, is what benchmarks/steps.py prints.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from textome.documents import Document, Entity, Passage, Span
from textome.evaluation.linking import link_gold_mentions, score_linking, score_together, with_current_identifiers
from textome.formats import Quarantine, read_documents
from textome.steps import load_step
from textome.steps.linking import Linking, section_type

TESTS = (
    ("NCBIdisease_Test", ("Disease",), ("NCBIdisease_TrainDev", "BC5CDR_TrainDev", "BioRED_TrainDev")),
    ("BC5CDR_Test", ("Disease", "Chemical"), ("NCBIdisease_TrainDev", "BC5CDR_TrainDev", "BioRED_TrainDev")),
    ("NLMchem_Test", ("Chemical",), ("BC5CDR_TrainDev", "BioRED_TrainDev")),
    (
        "BioRED_Test",
        ("Disease", "Chemical", "Gene", "Species", "CellLine"),
        ("NCBIdisease_TrainDev", "BC5CDR_TrainDev", "BioRED_TrainDev", "GNormPlus_Train", "NLMgene_Train"),
    ),
    ("GNormPlus_Test", ("Gene",), ("BioRED_TrainDev", "GNormPlus_Train", "NLMgene_Train")),
    ("Linnaeus_Test", ("Species",), ("BioRED_TrainDev",)),
    ("SPECIES_Train", ("Species",), ("BioRED_TrainDev",)),
    ("BioID_Train_revision", ("CellLine",), ()),
)
TOGETHER = ("NCBIdisease_Test", "BC5CDR_Test", "BioRED_Test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vocabulary", action="append", help="an index, the preferred first; default: the bundled one")
    parser.add_argument("--together", action="store_true", help="also end to end with the bundled model")
    arguments = parser.parse_args()

    corpora = Corpora(arguments.data / "link")
    vocabularies = arguments.vocabulary or ["default"]
    linking = load_step("linking", vocabularies=vocabularies)
    always = Linking(vocabularies=tuple(vocabularies), min_score=0.0)
    head = f"{'mentions':>9}{'strict':>8}{'lenient':>9}{'as written':>12}{'seen':>7}{'unseen':>8}"
    print(f"{'test':21}{'type':10}{head}{'document F1':>13}{'ms/doc':>8}")
    for name, types, training in TESTS:
        documents = corpora.read(name)
        seen = identifiers(corpora, training, always)
        type_of = only(types)
        started = time.process_time()
        gold, linked = link_gold_mentions(linking, documents)
        milliseconds = 1e3 * (time.process_time() - started) / len(documents)
        current, answers = link_gold_mentions(always, documents)
        scores = score_linking(current, answers, type_of, seen)
        as_written = score_linking(documents, answers, type_of)
        thresholded = score_linking(gold, linked, type_of, seen)
        for type in types:
            score = scores[type]
            print(
                f"{name:21}{type:10}{score.mentions:9,}{100 * score.strict:8.1f}{100 * score.lenient:9.1f}"
                f"{100 * as_written[type].strict:12.1f}"
                f"{100 * score.strict_seen:7.1f}{100 * score.strict_unseen:8.1f}{100 * thresholded[type].document_f1:13.1f}"
                f"{milliseconds:8.1f}",
                flush=True,
            )
    if arguments.together:
        together(corpora, vocabularies)


class Corpora:
    """AIONER's corpora in a folder, with overlaps.tsv."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with (folder / "overlaps.tsv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        self._s800_test = {
            row["document"]
            for row in rows
            if row["file"] == "SPECIES_Train" and row["stands_also_in"].endswith("s800 test")
        }

    def read(self, name: str) -> list[Document]:
        path = self._folder / "AIONER" / f"{name}.PubTator.gz"
        documents = joined(read_documents(path, "pubtator", Quarantine()))
        if name == "SPECIES_Train":
            return [document for document in documents if document.id in self._s800_test]
        return documents


def joined(documents: Iterable[Document]) -> list[Document]:
    """Each article once: NLM-Chem has a block for each passage of one."""
    articles = []
    for name, blocks in groupby(documents, key=lambda document: document.id):
        passages: list[Passage] = []
        entities: list[Entity] = []
        offset = 0
        for block in blocks:
            passages += [replace(passage, offset=passage.offset + offset) for passage in block.passages]
            for entity in block.entities:
                spans = tuple(Span(start + offset, end + offset) for start, end in entity.spans)
                entities.append(replace(entity, spans=spans))
            offset += len(block.text) + 1
        articles.append(Document(name, tuple(passages), tuple(entities)))
    return articles


def only(types: Sequence[str]) -> Callable[[str], str | None]:
    """The type that a corpus's type counts under, where it is one of these."""
    return lambda name: section_type(name, types)


def identifiers(corpora: Corpora, names: Sequence[str], linking: Linking) -> dict[str, set[str]]:
    """The identifiers in training documents, by type."""
    found: dict[str, set[str]] = {}
    for name in names:
        for document in with_current_identifiers(corpora.read(name), linking.current):
            for entity in document.entities:
                type = section_type(entity.type, ("Disease", "Chemical", "Gene", "Species"))
                if type:
                    found.setdefault(type, set()).update(entity.curies)
    return found


def together(corpora: Corpora, vocabularies: Sequence[str]) -> None:
    """End to end: the bundled model's mentions with the linker's identifiers, on raw text."""
    import textome

    pipeline = textome.load()
    linking = Linking(vocabularies=tuple(vocabularies))
    print(f"{'end to end':18}{'type':10}{'precision':>10}{'recall':>8}{'F1':>7}")
    for name, types, _ in TESTS:
        if name not in TOGETHER:
            continue
        gold = with_current_identifiers(corpora.read(name), linking.current)
        texts = [document.with_annotations([]) for document in gold]
        annotated = list(linking(pipeline(texts)))
        for type, (precision, recall, f1) in score_together(gold, annotated, only(types)).items():
            print(f"{name:18}{type:10}{100 * precision:10.1f}{100 * recall:8.1f}{100 * f1:7.1f}", flush=True)


if __name__ == "__main__":
    main()

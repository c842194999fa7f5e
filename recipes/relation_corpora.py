"""Makes the training and development files of recipes/bundled_relations.toml, with the documents of test parts left out.

    python recipes/relation_corpora.py [--data FOLDER] [--output runs/relation-corpora] [--trials N]

BioRED's training part loses the documents that stand in BC5CDR's test part, BC5CDR's training and development parts
those that stand in BioRED's test or development part. 100 documents of BC5CDR's development part become `BC5CDR-dev.txt`,
by which models are chosen; the others are trained on. Two documents are the same where their PMIDs are, or where
`link/overlaps.tsv` says so.

`unlabelled.jsonl` has texts without relations, from which a large model can teach a small one: the abstracts of NLM-Gene's
and GNormPlus's training parts and of NCBI-disease's training and development parts, and N abstracts of randomised trials
(Evidence Inference), none of which stands in a file above or in a test part. Their entities are those of the bundled model,
with identifiers; a text has at least three of the pairs of types that a relation may hold between.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from itertools import combinations, islice
from pathlib import Path

from textome import load
from textome.documents import Document, Passage
from textome.formats import Quarantine, read_documents, write_documents
from textome.formats.reading.sources import atomic_file

ROOT = Path(__file__).resolve().parent.parent
BIORED = "re/BioRED/BioRED.zip!BioRED/{}.PubTator.txt"
BC5CDR = "re/BC5CDR-relations/CDR_{}Set.PubTator.txt.gz"
CHOSEN_ON = 100
UNLABELLED = [
    f"link/AIONER/{name}.PubTator.gz" for name in ("NLMgene_Train", "GNormPlus_Train", "NCBIdisease_TrainDev")
]
# A text that teaches has so many pairs of concepts at least, of these types.
FEWEST_PAIRS = 3
RELATED = {
    frozenset(pair)
    for pair in (
        ("Chemical",),
        ("Gene",),
        ("Variant",),
        ("Chemical", "Disease"),
        ("Chemical", "Gene"),
        ("Chemical", "Variant"),
        ("Disease", "Gene"),
        ("Disease", "Variant"),
    )
}
TRIALS = "pretrain/Evidence-Inference-fulltext/evidence-inference-txt.tar.xz!txt_files"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "relation-corpora")
    parser.add_argument("--trials", type=int, default=600, help="abstracts of trials in unlabelled.jsonl")
    options = parser.parse_args()
    data, output = Path(options.data), Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    biored = {
        part: list(read_documents(f"{data}/{BIORED.format(part)}", "pubtator")) for part in ("Train", "Dev", "Test")
    }
    bc5cdr = {
        part: list(read_documents(data / BC5CDR.format(part), "pubtator"))
        for part in ("Training", "Development", "Test")
    }
    in_bc5cdr_test = _ids(bc5cdr["Test"]) | _listed(data, "BioRED_TrainDev", "BC5CDR_Test")
    in_biored = _ids(biored["Test"]) | _ids(biored["Dev"]) | _listed(data, "BC5CDR_TrainDev", "BioRED_Test")
    in_biored |= _listed(data, "BC5CDR_TrainDev", "BC5CDR_Test")
    development = [item for item in bc5cdr["Development"] if item.id not in in_biored]
    files = {
        "BioRED-train": [item for item in biored["Train"] if item.id not in in_bc5cdr_test],
        "BioRED-dev": [item for item in biored["Dev"] if item.id not in in_bc5cdr_test],
        "BC5CDR-train": [item for item in bc5cdr["Training"] if item.id not in in_biored] + development[CHOSEN_ON:],
        "BC5CDR-dev": development[:CHOSEN_ON],
    }
    report = {}
    for name, documents in files.items():
        write_documents(documents, f"{output}/{name}.txt", "pubtator")
        report[f"{name}.txt"] = {
            "documents": len(documents),
            "relations": sum(len(item.relations) for item in documents),
        }
    known = {item.id for items in (*biored.values(), *bc5cdr.values()) for item in items}
    texts = [item for item in unlabelled(data, options.trials) if item.id not in known]
    write_documents(texts, str(output / "unlabelled.jsonl"), "jsonl")
    report["unlabelled.jsonl"] = {"documents": len(texts)}
    with atomic_file(output / "report.json") as stream:
        stream.write((json.dumps(report, indent=2) + "\n").encode())
    print(json.dumps(report, indent=2))


def unlabelled(data: Path, trials: int) -> Iterator[Document]:
    """Texts with the entities of the bundled model, each id once; of trials only so many, by a hash of their ids."""
    pipeline = load()
    of_tests = _listed(data, "NCBIdisease_TrainDev") | _listed(data, "NLMgene_Train") | _listed(data, "GNormPlus_Train")
    abstracts = {
        document.id: Document(document.id, document.passages)
        for path in UNLABELLED
        for document in read_documents(f"{data}/{path}", "pubtator", Quarantine())
        if document.id not in of_tests
    }
    articles = sorted(read_documents(f"{data}/{TRIALS}"), key=lambda item: sha256(item.id.encode()).digest())
    of_trials = (Document(item.id, tuple(passages_of(item.text))) for item in articles)
    for texts, most in ((abstracts.values(), len(abstracts)), (of_trials, trials)):
        rich = (document for document in pipeline(texts) if _num_pairs(document) >= FEWEST_PAIRS)
        yield from islice(rich, most)


def passages_of(article: str) -> Iterator[Passage]:
    """Title and abstract of an article whose passages have headings such as `ABSTRACT.METHODS:`."""
    offset = 0
    for block in article.partition("\n\nBODY")[0].split("\n\n"):
        heading, _, content = block.strip().partition(":")
        if (heading == "TITLE" or heading.startswith("ABSTRACT")) and (text := content.strip()):
            yield Passage(text, offset, heading.lower().replace("abstract.", ""))
            offset += len(text) + 1


def _num_pairs(document: Document) -> int:
    """How many pairs of concepts of a document could be related by their types."""
    concepts = {
        (entity.type, entity.identifiers[0].curie if entity.identifiers else entity.text.lower())
        for entity in document.entities
    }
    return sum(frozenset((one[0], two[0])) in RELATED for one, two in combinations(concepts, 2))


def _ids(documents: list[Document]) -> set[str]:
    return {document.id for document in documents}


def _listed(data: Path, corpus: str, test: str | None = None) -> set[str]:
    """The documents of a corpus that stand in a test part, or in any other file, by `overlaps.tsv`."""
    with (data / "link" / "overlaps.tsv").open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return {row["document"] for row in rows if row["file"] == corpus and test in (None, row["stands_also_in"])}


if __name__ == "__main__":
    main()

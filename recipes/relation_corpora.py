"""Makes the training and development files of recipes/bundled_relations.toml, with the documents of test parts left out.

    python recipes/relation_corpora.py [--data FOLDER] [--output runs/relation-corpora]

BioRED's training part loses the documents that stand in BC5CDR's test part, BC5CDR's training and development parts
those that stand in BioRED's test or development part. 100 documents of BC5CDR's development part become `BC5CDR-dev.txt`,
by which models are chosen; the others are trained on. Two documents are the same where their PMIDs are, or where
`link/overlaps.tsv` says so.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path

from textome.documents import Document
from textome.formats import read_documents, write_documents
from textome.formats.reading.sources import atomic_file

ROOT = Path(__file__).resolve().parent.parent
BIORED = "re/BioRED/BioRED.zip!BioRED/{}.PubTator.txt"
BC5CDR = "re/BC5CDR-relations/CDR_{}Set.PubTator.txt.gz"
CHOSEN_ON = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "relation-corpora")
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
    with atomic_file(output / "report.json") as stream:
        stream.write((json.dumps(report, indent=2) + "\n").encode())
    print(json.dumps(report, indent=2))


def _ids(documents: list[Document]) -> set[str]:
    return {document.id for document in documents}


def _listed(data: Path, corpus: str, test: str) -> set[str]:
    """The documents of a corpus that stand in a test part by `overlaps.tsv`."""
    with (data / "link" / "overlaps.tsv").open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return {row["document"] for row in rows if row["file"] == corpus and row["stands_also_in"] == test}


if __name__ == "__main__":
    main()

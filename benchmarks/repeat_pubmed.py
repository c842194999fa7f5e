"""PubMed files of any size for measuring: real records, REPEATED with fresh PMIDs until there are enough.

    python benchmarks/repeat_pubmed.py --number 100000 --output SCRATCH [--data ../shared/data] [--per-file 30000]

The records are the PubMed XML sample and the abstracts of HoC under --data; they are read from there and only written to
SCRATCH, which is not to be kept or passed on. Text that is repeated says nothing about what a model finds in PubMed, but
its lengths are those of real abstracts, and length is what memory and speed depend on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from textome.documents import Document, Passage
from textome.formats import read_documents, write_documents
from textome.formats.reading.archives import unpacked

ROOT = Path(__file__).resolve().parent.parent
FIRST_PMID = 900_000_001
_SAMPLE = "pretrain/PubMed-XML-samples/pubmed-29768149.xml"
_ABSTRACTS = "cls/HoC/hoc.tar.xz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    )
    parser.add_argument("--per-file", type=int, default=30_000)
    options = parser.parse_args()
    write_repeated(options.data, options.number, options.output, options.per_file)


def write_repeated(data: Path, number: int, output: Path, per_file: int = 30_000) -> list[Path]:
    """Write `number` citations into files named as those of the PubMed baseline; returns the files."""
    records = list(real_records(data))
    print(f"{len(records):,} real records, repeated to {number:,} with PMIDs from {FIRST_PMID}")
    numbered = (replace(item, id=str(FIRST_PMID + n)) for n, item in enumerate(cycle(records)))
    written = []
    for file, start in enumerate(range(0, number, per_file), 1):
        path = output / f"pubmed99n{file:04}.xml.gz"
        write_documents(islice(numbered, min(per_file, number - start)), path, "pubmed-xml")
        written.append(path)
    return written


def real_records(data: Path) -> Iterator[Document]:
    """The records of the PubMed XML sample, and the abstracts of HoC with their first line as title."""
    yield from read_documents(data / _SAMPLE)
    for path in sorted(unpacked(data / _ABSTRACTS).rglob("text/*.txt")):
        lines = [
            line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
        ]
        if lines:
            title, text = lines[0], " ".join(lines[1:]) or lines[0]
            yield Document(path.stem, (Passage(title, 0, "title"), Passage(text, len(title) + 1, "abstract")))


def texts(paths: list[Path]) -> list[str]:
    """The texts of PubMed files, for tools that read nothing else."""
    return [document.text for path in paths for document in read_documents(path)]


if __name__ == "__main__":
    main()

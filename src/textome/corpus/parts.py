"""One part of the inputs in a worker process: its documents through the pipeline, and what is kept into chunks on disk."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textome.corpus.duplicates import Fingerprinter
from textome.corpus.inputs import File, Part
from textome.corpus.leakage import TestSets
from textome.corpus.ledger import chunk_name, part_name, read_json, write_chunk, write_json
from textome.corpus.pipeline import Pipeline, Steps
from textome.documents import Document, Passage
from textome.errors import InputError
from textome.formats import Quarantine, Source, guess_format, read_documents
from textome.formats.reading.shapes import has_many_controls

CHUNK_DOCUMENTS = 2000
CHUNK_CHARACTERS = 8_000_000
# Of the bad records of a part so many are kept in full; all are counted.
_RECORDS = 20


@dataclass(frozen=True)
class Reading:
    """How files are read.

    format        the format of all inputs; by their content where it is None
    captions      whether captions of figures and tables in JATS are text
    blank_lines   whether blank lines part documents in plain text; otherwise a file is one
    text_column   the column of tables that holds the texts, where its name does not tell
    """

    format: str | None = None
    captions: bool = True
    blank_lines: bool = False
    text_column: str | None = None


class PartWorker:
    """Works on parts of the inputs, in a process of its own."""

    def __init__(self, work: Path, steps: Steps, reading: Reading, near: bool, test_sets: TestSets | None) -> None:
        self._work, self._reading = work, reading
        self._pipeline, self._fingerprinter = Pipeline(steps, test_sets), Fingerprinter(near)

    def __call__(self, part: Part) -> dict[str, Any]:
        """Write the chunks of a part and its ledger; returns the ledger. Chunks that exist are not made again."""
        quarantine = Quarantine(keep=_RECORDS)
        ledger: dict[str, Any] = {"key": part.key, "chunks": 0, "read": 0, "kept": 0, "skipped": 0}
        kept: list[tuple[str, list[str]]] = []
        characters = 0

        def write() -> None:
            nonlocal characters
            path = self._work / chunk_name(part.number, ledger["chunks"])
            counts = self._pipeline.take_counts()
            ledger["read"] += counts.read
            ledger["kept"] += counts.kept
            counted = {"key": part.key, "read": ledger["read"], "counts": counts.as_dict()}
            write_chunk(path, kept, self._fingerprinter.fingerprints(), counted)
            ledger["chunks"] += 1
            self._fingerprinter.clear()
            kept.clear()
            characters = 0

        self._fingerprinter.clear()
        self._pipeline.take_counts()
        chunk = f"{chunk_name(part.number, 0)}.json"
        while (done := read_json(self._work / chunk)) and done["key"] == part.key:
            ledger["chunks"] += 1
            ledger["read"] = done["read"]
            ledger["kept"] += done["counts"]["kept"]
            chunk = f"{chunk_name(part.number, ledger['chunks'])}.json"
        to_skip = ledger["read"]
        for document, split in self._documents(part, quarantine, ledger):
            if to_skip:
                to_skip -= 1
                continue
            sentences = self._pipeline.sentences_of(document, split)
            if sentences is not None:
                self._fingerprinter.add(sentences)
                kept.append((document.id, sentences))
                characters += sum(map(len, sentences))
            if len(kept) >= CHUNK_DOCUMENTS or characters >= CHUNK_CHARACTERS:
                write()
        if self._pipeline.counts.read or not ledger["chunks"]:
            write()
        records = [[record.source, record.position, record.reason] for record in quarantine.records]
        written = ledger | {"quarantined": quarantine.count, "records": records, "passed_over": quarantine.passed_over}
        write_json(self._work / f"{part_name(part.number)}.json", written)
        return written

    def _documents(self, part: Part, quarantine: Quarantine, ledger: dict[str, Any]) -> Iterator[tuple[Document, bool]]:
        """The documents of all files of a part, and whether their passages are to be split into sentences."""
        for file in part.files:
            try:
                if file.sentences:
                    yield from ((document, False) for document in _sentence_lines(file, quarantine))
                    continue
                source = file.source()
                if not file.named and _holds_no_text(source):
                    ledger["skipped"] += 1
                    continue
                reading = self._reading
                kind = reading.format or guess_format(source)
                options: dict[str, dict[str, Any]] = {
                    "jats": {"captions": reading.captions},
                    "plain": {"blank_lines": reading.blank_lines},
                    "csv": {"text_column": reading.text_column},
                    "parquet": {"text_column": reading.text_column},
                    "conll": {"entity_type": "Entity"},  # what bare tags mean does not matter for the text
                }
                yield from (
                    (document, True) for document in read_documents(source, kind, quarantine, **options.get(kind, {}))
                )
            except InputError as error:
                quarantine.add(file.name, "", str(error).removeprefix(f"{file.name}: "))


def _sentence_lines(file: File, quarantine: Quarantine) -> Iterator[Document]:
    """The documents of a corpus: each line is a sentence and becomes a passage."""
    for document in read_documents(file.source(), "plain", quarantine, blank_lines=True):
        passages: list[Passage] = []
        for line in document.text.split("\n"):
            passages.append(Passage(line, passages[-1].end + 1 if passages else 0))
        yield Document(document.id, tuple(passages))


def _holds_no_text(source: Source) -> bool:
    """Images, PDF and the like, which lie in folders and archives beside texts; not archives, which are told of."""
    head = source.head()
    read = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"PK\x03\x04", b"PAR1")
    if head.startswith(read) or head[257:262] == b"ustar":
        return False
    return (b"\x00" in head and has_many_controls(head.decode("ascii", "ignore"))) or head.startswith(b"%PDF-")

"""A part of the input as chunks: what one worker annotates and writes in one go.

Where a chunk ends follows from the input and its size alone, never from who reads it or when, so after a stop the same
chunks come again. A chunk travels as packed windows: small in memory, and quick to hand to another process.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from textome.bulk.inputs import documents_of, stamp_of
from textome.bulk.ledger import Cover, Done, Part, Record
from textome.bulk.stored import StoredSource
from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine
from textome.formats.reading.sources import BadRecord
from textome.runtime.step import POOL_CHARACTERS

CHUNK_DOCUMENTS = 1000
# A chunk of full texts ends by this, a chunk of abstracts by the number of its documents.
CHUNK_CHARACTERS = 2_000_000
# Of the bad records of one chunk so many are kept with place and reason; all are counted.
KEPT = 100_000

Located = tuple[str, int, Document]


@dataclass(frozen=True)
class Chunk:
    """Documents to annotate. `about` is what the ledger keeps, its counts still to be filled in."""

    about: Done
    windows: tuple[bytes, ...] = ()

    def documents(self) -> Iterator[list[Located]]:
        """Each window's documents with their source and record; a window is what the model sorts by length."""
        for window in self.windows:
            yield pickle.loads(zlib.decompress(window))


@dataclass(frozen=True)
class Reading:
    """A part with all that is needed to read it, on this machine or another; see `chunks_of`."""

    part: Part
    superseded: dict[int, frozenset[int]]
    format: str | None = None
    text_column: str | None = None

    def chunks(self) -> Iterator[Chunk]:
        yield from chunks_of(self.part, self.superseded, self.format, self.text_column)


@dataclass
class _Draft:
    """A chunk in the making."""

    windows: list[bytes] = field(default_factory=list)
    window: list[Located] = field(default_factory=list)
    characters: int = 0
    total: int = 0
    records: int = 0
    covers: dict[int, Cover] = field(default_factory=dict)
    left_out: list[Record] = field(default_factory=list)

    def cover(self, file: int, record: int) -> None:
        first = self.covers[file][1] if file in self.covers else record
        self.covers[file] = (file, first, record)
        self.records += 1

    def add(self, item: Located) -> None:
        self.window.append(item)
        length = len(item[2].text) + 1
        self.characters += length
        self.total += length
        if self.characters >= POOL_CHARACTERS:
            self.pack()

    def pack(self) -> None:
        if self.window:
            self.windows.append(zlib.compress(pickle.dumps(self.window, pickle.HIGHEST_PROTOCOL), 1))
            self.window, self.characters = [], 0


def chunks_of(
    part: Part, superseded: Mapping[int, frozenset[int]], format: str | None = None, text_column: str | None = None
) -> Iterator[Chunk]:
    """The chunks of a part that are not done. The files are read up to the last of them.

    superseded   for each file, by its id, the records that a newer version replaces: they are left out
    format       what the members of archives are; None guesses

    Raises InputError where a file changes while it is read.
    """
    quarantine = Quarantine(keep=KEPT)
    draft = _Draft()
    number = 0
    before = 0

    def finished(final: bool, position: int) -> Chunk | None:
        nonlocal draft, number, quarantine
        draft.pack()
        about = Done(
            part=part.id,
            number=number,
            quarantined=quarantine.count,
            position=position,
            covers=tuple(draft.covers.values()),
            left_out=tuple(draft.left_out),
            bad=tuple(quarantine.records),
            final=final,
            passed_over=tuple(quarantine.passed_over.items()),
        )
        chunk = None if number in part.done else Chunk(about, tuple(draft.windows))
        draft, number = _Draft(), number + 1
        quarantine.count, quarantine.records = 0, []
        quarantine.passed_over.clear()
        return chunk

    for id, file, kind in part.files:
        source = StoredSource.at(file.address, file.name)
        gone = superseded.get(id, frozenset())
        try:
            for record, document in documents_of(source, kind, format, quarantine, text_column):
                full = draft.records >= part.chunk_documents or draft.total >= CHUNK_CHARACTERS
                if full and (chunk := finished(False, before + source.position)):
                    yield chunk
                draft.cover(id, record)
                if record in gone:
                    draft.left_out.append((id, record))
                else:
                    draft.add((file.name, record, document))
        except InputError as error:
            quarantine.add(file.name, "", str(error).removeprefix(f"{file.name}: "))
        if stamp_of(file.address) != file.stamp:
            raise InputError(
                f"{file.name}: the file was changed while it was read; when it stays as it is, start the same command "
                f"again, and what was read of it is done again"
            )
        before += file.size
    if chunk := finished(True, before):
        yield chunk


def unreadable(source: str, record: int, error: Exception) -> BadRecord:
    """A document that the model could not be run on, as a bad record."""
    return BadRecord(source, f"record {record}", f"annotation failed ({type(error).__name__}: {error})")

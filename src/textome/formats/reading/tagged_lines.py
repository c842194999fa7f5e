"""Records whose lines begin with a short tag, as MEDLINE's and RIS files have them: read one record at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from textome.documents import Document, replace_lone_surrogates
from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import NOT_UTF8, Quarantine, Source

# The most characters that one record may have: far more than a citation, and little memory.
MAX_RECORD = 16 * 1024**2
_SPACE = re.compile(r"[ \t\r\n\f\v]+")


@dataclass
class TaggedRecord:
    """The fields of a record in their order, as (tag, value) pairs, and the line that it begins in."""

    line: int
    number: int
    fields: list[tuple[str, str]] = field(default_factory=list)

    def all(self, *tags: str) -> list[str]:
        """Every value of the first of the tags that has any, in the order of the file."""
        for tag in tags:
            if values := [value for name, value in self.fields if name == tag and value]:
                return values
        return []

    def first(self, *tags: str) -> str:
        return next(iter(self.all(*tags)), "")


def read_tagged(
    source: Source,
    quarantine: Quarantine,
    tagged: re.Pattern[str],
    begin: str,
    end: str | None,
    make: Callable[[TaggedRecord], Document],
    between: re.Pattern[str] | None = None,
) -> Iterator[Document]:
    """A document for each record; one that cannot be read is quarantined with its line, and the others go on.

    tagged       matches a line with a tag; group 1 is the tag, 2 the value. Any other line that is not blank continues
                 the value before it, after a space
    begin, end   the tags that a record begins and ends with; with `end` None a blank line or `begin` ends it
    make         the document of a record, or InputError
    between      matches lines outside of records that belong to none
    """
    record: TaggedRecord | None = None
    problem = ""
    size = number = count = 0

    def finished() -> Iterator[Document]:
        if record is None:
            return
        position = f"line {record.line}, record {record.number}"
        try:
            if problem:
                raise InputError(problem)
            yield make(record)
        except InputError as error:
            quarantine.add(source.name, position, error)

    try:
        with source.open_text() as stream:
            for number, line in enumerate(_lines(stream.readline), 1):
                if not line.strip():
                    if end is None:
                        yield from finished()
                        record = None
                    continue
                match = tagged.fullmatch(line)
                if match and end is not None and match[1] == end:
                    yield from finished()
                    record = None
                    continue
                if record is None and between is not None and between.fullmatch(line):
                    continue
                if record is None or (match and match[1] == begin):
                    yield from finished()
                    count += 1
                    record, problem, size = TaggedRecord(number, count), "", 0
                size += len(line)
                if problem:
                    continue
                if size > MAX_RECORD:
                    problem = f"the record is longer than {MAX_RECORD >> 20} million characters"
                elif re.search("[\udc80-\udcff]", line):
                    problem = f"line {number} is {NOT_UTF8}"
                elif match:
                    record.fields.append((match[1], _one_line(match[2])))
                elif record.fields:
                    tag, value = record.fields[-1]
                    record.fields[-1] = (tag, f"{value} {_one_line(line)}".strip())
                else:
                    problem = f"line {number}: expected a tag and a value, as '{begin}', found {line[:40]!r}"
    except DECOMPRESSION_ERRORS as error:
        # The record in which it broke off is not made: half an abstract would pass for a whole one.
        quarantine.add(source.name, f"after line {number}", f"the file is cut short or damaged ({error})")
        return
    yield from finished()


def _lines(readline: Callable[[int], bytes]) -> Iterator[str]:
    """Lines without their ends; of one longer than a record may be, as much as is too much."""
    start = True
    while raw := readline(4 * MAX_RECORD):
        yield raw.decode("utf-8-sig" if start else "utf-8", errors="surrogateescape").rstrip("\r\n")
        start = False


def _one_line(value: str) -> str:
    return _SPACE.sub(" ", replace_lone_surrogates(value)).strip(" ")

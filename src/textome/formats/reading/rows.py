"""The rows of tables, however they were exported: the one way in which every reader of tables reads them.

Commas, semicolons, tabs or bars between cells, quotes as RFC 4180 has them; UTF-8, or UTF-16 with a byte order mark as
Excel's "Unicode text" has it; any line ends; Excel's first line `sep=;`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import NOT_UTF8, Quarantine, Source

# The longest cell, in characters: more than any abstract or note has, and little of a file is lost to a quote left open.
MAX_CELL = 1_000_000
_SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.IGNORECASE)


class Row(NamedTuple):
    """The cells of a row, and the line of the file that it begins in."""

    line: int
    cells: list[str]


def read_rows(
    source: Source, quarantine: Quarantine, delimiter: str | None = None, quotes: bool = True
) -> Iterator[Row]:
    """The rows that are not blank, the header among them; one that cannot be taken apart is quarantined with its line.

    delimiter   what stands between cells; None takes it from the first line
    quotes      whether quotation marks hold delimiters and line breaks together

    Bytes that are not UTF-8 are left in the cells as lone surrogates: see `check_decoded`.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    line = 0
    try:
        with source.open_text(line_ends=False) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
            lines = _lines(text)
            first = ""
            for first in lines:
                line += 1
                if match := _SEPARATOR_LINE.fullmatch(first):
                    delimiter = delimiter or match[1]
                elif first.strip():
                    break
            line -= 1  # of the lines before those that `rows` counts
            rows = csv.reader(
                chain([first], lines),
                delimiter=delimiter or delimiter_of(first),
                quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
                strict=quotes,
            )
            while True:
                start = line + rows.line_num + 1
                try:
                    cells = next(rows, None)
                except csv.Error as error:
                    quarantine.add(source.name, f"line {start}", error)
                    continue
                if cells is None:
                    return
                if any(cell.strip() for cell in cells):
                    yield Row(start, cells)
    except _LineTooLongError as error:
        quarantine.add(source.name, f"line {error.line}", error)
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, "", f"the file is cut short or damaged ({error})")


def delimiter_of(header: str) -> str:
    """What stands between the cells of a header: the most frequent of tab, comma, semicolon and bar."""
    return max("\t,;|", key=header.count)


def check_decoded(cells: Sequence[str]) -> None:
    """Raises InputError where a cell was not UTF-8."""
    if any(re.search("[\udc80-\udcff]", cell) for cell in cells):
        raise InputError(NOT_UTF8)


def check_width(cells: Sequence[str], header: Sequence[str]) -> None:
    """Raises InputError where a row has more or fewer cells than the header."""
    if len(cells) != len(header):
        raise InputError(f"{len(cells)} cells, but the header has {len(header)} columns")


class _LineTooLongError(InputError):
    """A line without end, behind which nothing can be read."""

    def __init__(self, line: int) -> None:
        super().__init__("a line of more than four million characters; the rest of the file is not read")
        self.line = line


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    while line := text.readline(4 * MAX_CELL):
        number += 1
        if len(line) == 4 * MAX_CELL:
            raise _LineTooLongError(number)
        yield line

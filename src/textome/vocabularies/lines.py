"""Lines and rows of terminologies: UTF-8, numbered, with a clear error where a file is damaged or cut short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import Quarantine, Source


def numbered_lines(source: Source) -> Iterator[tuple[int, str]]:
    """The lines of a file without their ends, from 1. Raises InputError where the bytes are damaged or not UTF-8."""
    number = 0
    try:
        with source.open() as stream:
            for number, raw in enumerate(stream, 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{source.name}, line {number}: this is not UTF-8 ({error.reason}); convert the file first, "
                        "for instance with iconv"
                    ) from error
                yield number, line.rstrip("\r\n")
    except DECOMPRESSION_ERRORS as error:
        raise InputError(f"{source.name}, after line {number}: the file is cut short or damaged ({error})") from error


def rows(
    source: Source, separator: str, num_columns: int, quarantine: Quarantine, skip: Sequence[str] = ()
) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table with at least `num_columns` columns, each with its line.

    skip    beginnings of lines that are not rows

    A row with fewer columns is quarantined; as the last of the file it raises InputError, since the file was cut short.
    """
    short: tuple[int, int] | None = None
    for number, line in numbered_lines(source):
        if not line or line.startswith(tuple(skip)):
            continue
        if short:
            quarantine.add(source.name, f"line {short[0]}", f"expected {num_columns} columns, found {short[1]}")
            short = None
        columns = line.split(separator)
        if len(columns) >= num_columns:
            yield number, columns
        else:
            short = number, len(columns)
    if short:
        raise InputError(
            f"{source.name}, line {short[0]}: the last row has {short[1]} of {num_columns} columns; the file was cut "
            "short, or is of another kind (name it with --from)"
        )

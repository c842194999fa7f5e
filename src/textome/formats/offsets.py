"""Offsets of files in the wild, which may count code points, UTF-8 bytes or UTF-16 units, put into code points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from textome.documents import Span
from textome.errors import InputError

# (start, end) pairs as the file has them, and the text that the file says stands there, or None if it says none.
Located = tuple[Sequence[tuple[int, int]], str | None]
_UNITS: dict[str, Callable[[str], int]] = {
    "code points": len,
    "UTF-8 bytes": lambda text: len(text.encode("utf-8")),
    "UTF-16 units": lambda text: len(text.encode("utf-16-le")) // 2,
}


class Part(NamedTuple):
    """A passage or sentence: its text, the offset that the file gives it, and the annotations that stand in it."""

    text: str
    offset: int
    annotations: Sequence[Located]
    names: Sequence[str]  # what to call each annotation in an error


def in_code_points(text: str, annotations: Sequence[Located], names: Sequence[str]) -> list[tuple[Span, ...]]:
    """The spans of all annotations of a text in code points, by the one unit under which every one of them matches.

    names   what to call each annotation in an error

    Raises InputError that says what was expected and found where no unit fits them all.
    """
    return parts_in_code_points(text, [Part(text, 0, annotations, names)])


def parts_in_code_points(text: str, parts: Sequence[Part]) -> list[tuple[Span, ...]]:
    """The spans of the annotations of all parts, in order, in code points of the document's `text`.

    One unit is taken for the whole document: a unit that fits one passage by chance must not shift its annotations.
    In code points an annotation may reach beyond its part; in the other units offsets count from the part's start.
    Raises InputError that says what was expected and found where no unit fits all annotations.
    """
    for measure in _UNITS.values():
        spans = [
            _spans(text, part, pairs, table) for part, table in _tables(parts, measure) for pairs, _ in part.annotations
        ]
        said = [said for part in parts for _, said in part.annotations]
        if all(_matches(text, where, expected) for where, expected in zip(spans, said, strict=True)):
            return [tuple(where) for where in spans if where is not None]
    for part in parts:
        for name, (pairs, expected) in zip(part.names, part.annotations, strict=True):
            where = _spans(text, part, pairs, None)
            if not _matches(text, where, expected):
                found = " ".join(text[start:end] for start, end in where) if where else "nothing (outside the text)"
                place = ", ".join(f"{start}-{end}" for start, end in pairs)
                raise InputError(f"{name} says {expected!r} at {place}, but the text there is {found!r}")
    raise InputError("the offsets fit the text neither in code points nor in bytes")


def _tables(parts: Sequence[Part], measure: Callable[[str], int]) -> list[tuple[Part, dict[int, int] | None]]:
    return [(part, None if measure is len else _positions(part.text, measure)) for part in parts]


def _matches(text: str, spans: Sequence[Span] | None, said: str | None) -> bool:
    if spans is None:
        return False
    # White space is not compared: files fold line breaks, and join the pieces of a mention with a space or without.
    found = "".join(text[start:end] for start, end in spans)
    return said is None or found.split() == said.split() or "".join(found.split()) == "".join(said.split())


def _spans(text: str, part: Part, pairs: Sequence[tuple[int, int]], table: dict[int, int] | None) -> list[Span] | None:
    """The pairs in code points of the document, by a part's `table` of positions; None where they lie outside."""
    spans = []
    for start, end in sorted(pairs):
        if table is not None:
            start = table.get(start - part.offset, -1 - part.offset) + part.offset
            end = table.get(end - part.offset, -1 - part.offset) + part.offset
        if not 0 <= start < end <= len(text):
            return None
        spans.append(Span(start, end))
    return spans


def _positions(text: str, measure: Callable[[str], int]) -> dict[int, int]:
    """From offsets in another unit to code points."""
    table = {0: 0}
    position = 0
    for number, character in enumerate(text, 1):
        position += measure(character)
        table[position] = number
    return table

"""Offsets of files in the wild, which may count code points, UTF-8 bytes or UTF-16 units, put into code points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textome.documents import Span, check_entity_characters, spans_problem
from textome.errors import InputError

# (start, end) pairs as the file has them, and the text that the file says stands there, or None if it says none.
Located = tuple[Sequence[tuple[int, int]], str | None]
# The encoding whose units are counted, and bytes of a unit; None for code points.
_UNITS: tuple[tuple[str, int] | None, ...] = (None, ("utf-8", 1), ("utf-16-le", 2))


class Part(NamedTuple):
    """A passage or sentence: its text, the offset that the file gives it, and the annotations that stand in it.

    names    what to call each annotation in an error
    region   where, in code points of the document, its annotations may begin; None where that is anywhere
    closed   whether they must end there, too
    """

    text: str
    offset: int
    annotations: Sequence[Located]
    names: Sequence[str]
    region: tuple[int, int] | None = None
    closed: bool = False


def in_code_points(text: str, annotations: Sequence[Located], names: Sequence[str]) -> list[tuple[Span, ...]]:
    """The spans of all annotations of a text in code points, by the one unit under which every one of them matches.

    names   what to call each annotation in an error

    Raises InputError that says what was expected and found where no unit fits them all.
    """
    return parts_in_code_points(text, [Part(text, 0, annotations, names)])


def parts_in_code_points(text: str, parts: Sequence[Part]) -> list[tuple[Span, ...]]:
    """The spans of the annotations of all parts, in order, in code points of the document's `text`.

    One unit is taken for the whole document: a unit that fits one passage by chance must not shift its annotations.
    In code points an annotation may reach beyond its part, but begins in its region; in the other units offsets count from
    the part's start. Where that fits no unit, offsets may count from the start of each part, as some tools write them.
    Spans are checked before their texts are compared. Raises InputError that says what was expected and found where no
    unit fits all annotations, and where the spans have too many characters all together.
    """
    check_entity_characters(pairs for part in parts for pairs, _ in part.annotations)
    relative = [_from_the_start(part) for part in parts] if any(part.offset for part in parts) else []
    for read_as in filter(None, (parts, relative)):
        for unit in _UNITS:
            if (spans := _fitting(text, read_as, unit)) is not None:
                return spans
    for part in parts:
        for name, (pairs, expected) in zip(part.names, part.annotations, strict=True):
            where = _spans(text, part, pairs, None)
            if where is None or not _matches(text, where, expected):
                inside = all(0 <= start < end <= len(text) for start, end in pairs)
                nothing = f"nothing ({'the spans overlap' if inside else 'outside the text'})"
                actual = " ".join(text[start:end] for start, end in where) if where else nothing
                positions = ", ".join(f"{start}-{end}" for start, end in pairs[:20])
                quoted = "" if expected is None else f" {_shown(expected)}"
                raise InputError(f"{name} says{quoted} at {positions}, but the text there is {_shown(actual)}")
            if not _stands_in(part, where):
                raise InputError(f"{name} stands at {where[0].start}, outside of its passage at {part.offset}")
    raise InputError("the offsets fit the text neither in code points nor in bytes")


def _from_the_start(part: Part) -> Part:
    """The part with offsets of the document, where its annotations count from its own start, and lie in it."""
    shifted = [
        ([(start + part.offset, end + part.offset) for start, end in pairs], expected)
        for pairs, expected in part.annotations
    ]
    return part._replace(annotations=shifted, region=(part.offset, part.offset + len(part.text)), closed=True)


def _stands_in(part: Part, spans: Sequence[Span]) -> bool:
    if part.region is None:
        return True
    first, end = part.region
    return first <= spans[0].start < end and (not part.closed or spans[-1].end <= end)


def _fitting(text: str, parts: Sequence[Part], unit: tuple[str, int] | None) -> list[tuple[Span, ...]] | None:
    """The spans of all annotations where all of them match in this unit."""
    converted: list[tuple[Span, ...]] = []
    for part in parts:
        table = _positions(part, *unit) if unit and part.annotations else None
        for pairs, expected in part.annotations:
            spans = _spans(text, part, pairs, table)
            if spans is None or not _stands_in(part, spans) or not _matches(text, spans, expected):
                return None
            converted.append(tuple(spans))
    return converted


def _matches(text: str, spans: Sequence[Span], expected: str | None) -> bool:
    if expected is None:
        return True
    # White space is not compared: files fold line breaks, and join the pieces of a mention with a space or without.
    actual = "".join(text[start:end] for start, end in spans)
    return actual == expected or "".join(actual.split()) == "".join(expected.split())


def _spans(text: str, part: Part, pairs: Sequence[tuple[int, int]], table: dict[int, int] | None) -> list[Span] | None:
    """The pairs in code points of the document, by a part's `table` of positions; None where they overlap or lie
    outside the text."""
    spans = []
    for start, end in sorted(pairs):
        if table is not None:
            if start not in table or end not in table:
                return None
            start, end = table[start], table[end]
        spans.append(Span(start, end))
    return None if spans_problem(spans, len(text)) else spans


def _positions(part: Part, encoding: str, width: int) -> dict[int, int]:
    """The offsets of a part's annotations that stand before a character or at the end, in code points of the document."""
    data = part.text.encode(encoding)
    table: dict[int, int] = {}
    before, characters = 0, part.offset
    for offset in sorted({offset for pairs, _ in part.annotations for pair in pairs for offset in pair}):
        position = width * (offset - part.offset)
        if 0 <= position <= len(data) and not _splits(data, position, width):
            characters += len(data[before:position].decode(encoding))
            before = position
            table[offset] = characters
    return table


def _splits(data: bytes, position: int, width: int) -> bool:
    """Does a character of UTF-8 (`width` 1) or UTF-16 (2) go on at this position?"""
    if position == len(data):
        return False
    return data[position] & 0xC0 == 0x80 if width == 1 else data[position + 1] & 0xFC == 0xDC


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}…")

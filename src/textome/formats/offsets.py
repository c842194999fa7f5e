"""Offsets of files in the wild, which may count code points, UTF-8 bytes or UTF-16 units, put into code points."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textome.documents import Span
from textome.errors import InputError

# (start, end) pairs as the file has them, and the text that the file says stands there, or None if it says none.
Located = tuple[Sequence[tuple[int, int]], str | None]
_UNITS: dict[str, Callable[[str], int]] = {
    "code points": len,
    "UTF-8 bytes": lambda text: len(text.encode("utf-8")),
    "UTF-16 units": lambda text: len(text.encode("utf-16-le")) // 2,
}


def in_code_points(text: str, annotations: Sequence[Located], names: Sequence[str]) -> list[tuple[Span, ...]]:
    """The spans of all annotations of a text in code points, by the one unit under which every one of them matches.

    names   what to call each annotation in an error

    Raises InputError that says what was expected and found where no unit fits them all.
    """
    for measure in _UNITS.values():
        table = None if measure is len else _positions(text, measure)
        spans = [_converted(pairs, table, len(text)) for pairs, _ in annotations]
        if all(_matches(text, where, said) for where, (_, said) in zip(spans, annotations, strict=True)):
            return [tuple(where) for where in spans if where is not None]
    for name, (pairs, said) in zip(names, annotations, strict=True):
        where = _converted(pairs, None, len(text))
        if not _matches(text, where, said):
            found = " ".join(text[start:end] for start, end in where) if where else "nothing (outside the text)"
            place = ", ".join(f"{start}-{end}" for start, end in pairs)
            raise InputError(f"{name} says {said!r} at {place}, but the text there is {found!r}")
    raise InputError("the offsets fit the text neither in code points nor in bytes")


def _matches(text: str, spans: Sequence[Span] | None, said: str | None) -> bool:
    if spans is None:
        return False
    # White space is not compared: files fold line breaks, and join the pieces of a mention with a space or without.
    found = "".join(text[start:end] for start, end in spans)
    return said is None or found.split() == said.split() or "".join(found.split()) == "".join(said.split())


def _converted(pairs: Sequence[tuple[int, int]], table: dict[int, int] | None, length: int) -> list[Span] | None:
    spans = []
    for start, end in sorted(pairs):
        place = (start, end) if table is None else (table.get(start, -1), table.get(end, -1))
        if not 0 <= place[0] < place[1] <= length:
            return None
        spans.append(Span(*place))
    return spans


def _positions(text: str, measure: Callable[[str], int]) -> dict[int, int]:
    """From offsets in another unit to code points."""
    table = {0: 0}
    position = 0
    for number, character in enumerate(text, 1):
        position += measure(character)
        table[position] = number
    return table

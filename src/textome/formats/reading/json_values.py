"""Strict JSON, and the records of a JSON file whether it has one a line, a list of them, or objects one after another."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from textome.documents import replace_lone_surrogates
from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import NOT_UTF8, Quarantine, Source

_MOST_DIGITS = 100
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_BETWEEN = re.compile(r"[ \t\r\n]*")


class Value(NamedTuple):
    """A record of a JSON file: its line or number, and where it is, for a message."""

    number: int
    position: str
    value: Any


def read_values(source: Source, quarantine: Quarantine) -> Iterator[Value]:
    """The records of a file: JSON lines, or JSON over several lines (a list of records, one, or several in a row).

    Lines are read one by one. Where the first is not whole, the file is parsed as a whole and memory grows with it. A bad
    line is quarantined with its number; what is broken over several lines loses what follows.
    """
    number = 0
    first = True
    try:
        with source.open_text() as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    value = parse_json(line.strip())
                except InputError as error:
                    if first and _goes_on(error):
                        yield from _parsed(line + stream.read(), source, quarantine)
                        return
                    quarantine.add(source.name, f"line {number}", error)
                else:
                    if first and isinstance(value, list) and not isinstance(next(iter(value), None), str):
                        yield from (Value(at, f"record {at}", item) for at, item in enumerate(value, 1))
                    else:
                        yield Value(number, f"line {number}", value)
                first = False
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, f"after line {number}", f"the file is cut short or damaged ({error})")


def parse_json(data: bytes | str) -> Any:
    """Parse strict JSON: UTF-8, no NaN or Infinity, no number beyond them, no key twice in an object, bounded nesting.

    Halves of surrogate pairs, which JSON can spell but no text file can hold, become U+FFFD. Raises InputError that
    says where.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise InputError(NOT_UTF8.replace(";", f" at byte {error.start};", 1)) from error
    value, end = _decoded(text, len(text) - len(text.lstrip(" \t\r\n")))
    if end < len(text.rstrip(" \t\r\n")):
        raise InputError(f"not valid JSON at {_position(text, end)} (Extra data)")
    return value


def _parsed(data: bytes, source: Source, quarantine: Quarantine) -> Iterator[Value]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        quarantine.add(source.name, "", NOT_UTF8.replace(";", f" at byte {error.start};", 1))
        return
    number = position = 0
    while (position := _BETWEEN.match(text, position).end()) < len(text):  # type: ignore[union-attr]
        try:
            value, position = _decoded(text, position)
        except InputError as error:
            quarantine.add(source.name, "", error)
            return
        for item in value if isinstance(value, list) else [value]:
            number += 1
            yield Value(number, f"record {number}", item)


def _decoded(text: str, start: int) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise InputError(f"not valid JSON at {_position(text, error.pos)} ({error.msg})") from error
    except RecursionError as error:
        raise InputError("the JSON is nested too deeply") from error
    return _without_lone_surrogates(value) if _SURROGATE_ESCAPE.search(text, start, end) else value, end


def _position(text: str, position: int) -> str:
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    return f"line {line}, column {column}" if "\n" in text else f"column {column}"


def _goes_on(error: InputError) -> bool:
    """Whether a line is not wrong but not whole: its JSON goes on in the next."""
    cause = error.__cause__
    return isinstance(cause, json.JSONDecodeError) and cause.pos >= len(cause.doc.rstrip())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InputError(f"the member {key!r} is given twice")
            seen.add(key)
    return members


def _without_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return replace_lone_surrogates(value)
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {replace_lone_surrogates(key): _without_lone_surrogates(item) for key, item in value.items()}
    return value


def _finite(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise InputError("not valid JSON: a number is larger than 1.8e308, which few readers can hold")
    return value


def _moderate(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise InputError(
            f"not valid JSON: a number has {len(digits):,} digits, and no member needs more than {_MOST_DIGITS}"
        )
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise InputError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, parse_int=_moderate, object_pairs_hook=_unique
)

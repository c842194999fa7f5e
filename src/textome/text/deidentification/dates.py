"""Dates moved by a number of days, written as they were."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

_NUMBERS = re.compile(r"(\d{1,4})([/.-])(\d{1,2})(?:\2(\d{1,4}))?")
_DIGITS = re.compile(r"\d+")
# A date without a year is moved as one of this year, which is not a leap year.
_ANY_YEAR = 2001
_PIVOT = 30


def shifted(text: str, days: int, months: Sequence[str], day_first: bool = False) -> str | None:
    """The date in `text` moved by `days`, with its separators, its order and its words as they were.

    months      twelve for each way of writing them; "sep|sept" is either
    day_first   3/4 is the third of April; where only one reading is a date, that one counts

    What is missing counts as the middle: a month without a day as its 15th. None for what is not a date.
    """
    if match := _NUMBERS.match(text):
        moved = _shifted_numbers(match, days, day_first)
    else:
        moved = _shifted_words(text, days, months)
    return moved


def _shifted_numbers(match: re.Match[str], days: int, day_first: bool) -> str | None:
    first, mark, second, third = match.groups()
    rest = match.string[match.end() :]
    if third is None:
        order = "dm" if day_first else "md"
        moved = _moved({order[0]: first, order[1]: second}, days) or _moved({order[1]: first, order[0]: second}, days)
        return None if moved is None else mark.join((moved[order[0]], moved[order[1]])) + rest
    short = ["dmy", "mdy"] if day_first else ["mdy", "dmy"]
    orders = ["ymd", "ydm"] if len(first) > 2 else short
    for order in orders:
        if moved := _moved(dict(zip(order, (first, second, third), strict=True)), days):
            return mark.join(moved[part] for part in order) + rest
    return None


def _moved(parts: Mapping[str, str], days: int) -> dict[str, str] | None:
    """Day, month and year moved, each with as many digits as before; None for what is not a date."""
    year = _ANY_YEAR
    if "y" in parts:
        year = int(parts["y"])
        if len(parts["y"]) == 2:
            year += 2000 if year <= _PIVOT else 1900
    try:
        new = date(year, int(parts["m"]), int(parts.get("d", "15"))) + timedelta(days)
    except (ValueError, OverflowError):
        return None
    moved = {"d": new.day, "m": new.month, "y": new.year % 100 if len(parts.get("y", "0000")) == 2 else new.year}
    is_padded = any(text.startswith("0") for text in parts.values()) or next(iter(parts)) == "y"
    return {part: str(moved[part]).zfill(len(text) if is_padded or part == "y" else 1) for part, text in parts.items()}


def _numbers_of(months: Sequence[str]) -> dict[str, int]:
    """The place of each name of a month in the list; a name of two ways of writing counts for the first."""
    numbers: dict[str, int] = {}
    for number, names in enumerate(months):
        for name in names.split("|"):
            numbers.setdefault(name, number)
    return numbers


def _shifted_words(text: str, days: int, months: Sequence[str]) -> str | None:
    numbers = _numbers_of(months)
    word = next((match for match in re.finditer(r"[^\W\d_]+", text) if match[0].lower() in numbers), None)
    if word is None:
        return None
    clock = re.search(r"\d{1,2}:\d{2}", text)
    digits = [match for match in _DIGITS.finditer(text) if clock is None or match.start() < clock.start()]
    year = next((match for match in digits if len(match[0]) == 4), None)
    day = next((match for match in digits if len(match[0]) <= 2), None)
    if year is None and len(digits) > 1:  # "3-Mar-19"
        day, year = digits[0], digits[1]
    number = numbers[word[0].lower()]
    parts = {"m": str(number % 12 + 1)}
    parts |= {name: match[0] for name, match in (("d", day), ("y", year)) if match is not None}
    moved = _moved(parts, days)
    if moved is None:
        return None
    name = months[number // 12 * 12 + int(moved["m"]) - 1].partition("|")[0]
    name = name.upper() if word[0].isupper() else name.capitalize() if word[0][0].isupper() else name
    pieces = {word.span(): name} | {
        match.span(): moved[part] for part, match in (("d", day), ("y", year)) if match is not None
    }
    for (start, end), new in sorted(pieces.items(), reverse=True):
        text = text[:start] + new + text[end:]
    return re.sub(r"(\d)(st|nd|rd|th)\b", lambda match: match[1] + _ordinal(text, match), text)


def _ordinal(text: str, match: re.Match[str]) -> str:
    digits = re.search(r"\d+\Z", text[: match.start(2)])
    number = int(digits[0]) if digits else 0
    return "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")

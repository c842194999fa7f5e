"""Line breaks that mean something: between the items of a list, after a heading, between the fields of a form.

Many formats break lines of prose anywhere, so a break alone says nothing. What is looked at is a paragraph, the lines
between two blank ones. In wrapped prose a line is as long as the next word allows; where that word would have fitted, the
break was meant. A line that begins with a small letter goes on with the sentence before, unless it is the item of a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from textome.patterns import lazy_pattern
from textome.text.stop_words import STOP_WORDS

# Prose is not wrapped in narrower columns than this many characters.
_MIN_WIDTH = 40
_BREAK = lazy_pattern(r"\r\n?|[\n\v\f\x85\u2028\u2029]")
_BULLET = lazy_pattern(r"[•‣▪▫●○◦∙·■□➢✓*]\s|[-–—](?=\s|[A-Za-z0-9])")
_SURE_BULLET = lazy_pattern(r"[•‣▪▫●○◦■□➢✓]")
_NUMBER = lazy_pattern(r"\(?(\d{1,2})[.)](?=\s|[A-Z])|\(?([a-z])\)\s")
# "Allergies:", "Past Medical History: none"; not "at 10:30" or "https://".
_FIELD = lazy_pattern(r"[A-Z][\w/&'’() -]{1,48}?(?<!\d):(?=\s|\Z)")
_MAX_HEADING_WORDS = 8
_ENDS_OPEN = lazy_pattern(r"(?:[,(\[/&+=–—-]|\d:)\Z")
_LAST_WORD = lazy_pattern(r"[\w'’]+\Z")
_FIRST_WORD = lazy_pattern(r"\S+")
_GOES_ON = frozenset(["not", "no", "without", "nor", *STOP_WORDS])


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a paragraph without the white space around it; `start` is its first character's offset in the text."""

    text: str
    start: int


def hard_breaks(text: str) -> list[int]:
    """Offsets in code points at which a new line begins that does not go on with the sentence before it, in order.

    Time is linear in the length of the text.
    """
    if not _BREAK.search(text):
        return []
    return [line.start for paragraph in _paragraphs(text) for line in _new_lines(paragraph)]


def _paragraphs(text: str) -> Iterator[list[_Line]]:
    lines: list[_Line] = []
    starts = [0, *(match.end() for match in _BREAK.finditer(text))]
    ends = [*(match.start() for match in _BREAK.finditer(text)), len(text)]
    for start, end in zip(starts, ends, strict=True):
        line = text[start:end]
        if stripped := line.strip():
            lines.append(_Line(stripped, start + line.index(stripped[0])))
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


def _new_lines(lines: list[_Line]) -> Iterator[_Line]:
    """The lines of a paragraph, but its first, that do not go on with the sentence before them."""
    if len(lines) < 2:
        return
    lengths = sorted(len(line.text) for line in lines)
    # One line that is longer than all others may hold what cannot be broken.
    width = max(_MIN_WIDTH, lengths[-2] if len(lines) > 3 else lengths[-1])
    items = [_item(line.text) for line in lines]
    fitted = [len(one.text) + 1 + len(_first_word(other.text)) <= width for one, other in pairwise(lines)]
    listed = _listed(items)
    # Lines of their own here and there make the longest of them, which fill the width, lines of their own too.
    structured = any(
        fits and not _goes_on(one.text, other.text) and one.text[-1] not in ".!?"
        for fits, (one, other) in zip(fitted, pairwise(lines), strict=True)
    )
    for number, (one, other) in enumerate(pairwise(lines)):
        if _is_heading(one.text):
            yield other
        elif items[number + 1]:
            if fitted[number] or number + 1 in listed or _SURE_BULLET.match(other.text):
                yield other
        elif (structured or fitted[number]) and not _goes_on(one.text, other.text):
            yield other


def _item(line: str) -> str:
    """What shows that a line is an item of a list: its bullet, or the number or letter before it; or nothing."""
    if match := _BULLET.match(line):
        return match[0].strip()
    if match := _NUMBER.match(line):
        return match[1] or match[2]
    return ""


def _listed(items: list[str]) -> set[int]:
    """Which lines are items of a list with another one: the same bullet, or the number before or after."""
    listed: set[int] = set()
    numbers_of: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        if item:
            numbers_of.setdefault(item, []).append(number)
    for item, numbers in numbers_of.items():
        if item.isdigit():
            beside = [str(int(item) - 1), str(int(item) + 1)]
        elif item.isalpha():
            beside = [chr(ord(item) - 1), chr(ord(item) + 1)]
        else:
            beside = [item] if len(numbers) > 1 else []
        if any(name in numbers_of for name in beside):
            listed.update(numbers)
    return listed


def _is_heading(line: str) -> bool:
    """A few words with a colon after them, or in capitals."""
    if line[-1] == ":":
        return bool(_FIELD.fullmatch(line))
    return line.isupper() and len(line) > 3 and len(line.split()) <= _MAX_HEADING_WORDS and line[-1].isalpha()


def _goes_on(line: str, following: str) -> bool:
    """Does the next line go on with the sentence: it begins small, or this one ends as no sentence does?"""
    first = following[0]
    if _FIELD.match(following):
        return False
    if first.islower() or first in ",;:.)]" or _ENDS_OPEN.search(line):
        return True
    return bool((word := _LAST_WORD.search(line)) and word[0] in _GOES_ON)


def _first_word(line: str) -> str:
    match = _FIRST_WORD.match(line)
    return match[0] if match else ""

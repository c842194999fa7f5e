"""Cleaning that never loses its way back: a normalised view of a text, aligned to the original.

Every step rewrites pieces of the text and keeps, for each character of the result, which characters of the original it
came from. Spans found in the clean text are so mapped back to the original, where annotations live.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from textome.documents import Span

Offsets = NDArray[np.int64]
Piece = tuple[int, int, str]

_TAG = re.compile(
    r"</?(?:i|b|u|em|strong|sub|sup|sc|p|br|span|italic|bold|underline|xref|jats:\w+)(?:\s[^<>]{0,200})?/?>", re.I
)
_CHARACTER_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}\d?);")
# Soft hyphen, zero-width space and joiners' kin, word joiner, byte order mark: seen by programs, not by readers.
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]+")
_SPACE = re.compile(r"[ \t\r\n\x0b\x0c\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_HYPHEN_AT_LINE_END = re.compile(r"(?<=[a-z])-[ \t]*\r?\n[ \t]*(?=[a-z])")
# A run of characters that normalisation must see together: a starter and all the marks that may combine with it.
_CLUSTER = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class CleaningOptions:
    """Which steps are done, in the order in which they stand here.

    unicode_form   NFC composes accents; NFKC also folds ligatures, full-width letters and superscripts ("m²" to "m2")
    markup         decode character references (`&lt;`, `&#946;`) and drop inline tags (`<sub>`, `</i>`)
    control        drop control characters and those that nobody sees (zero-width, soft hyphens, direction marks)
    dehyphenate    join words that a line end has cut ("can-\\ncer"); off, since it also joins "IL-\\nbeta"
    white_space    fold each run of white space, line breaks too, into one space, and drop it at both ends
    lowercase      lower-case letters, for uncased models and for counting
    """

    unicode_form: Literal["NFC", "NFKC"] | None = "NFC"
    markup: bool = True
    control: bool = True
    dehyphenate: bool = False
    white_space: bool = True
    lowercase: bool = False


@dataclass(frozen=True, slots=True)
class Alignment:
    """For each clean character, the half-open range of original characters it came from.

    starts, ends   (n,) int64, neither ever falling; `length` is that of the original
    """

    starts: Offsets
    ends: Offsets
    length: int

    def to_original(self, start: int, end: int) -> Span:
        """The original range behind clean characters `start` to `end`. Raises ValueError for an empty or outer range."""
        if not 0 <= start < end <= len(self.starts):
            raise ValueError(f"{start}-{end} is empty or outside the clean text of {len(self.starts)} characters")
        return Span(int(self.starts[start]), int(self.ends[end - 1]))

    def to_clean(self, start: int, end: int) -> Span | None:
        """The clean range that came from original characters `start` to `end`, or None where nothing of it is left."""
        if not 0 <= start < end <= self.length:
            raise ValueError(f"{start}-{end} is empty or outside the original text of {self.length} characters")
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left"))
        return Span(first, last) if first < last else None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A clean text and the way back to the original."""

    text: str
    alignment: Alignment


def clean(text: str, options: CleaningOptions = CleaningOptions()) -> Cleaned:
    """A normalised view of `text`. The original is not changed; time is linear in its length."""
    positions = np.arange(len(text), dtype=np.int64)
    view = Cleaned(text, Alignment(positions, positions + 1, len(text)))
    steps: list[tuple[bool, Callable[[str], Iterable[Piece]]]] = [
        (options.markup, _markup_pieces),
        (options.control, lambda given: ((*match.span(), "") for match in re.finditer(_HIDDEN, given))),
        (options.dehyphenate, lambda given: ((*match.span(), "") for match in _HYPHEN_AT_LINE_END.finditer(given))),
        (options.unicode_form is not None, lambda given: _normalised_pieces(given, options.unicode_form or "NFC")),
        (options.lowercase, _lowered_pieces),
        (options.white_space, _space_pieces),
    ]
    for wanted, pieces in steps:
        if wanted:
            view = _rewrite(view, pieces(view.text))
    return view


_HIDDEN = f"(?:{_INVISIBLE.pattern}|{_CONTROL.pattern})+"


def _rewrite(view: Cleaned, pieces: Iterable[Piece]) -> Cleaned:
    """Replace pieces (start, end, new text), in order and apart from each other. Each new character is aligned to all
    that its piece replaced."""
    texts: list[str] = []
    starts: list[Offsets] = []
    ends: list[Offsets] = []
    old = view.alignment
    position = 0
    for start, end, new in pieces:
        texts += (view.text[position:start], new)
        starts += (old.starts[position:start], np.full(len(new), old.starts[start]))
        ends += (old.ends[position:start], np.full(len(new), old.ends[end - 1]))
        position = end
    if not texts:
        return view
    texts.append(view.text[position:])
    starts.append(old.starts[position:])
    ends.append(old.ends[position:])
    return Cleaned("".join(texts), Alignment(np.concatenate(starts), np.concatenate(ends), old.length))


def _markup_pieces(text: str) -> Iterable[Piece]:
    pieces = [(*match.span(), "") for match in _TAG.finditer(text)]
    for match in _CHARACTER_REFERENCE.finditer(text):
        decoded = html.unescape(match[0])
        if decoded != match[0] and not ("\ud800" <= decoded[:1] <= "\udfff"):
            pieces.append((*match.span(), decoded))
    return sorted(pieces)


def _normalised_pieces(text: str, form: Literal["NFC", "NFKC"]) -> Iterable[Piece]:
    for match in _CLUSTER.finditer(text):
        # An ASCII letter before the run may be the base of its first mark.
        start = match.start()
        if start and unicodedata.combining(text[start]) and text[start - 1].isascii():
            start -= 1
        yield from _clusters(text, start, match.end(), form)


def _clusters(text: str, start: int, end: int, form: Literal["NFC", "NFKC"]) -> Iterable[Piece]:
    """Cut a run at characters that nothing before them can change, so that alignment stays fine; normalise each part."""
    first = start
    for position in range(start + 1, end + 1):
        if position == end or _is_boundary(text[position]):
            part = text[first:position]
            if (new := unicodedata.normalize(form, part)) != part:
                yield first, position, new
            first = position


def _is_boundary(character: str) -> bool:
    """May a cluster begin here? Not at a combining mark, nor at a Hangul vowel or final, which join what is before."""
    if unicodedata.combining(character) or "\u1160" <= character <= "\u11ff":
        return False
    return unicodedata.category(character) not in ("Mn", "Mc") and not (
        unicodedata.combining(unicodedata.normalize("NFKD", character)[0])
    )


def _lowered_pieces(text: str) -> Iterable[Piece]:
    # Character by character, since a lower-cased text may be longer than the original ("İ").
    return (
        (position, position + 1, lower)
        for position, character in enumerate(text)
        if (lower := character.lower()) != character
    )


def _space_pieces(text: str) -> Iterable[Piece]:
    for match in _SPACE.finditer(text):
        new = "" if match.start() == 0 or match.end() == len(text) else " "
        if match[0] != new:
            yield (*match.span(), new)

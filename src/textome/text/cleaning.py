"""Cleaning that never loses its way back: a normalised view of a text, aligned to the original.

Every step rewrites pieces of the text and keeps, for each character of the result, which characters of the original it
came from. Spans found in the cleaned text are so mapped back to the original, where annotations live.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html.entities import html5
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from textome.documents import Document, Entity, Label, Passage, Relation, Span

Offsets = NDArray[np.int64]
Piece = tuple[int, int, str]
Form = Literal["NFC", "NFKC"]

# Inline tags go without a trace; those that begin a line leave a line break, or words would run together. Attributes must
# look like attributes: in "a<b and c>d" nothing is a tag.
_INLINE = r"i|b|u|s|a|em|strong|sub|sup|inf|sc|tt|small|big|font|span|italic|bold|underline|xref|(?:jats|mml|ce):[\w-]+"
_LINE = r"p|br|div|li|ul|ol|tr|td|th|table|h[1-6]"
_TAG = re.compile(
    rf"""</?(?:(?P<line>{_LINE})|{_INLINE})(?:\s++[\w:.-]++\s*+=\s*+(?:"[^"<>]*+"|'[^'<>]*+'))*+\s*+/?>""",
    re.IGNORECASE,
)
# "&amp;lt;" has been escaped twice on its way here.
_CHARACTER_REFERENCE = re.compile(r"&(?:amp;){0,3}(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}\d{0,2});")
# Soft hyphen, zero-width space, word joiner, byte order mark, direction marks; then the control characters that are no
# white space. The zero-width joiner and non-joiner stay: they change how words of some scripts, and emoji, are read.
_HIDDEN = re.compile(
    "[\u00ad\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]+"
)
_WHITE_SPACE = re.compile(r"\s+")
_HYPHEN_AT_LINE_END = re.compile(r"(?<=[a-z])-[ \t]*+\r?\n[ \t]*+(?=[a-z])")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class CleaningOptions:
    """Which steps are done, in the order in which they stand here. All off is the identity.

    markup         decode character references (`&lt;`, `&#946;`), then drop tags (`<sub>`, `</i>`)
    control        drop control characters and those that nobody sees (zero-width space, soft hyphen, direction marks)
    dehyphenate    join words that a line end has cut ("can-\\ncer"); off, since it also joins "cell-\\nfree"
    unicode_form   NFC composes accents; NFKC also folds ligatures, full-width letters and superscripts ("m²" to "m2")
    lowercase      lower-case letters, for uncased models and for counting
    white_space    fold each run of white space, line breaks too, into one space, and drop it at both ends

    Cleaning twice gives the same as cleaning once, but for `markup` and `dehyphenate`, which can uncover new remains.
    """

    markup: bool = True
    control: bool = True
    dehyphenate: bool = False
    unicode_form: Form | None = "NFC"
    lowercase: bool = False
    white_space: bool = True


@dataclass(frozen=True, slots=True)
class Alignment:
    """For each cleaned character, the half-open range of original characters it came from.

    starts, ends   (n,) int64, neither ever falling; `length` is that of the original, in code points
    """

    starts: Offsets
    ends: Offsets
    length: int

    def to_original(self, start: int, end: int) -> Span:
        """The original range behind cleaned characters `start` to `end`.

        It covers all that these came from, and what was dropped between them. Raises ValueError for a range that is
        empty or outside the cleaned text.
        """
        if not 0 <= start < end <= len(self.starts):
            raise ValueError(f"{start}-{end} is empty or outside the cleaned text of {len(self.starts)} characters")
        return Span(int(self.starts[start]), int(self.ends[end - 1]))

    def to_cleaned(self, start: int, end: int) -> Span | None:
        """The cleaned range that came from original characters `start` to `end`, or None where nothing of it is left.

        Raises ValueError for a range that is empty or outside the original text.
        """
        if not 0 <= start < end <= self.length:
            raise ValueError(f"{start}-{end} is empty or outside the original text of {self.length} characters")
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left"))
        return Span(first, last) if first < last else None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned text and the way back to the original."""

    text: str
    alignment: Alignment


def clean(text: str, options: CleaningOptions = CleaningOptions()) -> Cleaned:
    """A normalised view of `text`. The original is not changed; time is linear in its length."""
    positions = np.arange(len(text), dtype=np.int64)
    view = Cleaned(text, Alignment(positions, positions + 1, len(text)))
    form = options.unicode_form
    steps: list[tuple[bool, Callable[[str], Iterable[Piece]]]] = [
        (options.markup, _reference_pieces),
        (options.markup, _tag_pieces),
        (options.control, lambda text: _dropped(_HIDDEN, text)),
        (options.dehyphenate, lambda text: _dropped(_HYPHEN_AT_LINE_END, text)),
        (form is not None, lambda text: _normalised_pieces(text, form or "NFC")),
        (options.lowercase, _lengthening_pieces),
    ]
    for is_enabled, pieces in steps:
        if is_enabled:
            view = _rewrite(view, pieces(view.text))
    if options.lowercase:
        view = replace(view, text=view.text.lower())
        # Capital and small letters need not compose with the same marks.
        if form is not None:
            view = _rewrite(view, _normalised_pieces(view.text, form))
    return _rewrite(view, _space_pieces(view.text)) if options.white_space else view


def clean_document(document: Document, options: CleaningOptions = CleaningOptions()) -> Document:
    """A new document with each passage cleaned and the annotations moved along.

    An entity or a label's span of which nothing is left (it was all markup or white space) is dropped, with the relations
    that need the entity.
    """
    return moved_to(document, [clean(passage.text, options) for passage in document.passages])[0]


def replace_pieces(document: Document, pieces: Sequence[Piece]) -> tuple[Document, Alignment]:
    """A new document with pieces of its text (start, end, new text) replaced and the annotations moved along, and the way
    back to the original.

    pieces   in order, none empty, apart from each other, each within one passage
    """
    views = []
    waiting = list(reversed(pieces))
    for passage in document.passages:
        positions = np.arange(len(passage.text), dtype=np.int64)
        own: list[Piece] = []
        while waiting and waiting[-1][1] <= passage.end:
            start, end, new = waiting.pop()
            own.append((start - passage.offset, end - passage.offset, new))
        views.append(_rewrite(Cleaned(passage.text, Alignment(positions, positions + 1, len(passage.text))), own))
    return moved_to(document, views)


def moved_to(document: Document, views: Sequence[Cleaned]) -> tuple[Document, Alignment]:
    """The document with the texts of its passages replaced by these and the annotations moved along, and the way back."""
    passages: list[Passage] = []
    starts: list[Offsets] = []
    ends: list[Offsets] = []
    old_end = new_end = 0
    for passage, view in zip(document.passages, views, strict=True):
        gap = np.arange(old_end, passage.offset, dtype=np.int64)
        starts += (gap, view.alignment.starts + passage.offset)
        ends += (gap + 1, view.alignment.ends + passage.offset)
        passages.append(replace(passage, text=view.text, offset=new_end + len(gap)))
        old_end, new_end = passage.end, passages[-1].end
    empty = np.zeros(0, dtype=np.int64)
    alignment = Alignment(np.concatenate([empty, *starts]), np.concatenate([empty, *ends]), old_end)
    bare = replace(document, passages=tuple(passages), entities=(), relations=(), labels=())
    labels = [moved for label in document.labels if (moved := _moved_label(label, alignment, document, bare))]
    entities = [kept for entity in document.entities if (kept := _moved(entity, alignment, bare))]
    lost = {entity.id for entity in document.entities} - {entity.id for entity in entities} - {""}
    return bare.with_labels(labels).with_annotations(entities, without_lost(document.relations, lost)), alignment


def _moved(entity: Entity, alignment: Alignment, view: Document) -> Entity | None:
    spans: list[Span] = []
    for span in entity.spans:
        if not (moved := alignment.to_cleaned(*span)):
            continue
        if spans and moved.start < spans[-1].end:  # two pieces of a mention have become one character
            moved = Span(spans[-1].start, max(moved.end, spans.pop().end))
        spans.append(moved)
    if not spans:
        return None
    text = view.text_at(spans)
    if _is_only_space(text, entity.text):
        return None
    return replace(entity, spans=tuple(spans), text=text)


def _moved_label(label: Label, alignment: Alignment, document: Document, view: Document) -> Label | None:
    if label.span is None:
        return label
    span = alignment.to_cleaned(*label.span)
    if not span or _is_only_space(view.text[slice(*span)], document.text[slice(*label.span)]):
        return None
    return replace(label, span=span)


def _is_only_space(text: str, before: str) -> bool:
    """Whether white space alone is left: a tag between two spaces goes with them into one space, which is nothing of it."""
    return text.isspace() and not before.isspace()


def without_lost(relations: Iterable[Relation], lost: set[str]) -> list[Relation]:
    """The relations that do not refer to a lost annotation, nor to a relation that so is lost itself."""
    kept = list(relations)
    while gone := [item for item in kept if any(target in lost for _, target in item.arguments)]:
        kept = [item for item in kept if item not in gone]
        lost = {item.id for item in gone} - {""}
    return kept


def _rewrite(view: Cleaned, pieces: Iterable[Piece]) -> Cleaned:
    """Replace pieces (start, end, new text), in order, none empty, apart from each other.

    Each new character is aligned to all that its piece replaced.
    """
    texts: list[str] = []
    bounds: list[tuple[int, int, int, int]] = []  # start, end, new length, 1 where the text is kept
    position = 0
    for start, end, new in pieces:
        texts += (view.text[position:start], new)
        bounds += ((position, start, start - position, 1), (start, end, len(new), 0))
        position = end
    if not bounds:
        return view
    texts.append(view.text[position:])
    bounds.append((position, len(view.text), len(view.text) - position, 1))
    start_of, end_of, length, kept = np.array(bounds, dtype=np.int64).T
    within = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    is_kept = np.repeat(kept, length)
    first = np.repeat(start_of, length) + within * is_kept
    last = np.where(is_kept, first, np.repeat(end_of, length) - 1)
    old = view.alignment
    return Cleaned("".join(texts), _shared_as_a_whole(Alignment(old.starts[first], old.ends[last], old.length)))


def _shared_as_a_whole(alignment: Alignment) -> Alignment:
    """Characters whose sources overlap all get what these are together.

    An acute accent that stands alone becomes a space and a mark in NFKC; where a space before it is folded with that space,
    the mark must not keep half of what the space came from.
    """
    starts, ends = alignment.starts, alignment.ends
    begins = np.ones(len(starts), dtype=bool)
    begins[1:] = starts[1:] >= ends[:-1]
    group = np.cumsum(begins) - 1
    last = np.append(np.flatnonzero(begins)[1:], len(starts)) - 1
    return replace(alignment, starts=starts[begins][group], ends=ends[last][group] if len(ends) else ends)


def _dropped(pattern: re.Pattern[str], text: str) -> Iterator[Piece]:
    return ((*match.span(), "") for match in pattern.finditer(text))


def _reference_pieces(text: str) -> Iterator[Piece]:
    for match in _CHARACTER_REFERENCE.finditer(text):
        name = match[1]
        # html.unescape also decodes a known beginning of an unknown name ("&notit;" to "¬it;"), so not for names.
        if (decoded := html.unescape(f"&{name};") if name[0] == "#" else html5.get(f"{name};")) is not None:
            yield *match.span(), decoded


def _tag_pieces(text: str) -> Iterator[Piece]:
    return ((*match.span(), "\n" if match["line"] else "") for match in _TAG.finditer(text))


def _normalised_pieces(text: str, form: Form) -> Iterator[Piece]:
    """Normalise cluster by cluster, so that the alignment stays fine."""
    if unicodedata.is_normalized(form, text):
        return
    for match in _BEYOND_ASCII.finditer(text):
        start, end = match.span()
        if start and not _begins_cluster(text[start]):
            start -= 1  # an ASCII letter is the base of the first mark
        first = start
        for position in range(start + 1, end + 1):
            if position == end or _begins_cluster(text[position]):
                part = text[first:position]
                if (new := unicodedata.normalize(form, part)) != part:
                    yield first, position, new
                first = position


def _begins_cluster(character: str) -> bool:
    """Can nothing before this character change it? False for marks, and for what composes with a character before it.

    The latter are vowel signs, Hangul vowels and finals, and vowels of Kirat Rai (Unicode Standard Annex 15,
    section 9.1); also where only their compatibility decomposition is one, as with half-width Hangul.
    """
    if character < "\u0300":
        return True
    first = unicodedata.normalize("NFKD", character)[0]
    return not (
        unicodedata.combining(first)
        or unicodedata.category(first) in ("Mn", "Mc")
        or "\u1160" <= first <= "\u11ff"
        or "\U00016d63" <= first <= "\U00016d67"
    )


def _lengthening_pieces(text: str) -> Iterator[Piece]:
    """The one letter that becomes longer when lower-cased, so that all others can be lower-cased at once."""
    return ((*match.span(), match[0].lower()) for match in re.finditer("İ", text))


def _space_pieces(text: str) -> Iterator[Piece]:
    for match in _WHITE_SPACE.finditer(text):
        new = "" if match.start() == 0 or match.end() == len(text) else " "
        if match[0] != new:
            yield *match.span(), new

"""The other names that a document has for what an entity names: "6-hydroxydopamine (6-OHDA)", "podocin (NPHS2)"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from textome.documents import Span
from textome.text.abbreviations import find_abbreviations

_SHORT_FORM = re.compile(r"(?=.*[A-Z].*[A-Z])\S{2,7}")
_MIN_ADDED = 4  # code points that a name has more than its short form
_OPENINGS = frozenset([" (", " [", "("])
_CLOSINGS = frozenset([")", "]"])


class OtherName(NamedTuple):
    """A name and another of the same.

    is_explained  it is a short name in brackets behind the other
    is_spelt_out  it is a short form of the other, which the document does not say
    """

    name: str
    other: str
    is_explained: bool = False
    is_spelt_out: bool = False


def other_names(
    spans_of: Mapping[str, Sequence[Span]], text: str, long_forms: Mapping[str, str]
) -> Iterator[OtherName]:
    """The other names of the entities of one type.

    A long form has its short form, and a name in capitals without definition the one that it may be short for, if "A (B)"
    would define it. "A (B)", where both are entities, names one thing: of genes in 99, of chemicals in 94 of 100 places in
    training documents whose letters do not tell it already.

    spans_of    where each name stands
    long_forms  the long forms of the short forms that the document defines
    """
    for short, long in long_forms.items():
        if short in spans_of and long in spans_of:
            yield OtherName(long, short)
    for name in spans_of:
        if name not in long_forms and _SHORT_FORM.fullmatch(name):
            spelt_out = (other for other in spans_of if _is_short_for(name, other))
            yield from (OtherName(name, other, is_spelt_out=True) for other in spelt_out)
    for before, within in dict.fromkeys(_with_brackets(spans_of, text)):
        if within not in long_forms:
            yield OtherName(before, within)
            yield OtherName(within, before, len(within) < len(before) and not within.islower())


def _is_short_for(name: str, other: str) -> bool:
    if len(other) < len(name) + _MIN_ADDED or other.isupper() or other[0].lower() != name[0].lower():
        return False
    if any(sign.isdigit() and sign not in other for sign in name):
        return False
    return any(item.long == Span(0, len(other)) for item in find_abbreviations(f"{other} ({name})"))


def _with_brackets(spans_of: Mapping[str, Sequence[Span]], text: str) -> Iterator[tuple[str, str]]:
    """The pairs of entities that stand as "A (B)"."""
    in_order = sorted((span.start, span.end, name) for name, spans in spans_of.items() for span in spans)
    for (_, end, before), (start, last, within) in pairwise(in_order):
        if text[end:start] in _OPENINGS and text[last : last + 1] in _CLOSINGS:
            yield before, within

"""The other names that a document has for what an entity names: "6-hydroxydopamine (6-OHDA)", "podocin (NPHS2)"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from textome.documents import Span

_ALL_BUT_INITIALS = re.compile(r"(?<=\w)\w+|\W+")
_OPENINGS = frozenset([" (", " [", "("])
_CLOSINGS = frozenset([")", "]"])


class OtherName(NamedTuple):
    """A name and another of the same. `is_explained`: it is a short name in brackets behind the other."""

    name: str
    other: str
    is_explained: bool


def other_names(
    spans_of: Mapping[str, Sequence[Span]], text: str, long_forms: Mapping[str, str]
) -> Iterator[OtherName]:
    """The other names of the entities of one type.

    A long form has its short form, and a name in capitals the one of which they are the initials. "A (B)", where both are
    entities, names one thing: of genes in 99, of chemicals in 94 of 100 places in training documents whose letters do not
    tell it already.

    spans_of    where each name stands
    long_forms  the long forms of the short forms that the document defines
    """
    for short, long in long_forms.items():
        if short in spans_of and long in spans_of:
            yield OtherName(long, short, False)
    of_initials = {_ALL_BUT_INITIALS.sub("", name).upper(): name for name in spans_of if " " in name}
    for name in spans_of:
        if name.isupper() and name not in long_forms and (spelt_out := of_initials.get(name)):
            yield OtherName(name, spelt_out, False)
    for before, within in dict.fromkeys(_with_brackets(spans_of, text)):
        if within not in long_forms:
            yield OtherName(before, within, False)
            yield OtherName(within, before, len(within) < len(before) and not within.islower())


def _with_brackets(spans_of: Mapping[str, Sequence[Span]], text: str) -> Iterator[tuple[str, str]]:
    """The pairs of entities that stand as "A (B)"."""
    in_order = sorted((span.start, span.end, name) for name, spans in spans_of.items() for span in spans)
    for (_, end, before), (start, last, within) in pairwise(in_order):
        if text[end:start] in _OPENINGS and text[last : last + 1] in _CLOSINGS:
            yield before, within

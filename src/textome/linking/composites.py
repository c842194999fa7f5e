"""Composite mentions: "breast and ovarian cancer" names two concepts."""

from __future__ import annotations

from collections.abc import Iterator

from textome.patterns import lazy_pattern

_SEPARATOR = lazy_pattern(
    r"\s*,\s*(?:and|or)\s+|\s+(?:and/or|and|or|as well as)\s+(?:some other\s+|other\s+)?|\s*[,/;]\s*"
)
_MAX_PARTS = 6
# A compound with an isotope: "[3H]dopamine", "14C-glucose".
_LABELLED = lazy_pattern(
    r"\[?((?:2|3)H|1[134]C|1[35]N|18F|3[23]P|35S|99mTc|1(?:11In|23I|24I|25I|31I)|64Cu|68Ga)\]?[- ]?(?=[A-Za-z]{3})(.+)"
)


def parts_of(name: str) -> Iterator[list[str]]:
    """The ways to take a name as several, the likeliest first.

    "breast and ovarian cancer" gives breast cancer and ovarian cancer; "cancer of the breast and ovary" cancer of the
    breast and cancer of the ovary; "pain and fever" pain and fever. Nothing where the name joins nothing.
    """
    if match := _LABELLED.fullmatch(name):
        yield [match[2], match[1]]
    pieces = [piece.strip() for piece in _SEPARATOR.split(name)]
    if not 2 <= len(pieces) <= _MAX_PARTS or not all(pieces):
        return
    last = pieces[-1].split()
    for count in range(1, len(last)):
        head = " ".join(last[-count:])
        yield [*(f"{piece} {head}" for piece in pieces[:-1]), pieces[-1]]
    first = pieces[0].split()
    for count in range(len(first) - 1, 0, -1):
        head = " ".join(first[:count])
        yield [pieces[0], *(f"{head} {piece}" for piece in pieces[1:])]
    yield pieces

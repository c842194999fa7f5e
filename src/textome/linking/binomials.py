"""Abbreviated names of species: "E. coli" where the text also says "Escherichia coli"."""

from __future__ import annotations

import re
from collections.abc import Iterable

from textome.patterns import lazy_pattern

_SCIENTIFIC = lazy_pattern(r"[A-Z](?:[a-z]+|[a-z]{0,3}\.)\s?[a-z-]{3,}(?:\s.*)?", re.DOTALL)
_BINOMIAL = lazy_pattern(r"[A-Z][a-z]+\s([a-z-]{5,})")
_ENDING = lazy_pattern(r"(?:ae|ii|us|um|is|os|on|a|e|i)$")
FAMILY = lazy_pattern(r"[A-Z][a-z]+(?:idae|aceae)")  # the endings that the codes of nomenclature prescribe
_ADJECTIVE = lazy_pattern(r"(?:ial|al)$", re.IGNORECASE)
_NOUNS = {"erial": ("ia", "ium"), "occal": ("us", "i"), "viral": ("us",), "ungal": ("us", "i")}
_MIN_ADJECTIVE = 7
_ABBREVIATED = lazy_pattern(r"([A-Z])([a-z]{0,3})\.\s?([a-z-]{3,})(.*)", re.DOTALL)


def full_binomials(name: str, text: str, names: Iterable[str]) -> list[str]:
    """An abbreviated name with its genus as the text writes it, the likeliest first; none where it is not abbreviated.

    text    may say the whole name elsewhere
    names   of organisms in the text; their first words may be the genus
    """
    match = _ABBREVIATED.fullmatch(name)
    if match is None:
        return []
    letter, more, epithet, rest = match.groups()
    pattern = re.compile(rf"\b({letter}{more}[a-z]{{3,}})\s+{re.escape(epithet)}\b")
    if full := pattern.search(text) or re.search(pattern.pattern, text, re.IGNORECASE):
        return [f"{full[1]} {epithet}{rest}"]
    genus = re.compile(rf"{letter}{more}[a-z]{{3,}}(?!\S)")
    genera = dict.fromkeys(match[0] for each in names if (match := genus.match(each)))
    return [f"{each} {epithet}{rest}" for each in genera]


def any_genus(name: str, family: str = "") -> str | None:
    """The name of a species without its genus, as an index keeps those that a single species of all has, or of a family
    by its CURIE: taxonomists move species from one genus to another, and the epithet stays but for its ending. None where
    the name is not a binomial."""
    match = _BINOMIAL.fullmatch(name)
    return f"anygenus {family} {_ENDING.sub('', match[1])}" if match else None


def nouns_of(name: str) -> list[str]:
    """The names that an adjective is made from: of `streptococcal` streptococcus, of `adenoviral` adenovirus."""
    return [_ADJECTIVE.sub(ending, name) for ending in _NOUNS.get(name[-5:].lower(), ()) if len(name) > _MIN_ADJECTIVE]


def is_scientific(name: str) -> bool:
    """Whether a name looks like one of a species: genus, also abbreviated, and epithet."""
    return _SCIENTIFIC.fullmatch(name) is not None


def species_of_strain(name: str) -> str | None:
    """The first two words of a name that has more, as of `Vibrio vulnificus CMCP6`; None where they are not a binomial."""
    match = re.match(r"([A-Z](?:[a-z]+|\.) [a-z-]{3,})\s+\S", name)
    return match[1] if match else None

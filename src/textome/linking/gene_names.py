"""Other ways to write the name of a gene or protein: "alpha-synuclein" is "synuclein alpha" in the terminologies.

Names are looked up in these forms only where they are not found as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from textome.patterns import lazy_pattern

_GREEK = {"a": "alpha", "b": "beta", "g": "gamma", "d": "delta", "k": "kappa"}
_ROMAN = {
    "i": "1",
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "v": "5",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
    "x": "10",
}
_ARABIC = {number: roman for roman, number in _ROMAN.items()}
_LETTER = lazy_pattern(r"(.*\w)[ -]?([abgdk])")
# What stands after a symbol: the letter of an isoform, as in `OCT4A`, and knock-outs and transgenes.
_ISOFORM = lazy_pattern(r"(?:[Hh]um?)?([A-Za-z][\w-]*\d+)(?:[A-Za-z]|K[OD]|[Tt]g)|[Hh]um?([A-Z]\w{2,})")
# An isoform of a symbol with a number: `NRG-1 beta`.
_GREEK_ISOFORM = lazy_pattern(r"(.*\d)[ -]?(?:alpha|beta|gamma|delta|[αβγδ])", re.IGNORECASE)
_WORD = lazy_pattern(r"[^\s_-]+")
_OF = lazy_pattern(r"(.+?)\s+(?:of|for)\s+(?:the\s+)?(.+)")
_BETWEEN = lazy_pattern(r"\s*\([^()]*\)\s*")
# Words that come and go: "PI3K p110 subunit", "pro-IL-1 beta".
_FRINGE = frozenset(
    {"type", "subtype", "subunit", "isoform", "isoenzyme", "isozyme", "chain", "precursor", "antigen", "homolog",
     "homologue", "gene", "genes", "protein", "proteins", "polypeptide", "enzyme", "family", "member", "allele", "pro",
     "pre", "human", "mouse", "murine", "rat", "hum", "hu", "cytosolic", "soluble", "phospho", "total", "mutant"}
)  # fmt: skip
_JOINT = lazy_pattern(r"\s*(?:,\s*(?:and|or)\b|[/,&]|\b(?:and|or)\b)\s*-?")
# What the members of a series differ in: "ERK1/2", "S100A8/A9", "UGT1A9 and 1A1", "GRO alpha/beta", "SMC I and II".
_MEMBERS = tuple(
    (lazy_pattern(rf"(.*?[A-Za-z)]\d*?[ -]?)({member})"), lazy_pattern(member))
    for member in (
        r"\d+[a-z]?",
        r"[A-Z]\d+",
        r"\d+[A-Z]\d+",
        r"[IVX]+",
        r"(?:alpha|beta|gamma|delta|epsilon|[αβγδε])(?:[IVX]+|\d+)?",
    )
)
_RECEPTOR = lazy_pattern(r"(\S+)[ -]receptors?( (?:alpha|beta|gamma|\d+))?", re.IGNORECASE)
_MAX_FORMS = 24


def spellings(name: str) -> Iterator[str]:
    """Other forms of a name, the likeliest first, at most `_MAX_FORMS`."""
    forms = {name: None}
    for form in forms_of(name):
        forms.setdefault(form)
        if len(forms) > _MAX_FORMS:
            break
    yield from list(forms)[1:]


def forms_of(name: str) -> Iterator[str]:
    bare = _BETWEEN.sub(" ", name).strip()
    if bare != name:
        yield bare
    if match := _LETTER.fullmatch(bare):
        yield f"{match[1]} {_GREEK[match[2]]}"
    if match := _ISOFORM.fullmatch(bare):
        yield match[1] or match[2]
    if match := _GREEK_ISOFORM.fullmatch(bare):
        yield match[1]
    words = _WORD.findall(bare)
    if len(words) < 2:
        return
    if match := _RECEPTOR.fullmatch(bare):
        yield f"{match[1]}R{match[2] or ''}"
    folded = [_folded(word) for word in words]
    if match := _OF.fullmatch(" ".join(folded)):
        yield f"{match[2]} {match[1]}"
    kept = [word for word in folded if word.lower() not in _FRINGE]
    for each in (folded, kept):
        for turned in (each, [*each[1:], *each[:1]], [*each[-1:], *each[:-1]], [*each[2:], *each[:2]]):
            yield " ".join(turned)
            yield " ".join(_ROMAN.get(word.lower(), word) for word in turned)
            yield " ".join(_ARABIC.get(word, word) for word in turned)


def series_of(name: str) -> list[str]:
    """The names that a series stands for: "ERK1/2" is ERK1 and ERK2; nothing where it is not a series."""
    first, *others = _JOINT.split(name)
    for of_first, of_others in _MEMBERS if others else ():
        match = of_first.fullmatch(first)
        if match and all(map(of_others.fullmatch, others)):
            return [first, *(f"{match[1]}{other}" for other in others)]
    return []


def _folded(word: str) -> str:
    """A word without the s of a plural, where it is a word and no symbol."""
    return word[:-1] if len(word) > 4 and word.islower() and word[-1] == "s" and word[-2] not in "sui" else word

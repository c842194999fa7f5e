"""Abbreviated names of species: "E. coli" where the text also says "Escherichia coli"."""

from __future__ import annotations

import re

_ABBREVIATED = re.compile(r"([A-Z])([a-z]{0,3})\.\s?([a-z-]{3,})(.*)", re.DOTALL)


def full_binomial(name: str, text: str) -> str | None:
    """The name with its genus as the text writes it elsewhere; None where it is not abbreviated or never written out."""
    match = _ABBREVIATED.fullmatch(name)
    if match is None:
        return None
    letter, more, epithet, rest = match.groups()
    pattern = re.compile(rf"\b({letter}{more}[a-z]{{3,}})\s+{re.escape(epithet)}\b")
    found = pattern.search(text) or re.search(pattern.pattern, text, re.IGNORECASE)
    return f"{found[1]} {epithet}{rest}" if found else None


def species_of_strain(name: str) -> str | None:
    """The first two words of a name that has more, as of `Vibrio vulnificus CMCP6`; None where they are no binomial."""
    match = re.match(r"([A-Z](?:[a-z]+|\.) [a-z-]{3,})\s+\S", name)
    return match[1] if match else None

"""Variants of a protein as its mutations, in the notation of a wild type's residue, its number from 1, and the new one."""

from __future__ import annotations

import re

from textome.errors import InputError

_MUTATION = re.compile(r"(?:p\.)?([A-Z])(\d+)([A-Z])", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s;:,/+]+")
_WILD_TYPE = frozenset(("", "wt", "wild type", "wildtype", "_wt"))


def mutated(wild_type: str, notation: str) -> str:
    """The sequence with mutations as V39A;D40G, with any of `;:,/+` or blanks between them; "WT" or nothing: none of them.

    The notation is that of the HGVS with one letter a residue (den Dunnen et al. 2016), `p.` left out or not.

    Raises InputError for another notation, a position that the wild type does not have, two mutations at one position, and
    a residue that is not what the wild type has there.
    """
    letters = list(wild_type)
    if notation.strip().casefold() in _WILD_TYPE:
        return wild_type
    changed: set[int] = set()
    for item in filter(None, _BETWEEN.split(notation.strip())):
        if not (match := _MUTATION.fullmatch(item)):
            raise InputError(f"{item!r} is not a mutation of one residue, as V39A is")
        before, number, after = match[1].upper(), int(match[2]), match[3].upper()
        if not 1 <= number <= len(wild_type):
            raise InputError(
                f"{item}: the wild type has {len(wild_type)} residues; are positions counted from its first?"
            )
        if wild_type[number - 1] != before:
            raise InputError(
                f"{item}: the wild type has {wild_type[number - 1]} at position {number}, and not {before}"
            )
        if number in changed:
            raise InputError(f"{item}: position {number} is mutated twice")
        changed.add(number)
        letters[number - 1] = after
    return "".join(letters)

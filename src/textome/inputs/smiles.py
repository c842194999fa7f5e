"""SMILES as tokens: atoms, bonds, branches and rings (OpenSMILES), without RDKit."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError

SPECIAL = ("[PAD]", "[UNK]", "[MASK]")
PAD, UNKNOWN, MASK = range(len(SPECIAL))

# The grammar of OpenSMILES (opensmiles.org, section 2): atoms outside brackets, bonds, branches, ring closures.
_OUTSIDE = re.compile(r"\[[^\[\]]*\]|Br|Cl|[BCNOPSFIbcnops*]|[-=#$:/\\.~()]|%\d\d|%\(\d+\)|\d")
_INSIDE = re.compile(r"@@|[A-Z][a-z]?|[a-z]{1,2}|[\[\]@+\-:*\d]")
_ELEMENTS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh
Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr
Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og se as te si
"""
# Bracket atoms that are one token; every other is spelt, so that no molecule has an unknown token.
_COMMON = """
[nH] [C@H] [C@@H] [C@] [C@@] [N+] [O-] [n+] [NH+] [NH2+] [NH3+] [N-] [S+] [S-] [Na+] [Cl-] [Br-] [K+] [Si] [Se] [2H] [S@]
[S@@] [P@] [P@@] [H] [n-] [N@] [N@@] [nH+] [P+] [B-] [I+] [I-] [C-] [o+] [s+] [se] [Ca+2] [Li+]
"""
_OTHERS = "C c N n O o S s P p F I B b Cl Br - = # $ : / \\ . ~ ( ) * [ ] @ @@ + 0 1 2 3 4 5 6 7 8 9"
VOCABULARY: tuple[str, ...] = tuple(
    dict.fromkeys(
        [*SPECIAL, *_OTHERS.split(), *(f"%{n}" for n in range(10, 100)), *_COMMON.split(), *_ELEMENTS.split()]
    )
)
_NUMBERS = {token: number for number, token in enumerate(VOCABULARY)}


def tokens(smiles: str) -> list[str]:
    """The tokens of a SMILES string; a bracket atom that is not a common one is spelt by its parts.

    Joined they give the string again, except that %(n) ring numbers become %n. Raises InputError for a letter that is no
    SMILES, and says where.
    """
    parts: list[str] = []
    position = 0
    while position < len(smiles):
        match = _OUTSIDE.match(smiles, position)
        if match is None:
            raise InputError(f"{smiles!r}: character {position + 1} ({smiles[position]!r}) is not a SMILES")
        token = match.group().replace("(", "").replace(")", "") if match.group().startswith("%(") else match.group()
        parts += _spelt(token) if token.startswith("[") and token not in _NUMBERS else [token]
        position = match.end()
    if not parts:
        raise InputError("the SMILES is empty")
    if unknown := next((token for token in parts if token not in _NUMBERS), None):
        raise InputError(f"{smiles!r}: {unknown!r} is not an atom, bond or ring number that is known")
    return parts


def _spelt(atom: str) -> list[str]:
    """The parts of a bracket atom: isotope digits, element, chirality, hydrogens, charge, class (OpenSMILES 3.1)."""
    parts: list[str] = []
    for part in _INSIDE.findall(atom):
        if part in _NUMBERS:
            parts.append(part)
        else:  # "Hs" could be an element, but "Xy" only two letters
            parts += list(part)
    if "".join(parts) != atom:
        raise InputError(f"{atom!r} is not a bracket atom of SMILES")
    return parts


def encode(smiles: str) -> NDArray[np.int64]:
    """(tokens,) ids. Raises InputError as `tokens` does."""
    return np.array([_NUMBERS[token] for token in tokens(smiles)], np.int64)

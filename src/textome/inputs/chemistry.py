"""What RDKit knows of a molecule: whether it can exist, its scaffold, its other spellings, its fingerprint."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError, MissingExtraError
from textome.formats.reading.sources import Quarantine
from textome.inputs.molecule_files import Molecule, MoleculeTable, split_by_scaffold

FINGERPRINT_SIZE = 2048


@contextmanager
def _rdkit() -> Iterator[Any]:
    """RDKit's `Chem`, silent: it would print each problem itself. Raises MissingExtraError where it is not installed."""
    try:
        from rdkit import Chem, rdBase
    except ImportError as error:
        raise MissingExtraError("Reading the structure of molecules", "molecules") from error
    with rdBase.BlockLogs():
        yield Chem


def parsed(smiles: str) -> Any:
    """RDKit's molecule. Raises InputError for a SMILES that is none, or whose valences cannot be."""
    with _rdkit() as chem:
        molecule = chem.MolFromSmiles(smiles, sanitize=False)
        if molecule is None:
            raise InputError(f"{smiles!r} is not a SMILES: brackets, branches or rings do not close")
        problems = chem.DetectChemistryProblems(molecule)
        if problems:
            raise InputError(f"{smiles!r} is not a molecule: {problems[0].Message()}")
        chem.SanitizeMol(molecule)
        chem.AssignStereochemistry(molecule, cleanIt=True)
        if not molecule.GetNumAtoms():
            raise InputError("the SMILES is empty")
    return molecule


def spellings(smiles: str, count: int, seed: int) -> list[str]:
    """`count` SMILES of the same molecule from random atoms on (Bjerrum 2017), some of which may be the same.

    Raises InputError as `parsed` does.
    """
    with _rdkit() as chem:
        return [str(spelling) for spelling in chem.MolToRandomSmilesVect(parsed(smiles), count, randomSeed=seed)]


def scaffold(smiles: str) -> str:
    """SMILES of the ring systems and their links without stereochemistry, "" without rings (Bemis and Murcko 1996).

    Raises InputError as `parsed` does.
    """
    with _rdkit():
        from rdkit.Chem.Scaffolds import MurckoScaffold

        murcko: Any = MurckoScaffold
        return str(murcko.MurckoScaffoldSmiles(mol=parsed(smiles), includeChirality=False))


def fingerprints(molecules: Sequence[str], radius: int = 2, size: int = FINGERPRINT_SIZE) -> NDArray[np.uint8]:
    """(n, size) Morgan fingerprints (Rogers and Hahn 2010), radius 2 being ECFP4: what a classical model reads."""
    with _rdkit():
        from rdkit.Chem import rdFingerprintGenerator

        generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=size)
        return np.stack([generator.GetFingerprintAsNumPy(parsed(smiles)) for smiles in molecules])


@lru_cache(maxsize=4096)
def fingerprint_counts(smiles: str, radius: int = 2, size: int = FINGERPRINT_SIZE) -> NDArray[np.float32]:
    """(size,) how often each environment of a Morgan fingerprint occurs, as the logarithm of 1 + count.

    Raises InputError as `parsed` does.
    """
    with _rdkit():
        from rdkit.Chem import rdFingerprintGenerator

        generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=size)
        return np.asarray(np.log1p(generator.GetCountFingerprintAsNumPy(parsed(smiles))), np.float32)


def computed(smiles: str, names: Sequence[str]) -> tuple[float, ...]:
    """RDKit's descriptors by name, as "MolLogP" or "TPSA"; NaN for what it cannot compute. Raises InputError for others."""
    with _rdkit():
        from rdkit.Chem import Descriptors

        known = dict(Descriptors.descList)
        if unknown := [name for name in names if name not in known]:
            near = difflib.get_close_matches(unknown[0], known, n=1)
            raise InputError(
                f"RDKit has no descriptor {unknown[0]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        molecule = parsed(smiles)
        return tuple(float(known[name](molecule)) for name in names)


def prepared(
    table: MoleculeTable,
    source: str,
    quarantine: Quarantine,
    count: int = 20,
    seed: int = 0,
    descriptors: Sequence[str] = (),
) -> MoleculeTable:
    """The valid molecules with their scaffold, `count` other spellings, RDKit's `descriptors` as further targets, and the
    part of the scaffold split that they belong to.

    Molecules that cannot exist go to the quarantine. Rows of one molecule are all kept, as MoleculeNet does.
    """
    kept: list[Molecule] = []
    for number, molecule in enumerate(table.molecules):
        try:
            parsed(molecule.smiles)
        except InputError as error:
            quarantine.add(source, molecule.position, error)
            continue
        kept.append(
            replace(
                molecule,
                values=(*molecule.values, *(computed(molecule.smiles, descriptors) if descriptors else ())),
                scaffold=scaffold(molecule.smiles),
                spellings=tuple(spellings(molecule.smiles, count, seed + number + 1)) if count else (),
            )
        )
    return split_by_scaffold(MoleculeTable((*table.targets, *descriptors), kept))

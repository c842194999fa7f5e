"""Libraries of molecules to screen: tables with a column of SMILES, or lines of a SMILES and a name."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from textome.documents import replace_lone_surrogates
from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.molecule_files import read_molecules
from textome.inputs.smiles import tokens


@dataclass(frozen=True, slots=True)
class LibraryMolecule:
    """A molecule as SMILES, its name, and where it stands: the file and the line."""

    name: str
    smiles: str
    source: str
    position: str


def read_library(path: str, smiles: str, name: str | None, quarantine: Quarantine) -> Iterator[LibraryMolecule]:
    """The molecules of a table with a header, as `molecule_files.read_molecules` reads it, or, where the first line is no
    header with the column `smiles`, of lines of a SMILES and, after a blank, a name.

    name   the column of the names; None takes the column `name` if there is one, else the number of the line

    Lines that are not SMILES are quarantined. Raises InputError for a folder, and for a column that the header lacks.
    """
    source = Source.of(path)
    if source.is_directory:
        raise InputError(f"{path}: a directory; give a file of molecules")
    first = source.head(4096).decode("utf-8-sig", errors="replace").partition("\n")[0]
    header = [cell.strip().strip('"') for cell in first.replace("\t", ",").replace(";", ",").split(",")]
    if smiles in header:
        column = name or ("name" if "name" in header else None)
        for molecule in read_molecules(source, smiles, (), quarantine, column).molecules:
            yield LibraryMolecule(molecule.name, molecule.smiles, source.name, molecule.position)
    elif name is not None or "," in first:
        raise InputError(f"{path}: there is no column {smiles!r}; the header has {', '.join(header)}; give --smiles")
    else:
        yield from _lines(source, quarantine)


def _lines(source: Source, quarantine: Quarantine) -> Iterator[LibraryMolecule]:
    number = 0
    try:
        with source.open_text() as raw:
            for number, line in enumerate(io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape"), 1):
                smiles, _, name = replace_lone_surrogates(line).strip().replace("\t", " ").partition(" ")
                if not smiles or smiles.startswith("#"):
                    continue
                try:
                    tokens(smiles)
                except InputError as error:
                    quarantine.add(source.name, f"line {number}", error)
                    continue
                yield LibraryMolecule(name.strip() or f"line {number}", smiles, source.name, f"line {number}")
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, f"after line {number}", f"the file is damaged or cut short ({error})")

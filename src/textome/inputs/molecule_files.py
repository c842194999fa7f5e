"""Molecules out of tables, and files that hold what RDKit computed of them; see `chemistry`."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats.reading.rows import check_decoded, check_width, read_rows
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.smiles import tokens

# Columns that a message shows.
_SHOWN = 8
MISSING = frozenset(("", "na", "nan", "null", "none", "-", "?"))


@dataclass(frozen=True, slots=True)
class Molecule:
    """A molecule as SMILES, with one value for each target, NaN where it was not measured.

    scaffold   SMILES of its ring systems and what links them (Bemis and Murcko 1996), None where not computed
    spellings  other SMILES of the same molecule, for augmentation and averaging
    split      "train", "validation" or "test", None where not split
    """

    name: str
    smiles: str
    values: tuple[float, ...]
    position: str
    scaffold: str | None = None
    spellings: tuple[str, ...] = ()
    split: str | None = None


@dataclass(frozen=True)
class MoleculeTable:
    """Molecules and the names of what was measured, in the order of `Molecule.values`."""

    targets: tuple[str, ...]
    molecules: list[Molecule] = field(default_factory=list)

    def values(self) -> NDArray[np.float64]:
        """(n, targets) with NaN for what is missing."""
        return np.array([molecule.values for molecule in self.molecules], np.float64).reshape(-1, len(self.targets))


def is_prepared(source: Source) -> bool:
    """Whether `write_prepared` wrote this file."""
    return not source.is_directory and source.head(64).startswith(b'{"prepared"')


def read_molecules(
    source: Source, smiles: str, targets: Sequence[str], quarantine: Quarantine, name: str | None = None
) -> MoleculeTable:
    """The rows of a CSV file with a header.

    smiles    the column of the SMILES
    targets   the columns of what was measured; empty cells and "NA", "nan", "null", "none", "-", "?" are missing. A file
              with none of these columns is read without targets
    name      the column of the names; None numbers the lines

    Rows with another number of cells than the header, no readable SMILES, or a value that is not a number go to the
    quarantine; blank lines are left out. Raises InputError for a column that the header lacks. A file that
    `write_prepared` wrote is read as such; then `smiles` and `name` say nothing.
    """
    if source.is_directory:
        raise InputError(f"{source.name}: a directory; give a CSV file with a column of SMILES")
    if is_prepared(source):
        return read_prepared(source, targets)
    header: list[str] = []
    table = MoleculeTable(())
    for line, cells in read_rows(source, quarantine):
        if not header:
            header = [cell.strip() for cell in cells]
            table = MoleculeTable(tuple(targets) if set(targets) & set(header) else ())
            for column in (smiles, *table.targets, *([name] if name else [])):
                if column not in header:
                    raise InputError(f"{source.name}: there is no column {column!r}; {_columns(column, header)}")
        else:
            _read_row(cells, header, smiles, name, table, source, f"line {line}", quarantine)
    if not header:
        raise InputError(f"{source.name}: there is no column {smiles!r}; the file holds no header that can be read")
    return table


def _columns(column: str, header: Sequence[str]) -> str:
    """Which columns there are: the nearest to a name and the first ones, and how many more; tables may have hundreds."""
    near = difflib.get_close_matches(column.casefold(), [name.casefold() for name in header], n=1)
    hint = f"did you mean {header[[name.casefold() for name in header].index(near[0])]!r}? " if near else ""
    more = f" and {len(header) - _SHOWN:,} more" if len(header) > _SHOWN else ""
    keys = "input.smiles, input.name and input.targets of the recipe name columns"
    return f"{hint}the header has {', '.join(header[:_SHOWN])}{more}; {keys}"


def _read_row(
    cells: list[str],
    header: list[str],
    smiles: str,
    name: str | None,
    table: MoleculeTable,
    source: Source,
    position: str,
    quarantine: Quarantine,
) -> None:
    try:
        check_decoded(cells)
        check_width(cells, header)
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        tokens(row[smiles])
        values = tuple(value_of(row[target], target) for target in table.targets)
    except InputError as error:
        quarantine.add(source.name, position, error)
        return
    table.molecules.append(Molecule(row[name] if name else position, row[smiles], values, position))


def value_of(cell: str, column: str) -> float:
    """A cell as a number, NaN where it is missing. Raises InputError for any other text, and for infinity."""
    if cell.lower() in MISSING:
        return math.nan
    try:
        value = float(cell)
    except ValueError as error:
        raise InputError(f"{column} is {cell!r}, which is not a number") from error
    if not math.isfinite(value):
        raise InputError(f"{column} is {cell!r}; leave the cell empty where nothing was measured")
    return value


def write_prepared(table: MoleculeTable, provenance: dict[str, Any]) -> bytes:
    """JSON lines with what RDKit computed, so that a machine without it can train; the first line tells the targets."""
    lines: list[dict[str, Any]] = [{"prepared": "molecules", "targets": list(table.targets)} | provenance]
    for molecule in table.molecules:
        values = [None if math.isnan(value) else value for value in molecule.values]
        lines.append(
            {
                "name": molecule.name,
                "smiles": molecule.smiles,
                "values": values,
                "place": molecule.position,
                "scaffold": molecule.scaffold,
                "spellings": list(molecule.spellings),
                "split": molecule.split,
            }
        )
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def read_prepared(source: Source, targets: Sequence[str]) -> MoleculeTable:
    """What `write_prepared` wrote, with the targets that are asked for; none asks for all. Raises InputError for others."""
    with source.open() as raw:
        head, *lines = [json.loads(line) for line in raw]
    there = list(head["targets"])
    if missing := [target for target in targets if target not in there]:
        raise InputError(f"{source.name}: was prepared without {missing[0]!r}; {_columns(missing[0], there)}")
    chosen = [there.index(target) for target in targets] if targets else list(range(len(there)))
    table = MoleculeTable(tuple(there[number] for number in chosen))
    for line in lines:
        values = tuple(math.nan if line["values"][number] is None else line["values"][number] for number in chosen)
        line |= {"values": values, "spellings": tuple(line["spellings"])}
        table.molecules.append(Molecule(position=line.pop("place"), **line))
    return table


def split_by_scaffold(table: MoleculeTable, shares: tuple[float, float] = (0.8, 0.1)) -> MoleculeTable:
    """Each molecule with its `split`: the most frequent scaffolds train, the rare ones validate and test.

    shares   of training and validation; the rest is test

    Scaffolds in order of their number of molecules, equal ones by their first molecule, later first, fill the training part
    until the next would not fit, then validation, then test: as DeepChem's ScaffoldSplitter (Wu et al. 2018, section 3.3).
    Raises InputError where a scaffold was not computed.
    """
    groups: dict[str, list[int]] = {}
    for number, molecule in enumerate(table.molecules):
        if molecule.scaffold is None:
            raise InputError(f"{molecule.position}: the scaffold is not computed; prepare the molecules first")
        groups.setdefault(molecule.scaffold, []).append(number)
    total = len(table.molecules)
    sizes = {"train": 0, "validation": 0}
    limits = {"train": shares[0] * total, "validation": (shares[0] + shares[1]) * total}
    splits: dict[int, str] = {}
    for numbers in sorted(groups.values(), key=lambda numbers: (len(numbers), numbers[0]), reverse=True):
        if sizes["train"] + len(numbers) <= limits["train"]:
            part = "train"
        elif sizes["train"] + sizes["validation"] + len(numbers) <= limits["validation"]:
            part = "validation"
        else:
            part = "test"
        if part in sizes:
            sizes[part] += len(numbers)
        splits |= dict.fromkeys(numbers, part)
    molecules = [replace(molecule, split=splits[number]) for number, molecule in enumerate(table.molecules)]
    return MoleculeTable(table.targets, molecules)

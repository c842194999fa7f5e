"""Pairs of two things, each with its own modality and its own file, as molecules and the proteins that they bind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from textome.errors import InputError
from textome.formats.reading.rows import check_decoded, check_width, read_rows
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.molecule_files import value_of
from textome.inputs.records import Record, beside
from textome.inputs.together import Together


class Pairs(Together):
    """Rows of a table with a header: the two things of a pair, and what was measured of them.

    parts    the modality of each of the two, by the name of its column
    files    of a part whose column holds ids: the file with the records of these ids, relative to the table's folder. The
             column of a part without a file holds the thing itself, as SMILES or a sequence
    targets  the columns of what was measured; an empty cell is missing. A table to predict may have none of them

    A record is named FIRST/SECOND by its two columns; all columns but the targets are its attributes, so that `#fold=test`
    chooses rows, and `#protein:0-80%` those whose protein falls there.
    """

    kind: Literal["pairs"] = "pairs"  # type: ignore[assignment]
    files: dict[str, str] = Field(default_factory=dict)
    targets: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _two(self) -> Self:
        if len(self.parts) != 2:
            raise ValueError(f"parts are two, with the names of their columns; there are {len(self.parts)}")
        if unknown := [name for name in self.files if name not in self.parts]:
            raise ValueError(f"files names {unknown[0]!r}, which is not a part; the parts are {', '.join(self.parts)}")
        return self

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        source = Source.of(path)
        if source.is_directory:
            raise InputError(f"{path}: a directory; give a table of pairs")
        rows = read_rows(source, quarantine)
        header = [cell.strip() for cell in next(rows, (0, []))[1]]
        for column in self.parts:
            if column not in header:
                raise InputError(
                    f"{path}: there is no column {column!r}; the header has {', '.join(header) or 'nothing'}"
                )
        targets = tuple(name for name in self.targets if name in header)
        files = dict(zip(self.files, self.other_files(path), strict=True))
        shelves = {name: self.contents(name, file, quarantine) for name, file in files.items()}
        for line, cells in rows:
            try:
                check_decoded(cells)
                check_width(cells, header)
                row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
                yield self._pair(row, shelves, targets)
            except InputError as error:
                quarantine.add(source.name, f"line {line}", error)

    def other_files(self, path: str) -> list[str]:
        return [str(beside(path, file)) for file in self.files.values()]

    def contents(self, name: str, path: str, quarantine: Quarantine) -> dict[str, Any]:
        """The things of a file by their ids, read as the part `name` reads them. Raises InputError as `Modality.read`."""
        return {record.id: record.content for record in self.parts[name].read(path, quarantine)}

    def _pair(
        self, row: Mapping[str, str], shelves: Mapping[str, Mapping[str, Any]], targets: tuple[str, ...]
    ) -> Record:
        content: dict[str, Any] = {}
        for name, part in self.parts.items():
            cell = row[name]
            if name not in shelves:
                content[name] = part.from_text(cell)
            elif cell in shelves[name]:
                content[name] = shelves[name][cell]
            else:
                raise InputError(f"{name} {cell!r}: {self.files[name]} has no record of this name that can be read")
        values = {name: value_of(row[name], name) for name in targets}
        known = {name: value for name, value in values.items() if not math.isnan(value)}
        attributes = {name: value for name, value in row.items() if name not in self.targets}
        identity = "/".join(row[name] for name in self.parts)
        return Record(identity, metadata=attributes, content=content, target=known or None)

"""Rows of a table, as the measurements of a patient: numbers and categories with gaps, one token for each column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from textome.errors import InputError
from textome.formats.reading.rows import Row, check_decoded, read_rows
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.records import Modality, Record, Segment, Segments, Shape

GAPS = ("", "na", "nan", "null", "none", "?")
Cells = Mapping[str, str]


class Tables(Modality):
    """Tables with a header, CSV or TSV. A record is a patient; its content is the rows (column to cell), the latest last.

    A cell becomes a token: its standardised number, or its category, times learnt weights of its column (Gorishniy et al.
    2021, section 3.3). A gap has a weight of its own, and so has a category that no training record has.

    columns      those that are read; empty: all that have no other role
    categories   columns of numbers that are names, as a code of a ward; columns with words are categories anyway
    patient      the column with the patient's id: all rows of one are one record, so that splits are by patient. Without
                 such a column each row is a patient, named by its line
    order        the column that rows of a patient are sorted by, as the day of a visit
    visits       the last rows of a patient that are read
    landmarks    each visit is a record, with those before it, and `time` counts from it: for follow-up. Needs `order`, in
                 the unit of `time`
    label        the column with the class, for a classification
    time, event  the columns with the time of follow-up and what happened then, for the task survival. Tables of new
                 patients need neither these nor `label`
    events       the values of `event` that count; all others mean that the patient was well when last seen
    hidden       while training: the share of cells that are taken away, drawn anew for each reading
    numbers, values   of the training data: mean and standard deviation of each column of numbers, and the categories of
                 each other column
    """

    kind: Literal["table"] = "table"
    columns: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    patient: str = "id"
    order: str = ""
    visits: int = Field(1, ge=1)
    landmarks: bool = False
    label: str = ""
    time: str = ""
    event: str = ""
    events: tuple[str, ...] = ("1",)
    hidden: float = Field(0.0, ge=0, lt=1)
    numbers: dict[str, tuple[float, float]] = Field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _landmarks_have_an_order(self) -> Self:
        if self.landmarks and not self.order:
            raise ValueError("landmarks needs order, the column that says when a visit was")
        return self

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        source = Source.of(path)
        tab = re.sub(r"\.(gz|bz2|xz)$", "", source.name).endswith(".tsv")
        rows = read_rows(source, quarantine, "\t" if tab else None)
        header = [name.strip() for name in next(rows, Row(1, [])).cells]
        outcome = [name for name in (self.label, self.time, self.event) if name]
        is_known = any(name in header for name in outcome)
        needed = [name for name in (*self.columns, self.order, *(outcome if is_known else [])) if name]
        if self.landmarks:
            needed.append(self.patient)
        if missing := [name for name in needed if name not in header]:
            raise InputError(f"{source.name}: there is no column {missing[0]!r}; the columns are {', '.join(header)}")
        patients: dict[str, list[dict[str, str]]] = {}
        for line, cells in rows:
            try:
                check_decoded(cells)
                if len(cells) != len(header):
                    raise InputError(f"expected {len(header)} cells, found {len(cells)}")
                row = dict(zip(header, map(str.strip, cells), strict=True))
                if self.order:
                    _number(row[self.order], self.order)
                patients.setdefault(row.get(self.patient) or f"line-{line}", []).append(row)
            except InputError as error:
                quarantine.add(source.name, f"line {line}", error)
        for name, own in patients.items():
            if self.order:
                own.sort(key=lambda row: _number(row[self.order], self.order))
            for last in range(1, len(own) + 1) if self.landmarks else (len(own),):
                day = f"@{own[last - 1][self.order]}" if self.landmarks else ""
                try:
                    yield self._record(f"{name}{day}", own[:last])
                except InputError as error:
                    quarantine.add(source.name, f"patient {name}{day}", error)

    @property
    def follows(self) -> bool:
        return self.landmarks

    def moment_of(self, record: Record) -> tuple[str, float] | None:
        if not self.landmarks:
            return None
        return record.metadata[self.patient], _number(record.metadata[self.order], self.order)

    def fitted(self, records: Sequence[Record]) -> Self:
        rows = [row for record in records for row in record.content]
        names = self.columns or tuple(dict.fromkeys(name for row in rows for name in row))
        numbers: dict[str, tuple[float, float]] = {}
        values: dict[str, tuple[str, ...]] = {}
        for name in names:
            cells = [cell for row in rows if not _is_gap(cell := row.get(name, ""))]
            if not cells:
                raise InputError(f"no training record has a value in column {name!r}; leave it out of input.columns")
            if name not in self.categories and all(map(_is_number, cells)):
                column = np.array(cells, np.float64)
                numbers[name] = (float(column.mean()), float(column.std()) or 1.0)
            else:
                values[name] = tuple(sorted(set(cells)))
        return self.model_copy(update={"columns": names, "numbers": numbers, "values": values})

    def shapes(self) -> dict[str, Shape]:
        size = len(self.numbers) + sum(map(len, self.values.values())) + 2 * len(self.columns)
        return {"table": Shape("vectors", size, (len(self.columns), self.visits))}

    def features(self, content: Sequence[Cells]) -> Segments:
        """A token for each column of each of the last `visits` rows.

        Raises InputError for a row with none of the columns, and for a number that is none.
        """
        rows = list(content)[-self.visits :]
        if not rows or not any(name in row for row in rows for name in self.columns):
            raise InputError(f"the record has none of the columns that the model reads: {', '.join(self.columns)}")
        first: dict[str, int] = {}
        size = 0
        for name in self.columns:
            first[name] = size
            size += 2 + (1 if name in self.numbers else len(self.values[name]))
        vectors = np.zeros((len(rows) * len(self.columns), size), np.float32)
        positions = np.zeros((len(vectors), 2), np.int64)
        for visit, row in enumerate(rows):
            for number, name in enumerate(self.columns):
                token = visit * len(self.columns) + number
                offset, value = self._entry(name, str(row.get(name, "")))
                vectors[token, first[name] + offset] = value
                positions[token] = number, len(rows) - 1 - visit
        return {"table": Segment(vectors, positions)}

    def augmented(self, content: Sequence[Cells], generator: np.random.Generator) -> Sequence[Cells]:
        if not self.hidden:
            return content
        return [
            {name: "" if generator.random() < self.hidden else cell for name, cell in row.items()} for row in content
        ]

    def without(self, content: Sequence[Cells]) -> Iterator[tuple[str, Sequence[Cells]]]:
        """Each column that the model reads and a row has a value in, as a gap in all rows."""
        for name in self.columns:
            if not all(_is_gap(str(row.get(name, ""))) for row in content):
                yield name, [{**row, name: ""} for row in content]

    def token_names(self, content: Sequence[Cells]) -> dict[str, list[str]]:
        rows = list(content)[-self.visits :]
        return {"table": [f"{name} {row.get(name, '') or '-'}" for row in rows for name in self.columns]}

    def _entry(self, name: str, cell: str) -> tuple[int, float]:
        """Where a cell has its number in the vector of its column, and the number: a gap at 0, what is unknown at 1."""
        if _is_gap(cell):
            return 0, 1.0
        if name in self.numbers:
            mean, deviation = self.numbers[name]
            return 2, (_number(cell, name) - mean) / deviation
        known = self.values[name]
        return (2 + known.index(cell), 1.0) if cell in known else (1, 1.0)

    def _record(self, name: str, rows: list[dict[str, str]]) -> Record:
        last = rows[-1]
        target: str | dict[str, float] | None = None
        if self.label and not _is_gap(last.get(self.label, "")):
            target = last[self.label]
        gaps = [not name or _is_gap(last.get(name, "")) for name in (self.time, self.event)]
        if self.time and not all(gaps):  # without both the outcome is not known yet
            if any(gaps):
                raise InputError(f"there is no {self.time!r} or no {self.event!r}; both are needed")
            time = _number(last[self.time], self.time)
            if self.landmarks:
                time -= _number(last[self.order], self.order)
            if time < 0:
                raise InputError(f"the time {time:g} is negative")
            target = {"time": time, "event": float(last[self.event] in self.events)}
        roles = {self.patient, self.label, self.time, self.event}
        names = self.columns or tuple(key for key in last if key not in roles)
        content = [{key: row[key] for key in names} for row in rows[-self.visits :]]
        return Record(name, metadata={key: cell for key, cell in last.items() if cell}, content=content, target=target)


def _is_gap(cell: str) -> bool:
    return cell.strip().casefold() in GAPS


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _number(cell: str, name: str) -> float:
    if not _is_number(cell):
        raise InputError(f"column {name!r}: {cell!r} is not a number; leave a gap empty")
    return float(cell)

"""Signals from files.

    CSV or TSV   a header with the names of the channels; `id` says to which series a row belongs, `label` what it is, and
                 `time` is passed over; an empty cell, NA or NaN is a gap. Without `id` the file is one series. One label in
                 a series is that of the whole series; of several, each is that of its row
    robot        the layout of the UCI robot execution failures: a line with the label, then a block of lines of numbers
                 (force x, y, z and torque x, y, z), series parted by blank lines

A folder is all its files, one after another.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from textome.errors import InputError
from textome.formats.reading.rows import Row, check_decoded, read_rows
from textome.formats.reading.sources import NOT_UTF8, Quarantine, Source
from textome.inputs.records import Floats

ROBOT_CHANNELS = ("Fx", "Fy", "Fz", "Tx", "Ty", "Tz")
_GAPS = ("", "na", "nan", "null", "?")
_NO_CHANNEL = ("id", "label", "time")


@dataclass(frozen=True, slots=True)
class Series:
    """A signal (moments, channels) with NaN in its gaps; its channels also stand in the attribute `channels`.

    label   of the whole series; None where it has none, or where its moments have different ones
    labels  of each moment where they differ, "" where there is none
    """

    id: str
    channels: tuple[str, ...]
    values: Floats
    label: str | None
    attributes: dict[str, str]
    labels: tuple[str, ...] = ()

    def label_of(self, start: int, end: int) -> str | None:
        """The label of the moments [start, end): the most frequent one, of equally frequent ones the last."""
        if not self.labels:
            return self.label
        inside = [label for label in reversed(self.labels[start:end]) if label]
        return max(inside, key=inside.count) if inside else None


def read_series(path: str, channels: tuple[str, ...], quarantine: Quarantine) -> Iterator[Series]:
    """The series of a file or folder. With `channels`, these in this order; one that a file lacks is a gap throughout.

    Raises InputError where the path is missing, or no channel of `channels` is there.
    """
    source = Source.of(path)
    if source.is_directory:
        assert source.path is not None
        files = sorted(file for file in source.path.rglob("*") if file.suffix in (".csv", ".tsv", ".data"))
        if not files:
            raise InputError(f"{path}: the folder holds no signals (.csv, .tsv, .data)")
        for file in files:
            yield from read_series(str(file), channels, quarantine)
        return
    reader = _table if _is_table(source) else _robot
    for series in reader(source, quarantine):
        yield _chosen(series, channels, source.name) if channels else series


def _is_table(source: Source) -> bool:
    name = source.name.removesuffix(".gz")
    return name.endswith((".csv", ".tsv")) or b"," in source.head(4096).split(b"\n")[0]


def _chosen(series: Series, channels: tuple[str, ...], name: str) -> Series:
    if channels == series.channels:
        return series
    if not set(channels) & set(series.channels):
        raise InputError(
            f"{name}: none of the channels {', '.join(channels)} is there; the file has {', '.join(series.channels)}"
        )
    values = np.full((len(series.values), len(channels)), np.nan, np.float32)
    for number, channel in enumerate(channels):
        if channel in series.channels:
            values[:, number] = series.values[:, series.channels.index(channel)]
    return replace(
        series, channels=channels, values=values, attributes=series.attributes | {"channels": ",".join(channels)}
    )


def _table(source: Source, quarantine: Quarantine) -> Iterator[Series]:
    comma = not re.sub(r"\.(gz|bz2|xz)$", "", source.name).endswith(".tsv")
    rows = read_rows(source, quarantine, "," if comma else "\t")
    header = [name.strip() for name in next(rows, Row(1, [])).cells]
    own = [name.casefold() for name in header]
    where = {name: own.index(name) for name in _NO_CHANNEL if name in own}
    columns = [number for number, name in enumerate(own) if name not in _NO_CHANNEL]
    if not columns or len(set(own)) < len(own):
        raise InputError(f"{source.name}, line 1: expected a header with a different name for each channel")
    channels = tuple(header[number] for number in columns)
    rows_of: dict[str, list[list[float]]] = {}
    labels: dict[str, list[str]] = {}
    bad: dict[str, tuple[int, str]] = {}
    for number, row in rows:
        name = row[where["id"]].strip() if "id" in where and len(row) > where["id"] else Path(source.name).stem
        try:
            check_decoded(row)
        except InputError as error:
            quarantine.add(source.name, f"line {number}", error)
            continue
        if len(row) != len(header):
            bad.setdefault(name, (number, f"expected {len(header)} columns, found {len(row)}"))
            continue
        try:
            values = [_number(row[column]) for column in columns]
        except ValueError:
            column = next(column for column in columns if not _is_number(row[column]))
            reason = f"column {header[column]!r}: {row[column]!r} is not a number; leave a gap empty"
            bad.setdefault(name, (number, f"{reason} (id, label and time are no channels)"))
            continue
        rows_of.setdefault(name, []).append(values)
        labels.setdefault(name, []).append(row[where["label"]].strip() if "label" in where else "")
    for name, (number, reason) in bad.items():
        quarantine.add(source.name, f"line {number}, series {name}", reason)
    for name, series in rows_of.items():
        if name not in bad:
            attributes = {"channels": ",".join(channels)}
            kinds = set(labels[name]) - {""}
            each = tuple(labels[name]) if len(kinds) > 1 else ()
            label = kinds.pop() if len(kinds) == 1 else None
            yield Series(name, channels, np.asarray(series, np.float32), label, attributes, each)


def _number(cell: str) -> float:
    return float("nan") if cell.strip().casefold() in _GAPS else float(cell)


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _robot(source: Source, quarantine: Quarantine) -> Iterator[Series]:
    """Blocks of a label and rows of six numbers; a series is named by the file and its number."""
    stem = Path(source.name).name.partition(".")[0]
    attributes = {"channels": ",".join(ROBOT_CHANNELS)}
    with source.open_text() as raw:
        try:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig").read()
        except UnicodeDecodeError as error:
            raise InputError(f"{source.name}: {NOT_UTF8}") from error
    rows: list[list[float]] = []
    label, reason, started, number = "", "", 0, 0

    def ended() -> Iterator[Series]:
        nonlocal number
        if reason or (label and not rows):
            quarantine.add(source.name, f"line {started}", reason or "a label without numbers")
        elif label:
            yield Series(f"{stem}/{number}", ROBOT_CHANNELS, np.asarray(rows, np.float32), label, attributes)
        number += bool(label)

    for line_number, line in enumerate([*text.splitlines(), "end"], 1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) == 1 and not _is_number(cells[0]):
            yield from ended()
            label, rows, reason, started = cells[0], [], "", line_number
        elif len(cells) != len(ROBOT_CHANNELS) or not all(map(_is_number, cells)) or not label:
            reason = reason or f"line {line_number} is not a label and {len(ROBOT_CHANNELS)} numbers"
        else:
            rows.append([_number(cell) for cell in cells])
    if not number:
        raise InputError(
            f"{source.name}: no series found; expected a CSV with a header, or labels and blocks of numbers"
        )

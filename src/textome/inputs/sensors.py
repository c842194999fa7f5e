"""Signals of several channels, as forces and torques of a robot or vital signs: each moment is one vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np
from pydantic import Field

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Floats, Modality, Record, Segment, Segments, Shape, typical_distances
from textome.inputs.sensor_files import Series, read_series


class Sensors(Modality):
    """Windows of signals. A record's content is (moments, channels) float32, NaN where a value is missing.

    channels   names of the channels, in order; empty: those of the training data
    window     the most moments of a record; longer series are cut into windows of so many. Where the label changes within
               a series, a window has the label of most of its moments
    hop        a new window begins every `hop` moments (0: side by side)
    step       so many moments side by side are one token
    horizon    forecasting: the record's target is what the channels are in the `horizon` moments after the window
    changes    forecasting: not what the channels are then, but how far that is from the window's last moment, with labels
               as "change of x+1"; easier to learn where signals mostly go on as they are
    compress   values become arsinh(x / unit), which is x near zero and a logarithm far from it: for signals over several
               powers of ten, with both signs; `units` are those of the training data, median distances from the median
    differences  the change since the moment before stands beside each value
    noise        while training, drawn anew for each reading: in standard deviations
    scale        while training: each channel by a factor up to 1 + so much or its inverse
    shift        while training: up to so many moments; the first or last one goes on
    drop_channels  while training: the share of channels that are taken away
    means, deviations, units   of each channel of the training data

    Each token holds, for every channel, the standardised value (0 where it is missing) and whether it is there.
    """

    kind: Literal["sensors"] = "sensors"
    channels: tuple[str, ...] = ()
    window: int = Field(64, ge=1)
    hop: int = Field(0, ge=0)
    step: int = Field(1, ge=1)
    horizon: int = Field(0, ge=0)
    changes: bool = False
    compress: bool = False
    differences: bool = False
    noise: float = Field(0.0, ge=0)
    scale: float = Field(0.0, ge=0)
    shift: int = Field(0, ge=0)
    drop_channels: float = Field(0.0, ge=0, lt=1)
    units: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        for series in read_series(path, self.channels, quarantine):
            yield from self._windows(series)

    def shapes(self) -> dict[str, Shape]:
        planes = 3 if self.differences else 2
        size = planes * len(self.channels) * self.step
        return {"sensors": Shape("vectors", size, (-(-self.window // self.step),))}

    def fitted(self, records: Sequence[Record]) -> Self:
        names = self.channels or _names(records)
        values = np.concatenate([record.content for record in records]).astype(np.float64)
        counts = np.isfinite(values).sum(0)
        if empty := [name for name, count in zip(names, counts, strict=True) if not count]:
            raise InputError(f"no training record has a value in channel {', '.join(empty)}; leave it out of the data")
        units = typical_distances(values) if self.compress else np.ones(0)
        values = np.arcsinh(values / units) if self.compress else values
        deviations = np.nanstd(values, 0)
        deviations[deviations == 0] = 1.0
        update = {"channels": names, "units": tuple(units.tolist()), "means": tuple(np.nanmean(values, 0).tolist())}
        return self.model_copy(update=update | {"deviations": tuple(deviations.tolist())})

    def features(self, content: Floats) -> Segments:
        if content.shape[1] != len(self.channels) or not self.means:
            raise InputError(f"the signal has {content.shape[1]} channels, the model {len(self.channels)}")
        if self.compress:
            content = np.arcsinh(content / np.asarray(self.units, np.float32))
        values = (content - np.asarray(self.means, np.float32)) / np.asarray(self.deviations, np.float32)
        there = np.isfinite(values)
        values = np.where(there, values, 0.0)
        planes = [values, there]
        if self.differences:
            planes.append(np.diff(values, axis=0, prepend=values[:1]))
        rows = np.concatenate(planes, 1).astype(np.float32)
        missing = -len(rows) % self.step
        rows = np.pad(rows, ((0, missing), (0, 0))).reshape(-1, self.step * rows.shape[1])
        return {"sensors": Segment(rows, np.arange(len(rows))[:, None])}

    def augmented(self, content: Floats, generator: np.random.Generator) -> Floats:
        count = content.shape[1]
        values = content.copy()
        if self.shift:
            moved = np.arange(len(values)) + generator.integers(-self.shift, self.shift, endpoint=True)
            values = values[np.clip(moved, 0, len(values) - 1)]
        if self.scale:
            values *= ((1 + self.scale) ** generator.uniform(-1, 1, count)).astype(np.float32)
        if self.noise:
            spread = self.noise * np.asarray(self.deviations, np.float32)
            spread *= np.asarray(self.units or 1.0, np.float32)
            values += generator.standard_normal(values.shape, np.float32) * spread
        if self.drop_channels:
            gone = np.asarray(generator.random(count) < self.drop_channels)
            gone[generator.integers(count)] = False  # one is always left
            values[:, gone] = np.nan
        return values

    def _windows(self, series: Series) -> Iterator[Record]:
        whole = self.window + self.horizon
        record = Record(series.id, metadata=series.attributes, content=series.values)
        if len(series.values) < whole or len(series.values) == self.window:
            # Too short to know what follows, as where the future is asked for.
            start = max(0, len(series.values) - self.window)
            label = None if self.horizon else series.label_of(start, len(series.values))
            yield replace(record, content=series.values[start:], target=label)
            return
        last = len(series.values) - whole
        starts = sorted({*range(0, last + 1, self.hop or whole), last})  # the last one ends where the series does
        for start in starts:
            window = series.values[start : start + self.window]
            target: str | dict[str, float] | None = series.label_of(start, start + self.window)
            if self.horizon:
                ahead = series.values[start + self.window : start + whole]
                ahead = ahead - window[-1] if self.changes else ahead
                target = {
                    f"{'change of ' * self.changes}{name}+{number + 1}": float(value)
                    for number, row in enumerate(ahead)
                    for name, value in zip(series.channels, row, strict=True)
                    if np.isfinite(value)
                }
            name = series.id if len(starts) == 1 else f"{series.id}@{start}"
            yield replace(record, id=name, content=window, target=target)


def _names(records: Sequence[Record]) -> tuple[str, ...]:
    names = {record.metadata["channels"] for record in records}
    if len(names) != 1:
        raise InputError("the training records have not the same channels; name those to use in modality.channels")
    return tuple(names.pop().split(","))

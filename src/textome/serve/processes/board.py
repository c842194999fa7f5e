"""Metrics of several worker processes as one: each writes its own where all can read them, and they are added up."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_SIZE = 1 << 18
_HEAD = struct.Struct("<II")


class Board:
    """Memory that processes forked after this share: a text for each of `number` workers, and one for those that ended."""

    def __init__(self, number: int) -> None:
        self._slots = [mmap.mmap(-1, _SIZE) for _ in range(number + 1)]

    def write(self, number: int, text: bytes) -> None:
        """Leave a worker's text; one that does not fit is not taken."""
        if len(text) <= _SIZE - _HEAD.size:
            self._slots[number][: _HEAD.size + len(text)] = _HEAD.pack(len(text), zlib.crc32(text)) + text

    def retire(self, number: int) -> None:
        """Keep what a worker that ended has counted; to be called before another takes its number, by one process."""
        counted = [text for slot in (self._slots[number], self._slots[-1]) if (text := _read(slot))]
        self.write(len(self._slots) - 1, added_up(counted, ("counter", "histogram", "summary")))
        self.write(number, b"")

    def texts(self) -> list[str]:
        """The texts that are there. One that is being written at this moment is read again, and left out at last."""
        return [text for slot in self._slots if (text := _read(slot))]


def _read(slot: mmap.mmap) -> str:
    for _ in range(20):
        size, checksum = _HEAD.unpack(slot[: _HEAD.size])
        text = slot[_HEAD.size : _HEAD.size + min(size, _SIZE)]
        if zlib.crc32(text) == checksum:
            return text.decode()
    return ""


def added_up(texts: Sequence[str], types: Collection[str] = ()) -> bytes:
    """The metrics of several expositions, each sample the sum of those with its name and labels.

    types   of metrics to take; empty takes all
    """
    registry = CollectorRegistry()
    registry.register(_Sum(texts, types))
    return generate_latest(registry)


class _Sum(Collector):
    def __init__(self, texts: Sequence[str], types: Collection[str]) -> None:
        self._texts = texts
        self._types = types

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for text in self._texts:
            for family in text_string_to_metric_families(text):
                if self._types and family.type not in self._types:
                    continue
                families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                known = values.setdefault(family.name, {})
                for sample in family.samples:
                    key = sample.name, tuple(sample.labels.items())
                    both = (known[key], sample.value) if key in known else (sample.value,)
                    # Since when something is counted: the first worker's time, not the sum of all.
                    first = sample.name.endswith(("_created", "_start_time_seconds"))
                    known[key] = min(both) if first else sum(both)
        for name, family in families.items():
            for (sample_name, labels), value in values[name].items():
                family.add_sample(sample_name, dict(labels), value)
            yield family

"""Entity recognition beside other tasks: its examples as units, its scores as spans (see tasks.ner)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textome.tasks.inputs import Floats, Unit
from textome.tasks.ner import IGNORED, LABELS, Example, Labels, decode, log_probabilities

Words = set[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Recognition:
    """A head of three labels (O, B, I) for each entity type; one text is one example, or several where it is long."""

    types: tuple[str, ...]
    temperature: float = 1.0

    @property
    def labels(self) -> tuple[str, ...]:
        return self.types

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head, see encoders.heads."""
        return len(LABELS) * len(self.types), 0

    def units(self, items: Sequence[Example]) -> list[Unit]:
        """One unit for each example."""
        return [
            Unit(number, item.input_ids, np.zeros_like(item.input_ids), item.first) for number, item in enumerate(items)
        ]

    def targets(self, unit: Unit, item: Example) -> Labels:
        """(m, num_types) of O, B, I."""
        return item.targets

    def predictions(self, items: Sequence[Example], units: Sequence[Unit], scores: Sequence[Floats]) -> list[Words]:
        """The entities of each example as (first word, last word, type), of the types that it is annotated for."""
        found = []
        for item, logits in zip(items, scores, strict=True):
            probabilities = log_probabilities(logits.reshape(len(logits), -1, len(LABELS)), self.temperature)
            annotated = set(np.flatnonzero((item.targets != IGNORED).any(axis=0)).tolist())
            found.append({(it.first, it.last, it.head) for it in decode(probabilities) if it.head in annotated})
        return found


def gold(example: Example) -> Words:
    """The entities that an example's targets describe, as (first word, last word, head)."""
    certain = np.full((*example.targets.shape, len(LABELS)), -np.inf, np.float32)
    np.put_along_axis(certain, np.maximum(example.targets, 0)[..., None].astype(np.int64), 0.0, axis=-1)
    return {(item.first, item.last, item.head) for item in decode(certain)}

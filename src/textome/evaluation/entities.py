"""Entity-level precision, recall and F1: a span counts only if start, end and type all match.

Source: CoNLL-2003 shared task, section 3; equal to `seqeval` in strict mode with IOB2 tags, to the last digit (tested).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Entity = tuple[int, int, Hashable]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PRF:
    """True positives, false positives and false negatives, with the scores that follow from them.

    A score without anything to divide by is 0, as in seqeval: precision where nothing is predicted, recall where there is
    nothing to find.
    """

    tp: int
    fp: int
    fn: int

    @property
    def support(self) -> int:
        """The number of gold entities."""
        return self.tp + self.fn

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        # From precision and recall, not from counts, so that rounding is seqeval's.
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of the types' scores: plain (macro) or weighted by support."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class EntityScores:
    """Scores by type in alphabetical order, over all entities (micro), and as means over the types."""

    types: dict[str, PRF]
    micro: PRF
    macro: Average
    weighted: Average


def score_entities(gold: Sequence[Collection[Entity]], predicted: Sequence[Collection[Entity]]) -> EntityScores:
    """Compare entities (start, end, type), unit by unit (a sentence, a document).

    Raises ValueError where the two differ in their number of units.
    """
    names, counts = count_entities(gold, predicted)
    totals = counts.sum(axis=0)
    types = {str(name): PRF(*(int(value) for value in row)) for name, row in zip(names, totals, strict=True)}
    micro = PRF(*(int(value) for value in totals.sum(axis=0)))
    return EntityScores(types, micro, _average(types, None), _average(types, [item.support for item in types.values()]))


def count_entities(
    gold: Sequence[Collection[Entity]], predicted: Sequence[Collection[Entity]]
) -> tuple[list[Hashable], Counts]:
    """True positives, false positives, false negatives: shape (units, types, 3), and the types in order."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} units of gold entities, but {len(predicted)} of predicted ones")
    names = sorted({item[2] for unit in (*gold, *predicted) for item in unit}, key=str)
    column = {name: index for index, name in enumerate(names)}
    counts = np.zeros((len(gold), len(names), 3), np.int64)
    for row, (wanted, found) in enumerate(zip(gold, predicted, strict=True)):
        right, given = set(wanted), set(found)
        for group, items in enumerate((right & given, given - right, right - given)):
            for item in items:
                counts[row, column[item[2]], group] += 1
    return names, counts


def spans_from_iob2(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Entities (first, last + 1, type) of IOB2 tags, read strictly: an I that continues nothing is no entity."""
    spans: set[tuple[int, int, str]] = set()
    start: int | None = None
    for index, tag in enumerate([*tags, "O"]):
        if start is not None and not (tag[0] == "I" and tag[2:] == tags[start][2:]):
            spans.add((start, index, tags[start][2:]))
            start = None
        if tag[0] == "B":
            start = index
    return spans


def _average(types: dict[str, PRF], weights: Sequence[int] | None) -> Average:
    if not types or (weights is not None and not sum(weights)):
        return Average(0.0, 0.0, 0.0)
    rows = [(item.precision, item.recall, item.f1) for item in types.values()]
    return Average(*(float(value) for value in np.average(rows, axis=0, weights=weights)))

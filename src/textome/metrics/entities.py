"""Entity-level precision, recall and F1: a span counts only if start, end and type all match.

Source: CoNLL-2003 shared task, section 3; equal to `seqeval` in strict mode with IOB2 tags, to the last digit (tested).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError

Entity = tuple[int, int, Hashable]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PRF:
    """True positives, false positives and false negatives, with the scores that follow from them.

    A score without anything to divide by is `zero_division`, as in seqeval: precision where nothing is predicted, recall
    where there is nothing to find.
    """

    tp: int
    fp: int
    fn: int
    zero_division: float = 0.0

    @property
    def support(self) -> int:
        """The number of gold entities."""
        return self.tp + self.fn

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else self.zero_division

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else self.zero_division

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


def score_entities(
    gold: Sequence[Collection[Entity]], predicted: Sequence[Collection[Entity]], zero_division: float = 0.0
) -> EntityScores:
    """Compare entities (start, end, type), unit by unit (a sentence, a document).

    zero_division   what precision is where nothing is predicted, and recall where there is nothing to find: 0 or 1. With
                    no entity on either side every score has this value (seqeval gives NaN for the macro average).

    Raises ValueError where the two differ in their number of units.
    """
    names, counts = count_entities(gold, predicted)
    totals = counts.sum(axis=0).tolist()
    types = {str(name): PRF(tp, fp, fn, zero_division) for name, (tp, fp, fn) in zip(names, totals, strict=True)}
    tp, fp, fn = counts.sum(axis=(0, 1)).tolist()
    micro = PRF(tp, fp, fn, zero_division)
    plain = _average(types, None) if types else _without_weights(micro)
    weights = [item.support for item in types.values()]
    return EntityScores(types, micro, plain, _average(types, weights) if any(weights) else _without_weights(micro))


def count_entities(
    gold: Sequence[Collection[Entity]], predicted: Sequence[Collection[Entity]]
) -> tuple[list[Hashable], Counts]:
    """True positives, false positives, false negatives: shape (units, types, 3), and the types in order."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} units of gold entities, but {len(predicted)} of predicted ones")
    names = sorted({item[2] for unit in (*gold, *predicted) for item in unit}, key=str)
    column = {name: index for index, name in enumerate(names)}
    counts = np.zeros((len(gold), len(names), 3), np.int64)
    for row, (expected, answer) in enumerate(zip(gold, predicted, strict=True)):
        right, answers = set(expected), set(answer)
        for group, items in enumerate((right & answers, answers - right, right - answers)):
            for item in items:
                counts[row, column[item[2]], group] += 1
    return names, counts


def spans_from_iob2(tags: Iterable[str]) -> set[tuple[int, int, str]]:
    """Entities (first, last + 1, type) of IOB2 tags, read strictly: an I that continues nothing is not an entity.

    The type is what follows the first letter, without hyphens at its ends, or "_" where nothing does (bare B and I).
    Raises InputError for a tag that begins with none of O, B, I.
    """
    spans: set[tuple[int, int, str]] = set()
    start, current = 0, ""  # where the open entity began, and its type; "" where none is open
    last = -1
    for last, tag in enumerate(tags):
        if not tag or tag[0] not in "OBI":
            raise InputError(f"tag {last + 1}: {tag!r} is not an IOB2 tag; expected O, B-TYPE or I-TYPE")
        name = tag[1:].strip("-") or "_"
        if tag[0] == "I" and name == current:
            continue
        if current:
            spans.add((start, last, current))
        start, current = last, name if tag[0] == "B" else ""
    if current:
        spans.add((start, last + 1, current))
    return spans


def _average(types: dict[str, PRF], weights: Sequence[int] | None) -> Average:
    # One score at a time: over all three at once NumPy would add in another order, and the last digit would differ.
    columns = zip(*((item.precision, item.recall, item.f1) for item in types.values()), strict=True)
    return Average(*(float(np.average(column, weights=weights)) for column in columns))


def _without_weights(micro: PRF) -> Average:
    """The average where no type has a weight, for want of types or of gold entities: the scores of all together."""
    return Average(micro.precision, micro.recall, micro.f1)

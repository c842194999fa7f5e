"""What a model gets right and wrong about entities, and a page that shows it.

An entity is seen where a training text has a mention of the same type and the same letters and digits, whatever its case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from textome.documents import Document
from textome.evaluation.bootstrap import Interval
from textome.evaluation.entity_task import Comparison, Spans
from textome.evaluation.html_parts import calibration_plot, counts_by_row, page, percent, table
from textome.metrics.entities import PRF, EntityScores, score_entities

_ERRORS = 40
_AROUND = 90
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Novelty:
    """Scores of mentions whose name stands in the training data, or does not.

    recall over gold mentions of the group, precision over predicted ones
    """

    name: str
    gold: int
    recalled: int
    predicted: int
    right: int

    @property
    def recall(self) -> float:
        return self.recalled / self.gold if self.gold else 0.0

    @property
    def precision(self) -> float:
        return self.right / self.predicted if self.predicted else 0.0


def names_of(documents: Iterable[Document], mapping: Mapping[str, str]) -> set[Name]:
    """The (type, name) pairs of the training data's mentions; `mapping` is that of the scored data."""
    return {
        (mapping[entity.type], _plain(entity.text))
        for document in documents
        for entity in document.entities
        if entity.type in mapping
    }


def by_novelty(comparison: Comparison, documents: Sequence[Document], known: Collection[Name]) -> list[Novelty]:
    """Scores of the mentions that are seen in training, and of the new ones."""
    counts = {True: [0] * 4, False: [0] * 4}
    for gold, predicted, document in zip(comparison.gold, comparison.predicted, documents, strict=True):
        for column, spans in enumerate((gold, gold & predicted, predicted, gold & predicted)):
            for start, end, kind in spans:
                counts[(kind, _plain(document.text[start:end])) in known][column] += 1
    return [Novelty("seen in training", *counts[True]), Novelty("new", *counts[False])]


def format_novelty(groups: Sequence[Novelty]) -> str:
    """Scores in percent as a table for people."""
    lines = [f"{'':16}  precision  recall    gold  predicted"]
    lines += [
        f"{item.name:16}  {100 * item.precision:9.2f}  {100 * item.recall:6.2f}  {item.gold:6}  {item.predicted:9}"
        for item in groups
    ]
    return "\n".join(lines)


def entity_report(
    title: str,
    comparison: Comparison,
    documents: Sequence[Document],
    scores: EntityScores,
    intervals: Mapping[str, Interval],
    novelty: Sequence[Novelty] = (),
) -> str:
    """The page as HTML. It holds texts of the data around errors: keep it where the data may be."""
    low, high = intervals["micro"]
    sure = np.array([value for predicted in comparison.confidences for value in predicted.values()])
    right = np.array(
        [
            span in gold
            for gold, predicted in zip(comparison.gold, comparison.confidences, strict=True)
            for span in predicted
        ],
        dtype=bool,
    )
    parts = [
        f"<p>Micro F1 <b>{percent(scores.micro.f1)}</b> (95 % interval {percent(low)} to {percent(high)}) over "
        f"{scores.micro.support:,} mentions in {len(documents):,} texts; a mention counts where start, end and type are "
        "right.</p>",
        "<h2>Types</h2>",
        _types(scores, intervals),
        "<h2>What became of the mentions</h2><p>Rows are right. A mention that is found with another start or end stands "
        "under <i>other bounds</i>; the last row counts predictions that touch no mention.</p>",
        _confusion(comparison, sorted(scores.types)),
        "<h2>Calibration</h2><p>How often a prediction of some confidence is right; the diagonal is perfect.</p>",
        calibration_plot(sure, right),
        "<h2>By length of the text</h2>",
        _by_length(comparison, documents),
    ]
    if novelty:
        rows = [
            [escape(item.name), percent(item.precision), percent(item.recall), f"{item.gold:,}", f"{item.predicted:,}"]
            for item in novelty
        ]
        parts += ["<h2>Seen and new names</h2>", table(["name", "precision", "recall", "gold", "predicted"], rows)]
    parts += ["<h2>Worst errors</h2><p>Predictions that are wrong, the most confident first.</p>"]
    parts += [_spurious(comparison, documents), "<p>Mentions that are not found.</p>", _missed(comparison, documents)]
    return page(title, parts)


def _types(scores: EntityScores, intervals: Mapping[str, Interval]) -> str:
    def row(name: str, item: PRF) -> list[str]:
        values = (percent(value) for value in (item.precision, item.recall, item.f1))
        low, high = intervals[name]
        return [escape(name), *values, f"{percent(low)} to {percent(high)}", f"{item.support:,}"]

    rows = [row(name, item) for name, item in (*scores.types.items(), ("micro", scores.micro))]
    return table(["", "precision", "recall", "F1", "95 % interval", "mentions"], rows)


def _confusion(comparison: Comparison, types: Sequence[str]) -> str:
    matrix: NDArray[np.int64] = np.zeros((len(types) + 1, len(types) + 2), np.int64)
    bounds, missed = len(types), len(types) + 1
    for gold, predicted in zip(comparison.gold, comparison.predicted, strict=True):
        type_at = {(start, end): kind for start, end, kind in sorted(predicted)}
        for span in gold:
            start, end, kind = span
            if span in predicted:
                column = types.index(kind)
            elif (start, end) in type_at:
                column = types.index(type_at[start, end])
            else:
                column = bounds if _touches(span, predicted) else missed
            matrix[types.index(kind), column] += 1
        for span in predicted:
            if not _touches(span, gold):
                matrix[-1, types.index(span[2])] += 1
    return counts_by_row([*types, "(no mention)"], [*types, "other bounds", "not found"], matrix)


def _by_length(comparison: Comparison, documents: Sequence[Document]) -> str:
    """F1 in four groups of equal size, from the shortest texts to the longest."""
    order = np.argsort([len(document.text) for document in documents], kind="stable")
    rows = []
    for group in np.array_split(order, min(4, len(order))):
        scores = score_entities([comparison.gold[at] for at in group], [comparison.predicted[at] for at in group])
        span = f"{len(documents[group[0]].text):,} to {len(documents[group[-1]].text):,}"
        rows.append([span, f"{len(group):,}", f"{scores.micro.support:,}", percent(scores.micro.f1)])
    return table(["characters", "texts", "mentions", "F1"], rows)


def _spurious(comparison: Comparison, documents: Sequence[Document]) -> str:
    errors = [
        (value, document, span)
        for gold, predicted, document in zip(comparison.gold, comparison.confidences, documents, strict=True)
        for span, value in predicted.items()
        if span not in gold
    ]
    errors.sort(key=lambda item: (-item[0], item[1].id, item[2]))
    rows = [
        [escape(document.id), escape(span[2]), f"{value:.2f}", _context(document, span)]
        for value, document, span in errors[:_ERRORS]
    ]
    return f"<p>{len(errors):,} in all.</p>" + table(["record", "type", "confidence", "text"], rows)


def _missed(comparison: Comparison, documents: Sequence[Document]) -> str:
    missed = [
        (document, span)
        for gold, predicted, document in zip(comparison.gold, comparison.predicted, documents, strict=True)
        for span in sorted(gold - predicted)
    ]
    rows = [[escape(document.id), escape(span[2]), _context(document, span)] for document, span in missed[:_ERRORS]]
    return f"<p>{len(missed):,} in all.</p>" + table(["record", "type", "text"], rows)


def _context(document: Document, span: tuple[int, int, str]) -> str:
    start, end, _ = span
    before, after = document.text[max(0, start - _AROUND) : start], document.text[end : end + _AROUND]
    return f"{escape(before)}<mark>{escape(document.text[start:end])}</mark>{escape(after)}"


def _touches(span: tuple[int, int, str], others: Spans) -> bool:
    return any(start < span[1] and span[0] < end for start, end, _ in others)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())

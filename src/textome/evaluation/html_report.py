"""A page about a task's scores that needs nothing else: tables, a confusion matrix, plots as SVG, the worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from textome.evaluation.html_parts import (
    calibration_plot,
    counts_by_row,
    page,
    percent,
    shortened,
    table,
)
from textome.metrics.labels import ClassificationScores, score_labels, value_of

_ERRORS = 30


@dataclass(frozen=True)
class Decision:
    """One decision of a task: a text, a sentence or a pair of mentions, what is right, and what the model says.

    confidence   the probability of the label that it chose (of several: of the least sure one)
    """

    id: str
    text: str
    gold: frozenset[str]
    predicted: frozenset[str]
    confidence: float


def report(
    title: str,
    metric: str,
    interval: tuple[float, float],
    majority: float,
    calibration_error: float,
    details: ClassificationScores,
    decisions: Sequence[Decision],
) -> str:
    """The page as HTML. It holds texts of the data, the wrongly decided ones: keep it where the data may be."""
    low, high = interval
    parts = [
        f"<p>{escape(metric)} <b>{percent(value_of(details, metric))}</b> "
        f"(95 % interval {percent(low)} to {percent(high)}) over {len(decisions):,} decisions; "
        f"the most frequent answer alone has {percent(majority)}. "
        f"Accuracy {percent(details.accuracy)}, "
        f"expected calibration error {percent(calibration_error)}.</p>",
        "<h2>Classes</h2>",
        _classes(details),
        _confusion(details),
        "<h2>Calibration</h2><p>How often an answer of some confidence is right; the diagonal is perfect.</p>",
        calibration_plot(
            np.array([item.confidence for item in decisions]),
            np.array([item.gold == item.predicted for item in decisions]),
        ),
        "<h2>By length of the text</h2>",
        _by_length(decisions, metric, details),
        "<h2>Worst errors</h2><p>Wrong predictions, the most confident first.</p>",
        _errors(decisions),
    ]
    return page(title, parts)


def _classes(details: ClassificationScores) -> str:
    rows = [
        [escape(name), *(percent(value) for value in (item.precision, item.recall, item.f1)), f"{item.support:,}"]
        for name, item in (*details.classes.items(), ("all (micro)", details.micro))
    ]
    rows.append(["macro", "", "", percent(details.macro_f1), ""])
    rows.append(["weighted", "", "", percent(details.weighted_f1), ""])
    return table(["", "precision", "recall", "F1", "support"], rows)


def _confusion(details: ClassificationScores) -> str:
    matrix, labels = details.confusion, details.labels
    if matrix is None:
        return "<p>Several labels may hold at once, so there is no confusion matrix.</p>"
    return "<h2>Confusion matrix</h2><p>Rows are right, columns predicted.</p>" + counts_by_row(labels, labels, matrix)


def _by_length(decisions: Sequence[Decision], metric: str, details: ClassificationScores) -> str:
    """The metric in four groups of equal size, from the shortest texts to the longest."""
    decisions = sorted(decisions, key=lambda item: len(item.text))
    labels = details.labels
    negative = [name for name in labels if name not in details.classes]
    rows = []
    for group in np.array_split(np.arange(len(decisions)), min(4, len(decisions))):
        chosen = [decisions[index] for index in group]
        scores = score_labels([item.gold for item in chosen], [item.predicted for item in chosen], labels, negative)
        span = f"{len(chosen[0].text):,} to {len(chosen[-1].text):,}"
        rows.append([span, f"{len(chosen):,}", percent(value_of(scores, metric))])
    return table(["characters", "decisions", metric], rows)


def _errors(decisions: Sequence[Decision]) -> str:
    errors = sorted((item for item in decisions if item.gold != item.predicted), key=lambda item: -item.confidence)
    rows = [
        "<tr><th>record</th><th>right</th><th>predicted</th><th>confidence</th><th>text</th></tr>",
        *(
            f"<tr><td>{escape(item.id)}</td><td class='good'>{_labels(item.gold)}</td><td class='bad'>"
            f"{_labels(item.predicted)}</td><td>{item.confidence:.2f}</td>"
            f"<td class='text'>{shortened(item.text)}</td></tr>"
            for item in errors[:_ERRORS]
        ),
    ]
    return f"<p>{len(errors):,} in all.</p><table>{''.join(rows)}</table>"


def _labels(names: frozenset[str]) -> str:
    return escape(", ".join(sorted(names))) or "&ndash;"

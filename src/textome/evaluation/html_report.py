"""A page about a task's scores that needs nothing else: tables, a confusion matrix, plots as SVG, the worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from textome.evaluation.html_parts import (
    calibration_plot,
    counts_by_row,
    page,
    percent,
    shortened,
    table,
    write_page,
)
from textome.evaluation.task_evaluation import Decision, TaskEvaluation
from textome.metrics.labels import score_labels, value_of

_ERRORS = 30


def write_report(path: Path, result: TaskEvaluation, title: str) -> None:
    """Write the page. It holds texts of the data, the wrongly decided ones: keep it where the data may be."""
    write_page(path, report(result, title))


def report(result: TaskEvaluation, title: str) -> str:
    """The page as HTML."""
    low, high = result.interval
    parts = [
        f"<p>{escape(result.metric)} <b>{percent(result.score)}</b> (95 % interval {percent(low)} to {percent(high)}) "
        f"over {len(result.decisions):,} decisions; the most frequent answer alone has {percent(result.majority)}. "
        f"Accuracy {percent(result.scores.accuracy)}, "
        f"expected calibration error {percent(result.calibration_error)}.</p>",
        "<h2>Classes</h2>",
        _classes(result),
        _confusion(result),
        "<h2>Calibration</h2><p>How often an answer of some confidence is right; the diagonal is perfect.</p>",
        calibration_plot(
            np.array([item.confidence for item in result.decisions]),
            np.array([item.gold == item.predicted for item in result.decisions]),
        ),
        "<h2>By length of the text</h2>",
        _by_length(result),
        "<h2>Worst errors</h2><p>Wrong, and surest of it.</p>",
        _errors(result.decisions),
    ]
    return page(title, parts)


def _classes(result: TaskEvaluation) -> str:
    rows = [
        [escape(name), *(percent(value) for value in (item.precision, item.recall, item.f1)), f"{item.support:,}"]
        for name, item in (*result.scores.classes.items(), ("all (micro)", result.scores.micro))
    ]
    rows.append(["macro", "", "", percent(result.scores.macro_f1), ""])
    rows.append(["weighted", "", "", percent(result.scores.weighted_f1), ""])
    return table(["", "precision", "recall", "F1", "support"], rows)


def _confusion(result: TaskEvaluation) -> str:
    matrix, labels = result.scores.confusion, result.scores.labels
    if matrix is None:
        return "<p>Several labels may hold at once, so there is no confusion matrix.</p>"
    return "<h2>Confusion matrix</h2><p>Rows are right, columns predicted.</p>" + counts_by_row(labels, labels, matrix)


def _by_length(result: TaskEvaluation) -> str:
    """The metric in four groups of equal size, from the shortest texts to the longest."""
    decisions = sorted(result.decisions, key=lambda item: len(item.text))
    labels = result.scores.labels
    negative = [name for name in labels if name not in result.scores.classes]
    rows = []
    for group in np.array_split(np.arange(len(decisions)), min(4, len(decisions))):
        chosen = [decisions[index] for index in group]
        scores = score_labels([item.gold for item in chosen], [item.predicted for item in chosen], labels, negative)
        span = f"{len(chosen[0].text):,} to {len(chosen[-1].text):,}"
        rows.append([span, f"{len(chosen):,}", percent(value_of(scores, result.metric))])
    return table(["characters", "decisions", result.metric], rows)


def _errors(decisions: Sequence[Decision]) -> str:
    wrong = sorted((item for item in decisions if item.gold != item.predicted), key=lambda item: -item.confidence)
    rows = [
        "<tr><th>record</th><th>right</th><th>predicted</th><th>confidence</th><th>text</th></tr>",
        *(
            f"<tr><td>{escape(item.id)}</td><td class='good'>{_labels(item.gold)}</td><td class='bad'>"
            f"{_labels(item.predicted)}</td><td>{item.confidence:.2f}</td>"
            f"<td class='text'>{shortened(item.text)}</td></tr>"
            for item in wrong[:_ERRORS]
        ),
    ]
    return f"<p>{len(wrong):,} in all.</p><table>{''.join(rows)}</table>"


def _labels(names: frozenset[str]) -> str:
    return escape(", ".join(sorted(names))) or "&ndash;"

"""A page about a task's scores that needs nothing else: tables, a confusion matrix, plots as SVG, the worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from textome.evaluation.classification import score_labels, value_of
from textome.evaluation.task_evaluation import Decision, TaskEvaluation
from textome.formats.sources import atomic_file

_BINS = 10
_ERRORS = 30
_TEXT = 600
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }
body { color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } td.text { text-align: left; white-space: pre-wrap }
svg text { font: 11px system-ui, sans-serif; fill: #444 } .good { color: #176b2c } .bad { color: #a32020 }
"""


def write_report(path: Path, result: TaskEvaluation, title: str) -> None:
    """Write the page. It holds texts of the data, the wrongly decided ones: keep it where the data may be."""
    with atomic_file(path) as stream:
        stream.write(report(result, title).encode())


def report(result: TaskEvaluation, title: str) -> str:
    """The page as HTML."""
    low, high = result.interval
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<p>{escape(result.metric)} <b>{100 * result.score:.2f}</b> (95 % interval {100 * low:.2f} to {100 * high:.2f}) "
        f"over {len(result.decisions):,} decisions; the most frequent answer alone has {100 * result.majority:.2f}. "
        f"Accuracy {100 * result.scores.accuracy:.2f}, "
        f"expected calibration error {100 * result.calibration_error:.2f}.</p>",
        "<h2>Classes</h2>",
        _classes(result),
        _confusion(result),
        "<h2>Calibration</h2><p>How often an answer of some confidence is right; the diagonal is perfect.</p>",
        _calibration(result.decisions),
        "<h2>By length of the text</h2>",
        _by_length(result),
        "<h2>Worst errors</h2><p>Wrong, and surest of it.</p>",
        _errors(result.decisions),
        "</body></html>",
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def _classes(result: TaskEvaluation) -> str:
    rows = [
        [
            escape(name),
            *(f"{100 * value:.2f}" for value in (item.precision, item.recall, item.f1)),
            f"{item.support:,}",
        ]
        for name, item in (*result.scores.classes.items(), ("all (micro)", result.scores.micro))
    ]
    rows.append(["macro", "", "", f"{100 * result.scores.macro_f1:.2f}", ""])
    rows.append(["weighted", "", "", f"{100 * result.scores.weighted_f1:.2f}", ""])
    return _table(["", "precision", "recall", "F1", "support"], rows)


def _confusion(result: TaskEvaluation) -> str:
    matrix = result.scores.confusion
    if matrix is None:
        return "<p>Several labels may hold at once, so there is no confusion matrix.</p>"
    rows = []
    for name, counts in zip(result.scores.labels, matrix, strict=True):
        shares = counts / max(1, counts.sum())
        cells = [
            f"<span style='background: rgba(30, 110, 200, {share:.2f}); padding: .1em .5em'>{count:,}</span>"
            for count, share in zip(counts.tolist(), shares.tolist(), strict=True)
        ]
        rows.append([escape(name), *cells])
    return "<h2>Confusion matrix</h2><p>Rows are right, columns predicted.</p>" + _table(
        ["", *result.scores.labels], rows
    )


def _calibration(decisions: Sequence[Decision]) -> str:
    confidence = np.array([item.confidence for item in decisions])
    right = np.array([item.gold == item.predicted for item in decisions])
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    size = 260
    shapes = [f"<line x1='0' y1='{size}' x2='{size}' y2='0' stroke='#999' stroke-dasharray='4'/>"]
    for number in range(_BINS):
        chosen = bins == number
        if chosen.any():
            x, y = size * confidence[chosen].mean(), size * (1 - right[chosen].mean())
            radius = 3 + 9 * np.sqrt(chosen.mean())
            shapes.append(
                f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}' fill='#1e6ec8' fill-opacity='.6'>"
                f"<title>{int(chosen.sum()):,} decisions</title></circle>"
            )
    frame = f"<rect width='{size}' height='{size}' fill='none' stroke='#ccc'/>"
    texts = f"<text x='0' y='{size + 14}'>confidence 0</text><text x='{size - 6}' y='{size + 14}'>1</text>"
    texts += "<text x='-34' y='10'>right 1</text>"
    inner = frame + "".join(shapes) + texts
    return f"<svg viewBox='-40 -8 {size + 60} {size + 30}' width='{size + 60}' height='{size + 30}'>{inner}</svg>"


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
        rows.append([span, f"{len(chosen):,}", f"{100 * value_of(scores, result.metric):.2f}"])
    return _table(["characters", "decisions", result.metric], rows)


def _errors(decisions: Sequence[Decision]) -> str:
    wrong = sorted((item for item in decisions if item.gold != item.predicted), key=lambda item: -item.confidence)
    rows = [
        "<tr><th>record</th><th>right</th><th>predicted</th><th>confidence</th><th>text</th></tr>",
        *(
            f"<tr><td>{escape(item.id)}</td><td class='good'>{_labels(item.gold)}</td><td class='bad'>"
            f"{_labels(item.predicted)}</td><td>{item.confidence:.2f}</td>"
            f"<td class='text'>{_shortened(item.text)}</td></tr>"
            for item in wrong[:_ERRORS]
        ),
    ]
    return f"<p>{len(wrong):,} in all.</p><table>{''.join(rows)}</table>"


def _labels(names: frozenset[str]) -> str:
    return escape(", ".join(sorted(names))) or "&ndash;"


def _shortened(text: str) -> str:
    return escape(text if len(text) <= _TEXT else f"{text[:_TEXT]} ... ({len(text):,} characters)")

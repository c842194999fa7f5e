"""A page about the answers to questions: scores with intervals, calibration, what is hard, and the worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from textome.datasets.questions import Answer, Question
from textome.evaluation.html_parts import calibration_plot, page, percent, shortened, table
from textome.metrics.answers import METRICS, interval, same

_ERRORS = 30


def answer_report(
    title: str,
    metric: str,
    items: Sequence[Question],
    predicted: Sequence[Sequence[Answer]],
    rows: NDArray[np.float64],
) -> str:
    """The page as HTML. It holds questions and texts of the data: keep it where the data may be.

    rows   the scores of each question, see `answers.score_each`
    """
    scores = rows[:, METRICS.index(metric)]
    low, high = interval(scores)
    first = [answers[0].probability if answers else 0.0 for answers in predicted]
    right = np.array([_is_right(item, answers) for item, answers in zip(items, predicted, strict=True)], dtype=bool)
    parts = [
        f"<p>{escape(metric)} <b>{percent(float(scores.mean()))}</b> (95 % interval {percent(low)} to {percent(high)}) "
        f"over {len(items):,} questions.</p>",
        "<h2>Scores</h2>",
        table(["", "mean"], [[escape(name), percent(float(rows[:, at].mean()))] for at, name in enumerate(METRICS)]),
        "<h2>Calibration</h2><p>How often a first answer of some confidence is right; the diagonal is perfect.</p>",
        calibration_plot(np.array(first), right),
        "<h2>Where the answer stands</h2>",
        _groups(metric, scores, [("in a text", "in no text")[not item.positions] for item in items]),
        "<h2>By length of the texts</h2>",
        _by_length(metric, items, scores),
        "<h2>Worst errors</h2><p>First answers that are wrong, the most confident first.</p>",
        _errors(items, predicted, right),
    ]
    return page(title, parts)


def _is_right(item: Question, answers: Sequence[Answer]) -> bool:
    return bool(answers) and any(same(answers[0].text, text) for group in item.answers for text in group)


def _groups(metric: str, scores: NDArray[np.float64], names: Sequence[str]) -> str:
    labels = np.array(names)
    rows = [
        [escape(name), f"{int((labels == name).sum()):,}", percent(float(scores[labels == name].mean()))]
        for name in sorted(set(names))
    ]
    return table(["answer", "questions", metric], rows)


def _by_length(metric: str, items: Sequence[Question], scores: NDArray[np.float64]) -> str:
    """The metric in four groups of equal size, from the questions with the shortest texts to those with the longest."""
    sizes = np.array([sum(map(len, item.contexts)) for item in items])
    rows = [
        [f"{sizes[group].min():,} to {sizes[group].max():,}", f"{len(group):,}", percent(float(scores[group].mean()))]
        for group in np.array_split(np.argsort(sizes, kind="stable"), min(4, len(items)))
    ]
    return table(["characters", "questions", metric], rows)


def _errors(items: Sequence[Question], predicted: Sequence[Sequence[Answer]], right: NDArray[np.bool_]) -> str:
    errors = [
        (answers[0], item) for item, answers, good in zip(items, predicted, right, strict=True) if answers and not good
    ]
    errors.sort(key=lambda pair: (-pair[0].probability, pair[1].id))
    rows = [
        [
            escape(item.id),
            f"<span class='good'>{escape('; '.join(group[0] for group in item.answers)) or '&ndash;'}</span>",
            f"<span class='bad'>{escape(answer.text)}</span>",
            f"{answer.probability:.2f}",
            f"<b>{escape(item.question)}</b> {shortened(item.contexts[answer.context])}",
        ]
        for answer, item in errors[:_ERRORS]
    ]
    return f"<p>{len(errors):,} in all.</p>" + table(["question", "right", "first", "confidence", "text"], rows)

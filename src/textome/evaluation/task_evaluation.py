"""Evaluating a bundle's task on labelled data: records in, scores with their intervals and the errors out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textome.errors import InputError
from textome.evaluation.calibration import expected_calibration_error
from textome.formats import Quarantine
from textome.metrics.labels import ClassificationScores, Sets, interval, score_labels, value_of
from textome.runtime.model import Model
from textome.tasks.labels import Classified, LabelTask


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


@dataclass(frozen=True)
class TaskEvaluation:
    """The scores of a task on a set of data.

    metric, score, interval   the task's main metric, its value and 95 % interval (bootstrap over decisions)
    majority                  the value that the metric has for whoever always says what is most frequent in these data
    calibration_error         expected calibration error of the confidences, between 0 and 1
    """

    name: str
    metric: str
    score: float
    interval: tuple[float, float]
    majority: float
    calibration_error: float
    scores: ClassificationScores
    decisions: tuple[Decision, ...]


def evaluate_task(
    runner: Model, name: str, places: Sequence[str], layout: str | None, quarantine: Quarantine
) -> TaskEvaluation:
    """Score a loaded bundle's task on annotated files. Records that cannot be read or scored are quarantined.

    Raises InputError where no record is left.
    """
    task = runner.task(name)
    if not isinstance(task, LabelTask):
        raise InputError(f"task {name!r} gives no labels, and is not scored over labels")
    known = task.label_names
    good = []
    for record in (record for place in places for record in task.read(place, layout, quarantine)):
        unknown = [label for label in task.labels_of(record) if label and label not in known]
        try:
            if unknown:
                raise InputError(
                    f"record {record.id}: the label {unknown[0]!r} is none of the model's: {', '.join(known)}"
                )
            runner.examples(name, [record])
            good.append(record)
        except InputError as error:
            quarantine.add(", ".join(places), "", error)
    if not good:
        raise InputError(f"{', '.join(places)}: there is no record to score")
    predicted = runner.predictions(name, good)
    gold, guessed = task.label_sets(good, predicted)
    negative = task.negative_labels
    scores = score_labels(gold, guessed, known, negative)
    decisions = tuple(
        Decision(row.id, row.text, frozenset(row.gold), frozenset(row.predicted.labels), _confidence(row.predicted))
        for row in task.decisions(good, predicted)
    )
    return TaskEvaluation(
        name,
        task.metric,
        value_of(scores, task.metric),
        interval(gold, guessed, known, negative, task.metric),
        _majority(gold, known, negative, task.metric),
        expected_calibration_error(
            np.array([item.confidence for item in decisions]),
            np.array([item.gold == item.predicted for item in decisions]),
        ),
        scores,
        decisions,
    )


def format_evaluation(result: TaskEvaluation) -> str:
    """Scores in percent as a table for people."""
    scores = result.scores
    width = max(len("weighted"), *(len(name) for name in scores.classes))
    lines = [f"{'':{width}}  precision  recall      F1  support"]
    lines += [
        f"{name:{width}}  {100 * item.precision:9.2f}  {100 * item.recall:6.2f}  {100 * item.f1:6.2f}  {item.support:7}"
        for name, item in (*scores.classes.items(), ("micro", scores.micro))
    ]
    lines += [f"{'macro':{width}}  {'':9}  {'':6}  {100 * scores.macro_f1:6.2f}"]
    lines += [f"{'weighted':{width}}  {'':9}  {'':6}  {100 * scores.weighted_f1:6.2f}"]
    low, high = result.interval
    lines += ["", f"accuracy {100 * scores.accuracy:.2f}, example F1 {100 * scores.example_f1:.2f}, "]
    lines[-1] += f"calibration error {100 * result.calibration_error:.2f}"
    lines += [
        f"{result.name}: {result.metric} {100 * result.score:.2f} (95 % interval {100 * low:.2f}-{100 * high:.2f}); "
        f"the most frequent answer alone {100 * result.majority:.2f}"
    ]
    return "\n".join(lines)


def evaluation_as_dict(result: TaskEvaluation) -> dict[str, Any]:
    """Scores as fractions, ready for JSON; no text of the data."""
    scores = result.scores
    return {
        "task": result.name,
        "metric": result.metric,
        "score": result.score,
        "interval": list(result.interval),
        "majority": result.majority,
        "calibration_error": result.calibration_error,
        "accuracy": scores.accuracy,
        "micro_f1": scores.micro.f1,
        "macro_f1": scores.macro_f1,
        "weighted_f1": scores.weighted_f1,
        "example_f1": scores.example_f1,
        "decisions": len(result.decisions),
        "labels": list(scores.labels),
        "confusion": None if scores.confusion is None else scores.confusion.tolist(),
        "classes": {
            name: {
                "precision": item.precision,
                "recall": item.recall,
                "f1": item.f1,
                "support": item.support,
            }
            for name, item in scores.classes.items()
        },
    }


def _majority(gold: Sets, labels: Sequence[str], negative: Sequence[str], metric: str) -> float:
    counts = Counter(gold)
    kept = (
        {key: count for key, count in counts.items() if not key <= set(negative)} if metric.endswith("f1") else counts
    )
    if not kept:
        return 0.0
    always = max(kept, key=lambda key: (kept[key], sorted(key)))
    return value_of(score_labels(gold, [always] * len(gold), labels, negative), metric)


def _confidence(predicted: Classified) -> float:
    """The probability of what was decided: of the least probable label that holds, or that none does."""
    return float(min([predicted.scores[label] for label in predicted.labels] or [1 - max(predicted.scores.values())]))

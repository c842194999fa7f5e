"""Evaluating a task that gives labels: records in, scores with their intervals and the errors out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from textome.errors import InputError
from textome.evaluation.calibration import expected_calibration_error
from textome.evaluation.evaluation import Comparison, Data, Evaluation, labelled
from textome.evaluation.html_report import Decision, report
from textome.formats import Quarantine
from textome.metrics.labels import (
    ClassificationScores,
    Sets,
    all_scores,
    interval,
    paired_p_value,
    score_labels,
    value_of,
)
from textome.runtime.step import ModelStep
from textome.tasks.labels import Classified, LabelTask


@dataclass(frozen=True)
class TaskEvaluation(Evaluation):
    """The scores of a task that gives labels.

    interval            95 % interval of the main metric (bootstrap over decisions)
    majority            the value that the metric has for whoever always says what is most frequent in these data
    calibration_error   expected calibration error of the confidences, between 0 and 1
    details             the scores of each class
    """

    noun: ClassVar[str] = "decisions"

    interval: tuple[float, float]
    majority: float
    calibration_error: float
    details: ClassificationScores
    decisions: tuple[Decision, ...]

    @classmethod
    def of(cls, model: ModelStep, name: str, data: Data, quarantine: Quarantine) -> Self:
        task = model.task(name)
        assert isinstance(task, LabelTask)
        known = task.label_names
        good = [record for path in data.paths for record in labelled(model, name, path, data, quarantine)]
        if not good:
            raise InputError(f"{data}: there is no record to score")
        predicted = model.predictions(name, good)
        gold, guessed = task.label_sets(good, predicted)
        negative = task.negative_labels
        details = score_labels(gold, guessed, known, negative)
        decisions = tuple(
            Decision(row.id, row.text, frozenset(row.gold), frozenset(row.predicted.labels), _confidence(row.predicted))
            for row in task.decisions(good, predicted)
        )
        return cls(
            name,
            task.metric,
            len(decisions),
            all_scores(details),
            {},
            interval(gold, guessed, known, negative, task.metric),
            _majority(gold, known, negative, task.metric),
            expected_calibration_error(
                np.array([item.confidence for item in decisions]),
                np.array([item.gold == item.predicted for item in decisions]),
            ),
            details,
            decisions,
        )

    def table(self) -> str:
        details = self.details
        width = max(len("weighted"), *(len(name) for name in details.classes))
        lines = [f"{'':{width}}  precision  recall      F1  support"]
        for name, item in (*details.classes.items(), ("micro", details.micro)):
            values = f"{100 * item.precision:9.2f}  {100 * item.recall:6.2f}  {100 * item.f1:6.2f}"
            lines.append(f"{name:{width}}  {values}  {item.support:7}")
        lines += [f"{'macro':{width}}  {'':9}  {'':6}  {100 * details.macro_f1:6.2f}"]
        lines += [f"{'weighted':{width}}  {'':9}  {'':6}  {100 * details.weighted_f1:6.2f}"]
        low, high = self.interval
        lines += ["", f"accuracy {100 * details.accuracy:.2f}, example F1 {100 * details.example_f1:.2f}, "]
        lines[-1] += f"calibration error {100 * self.calibration_error:.2f}"
        lines += [
            f"{self.name}: {self.metric} {100 * self.score:.2f} (95 % interval {100 * low:.2f}-{100 * high:.2f}); "
            f"the most frequent answer alone {100 * self.majority:.2f}"
        ]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        details = self.details
        return {
            "task": self.name,
            "metric": self.metric,
            "score": self.score,
            "interval": list(self.interval),
            "majority": self.majority,
            "calibration_error": self.calibration_error,
            "accuracy": details.accuracy,
            "micro_f1": details.micro.f1,
            "macro_f1": details.macro_f1,
            "weighted_f1": details.weighted_f1,
            "example_f1": details.example_f1,
            "decisions": self.count,
            "labels": list(details.labels),
            "confusion": None if details.confusion is None else details.confusion.tolist(),
            "classes": {
                name: {"precision": item.precision, "recall": item.recall, "f1": item.f1, "support": item.support}
                for name, item in details.classes.items()
            },
        }

    def page(self, title: str) -> str:
        return report(
            title, self.metric, self.interval, self.majority, self.calibration_error, self.details, self.decisions
        )

    def compared(self, other: Evaluation) -> Comparison:
        if not isinstance(other, TaskEvaluation) or [(item.id, item.gold) for item in self.decisions] != [
            (item.id, item.gold) for item in other.decisions
        ]:
            raise InputError("the two models do not decide the same things on these data, so they cannot be compared")
        gold = [item.gold for item in self.decisions]
        first, second = ([item.predicted for item in each.decisions] for each in (self, other))
        labels = self.details.labels
        negative = [name for name in labels if name not in self.details.classes]
        p_value = paired_p_value(gold, first, second, labels, negative, self.metric)
        return Comparison(self.metric, self.score, other.score, p_value)


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

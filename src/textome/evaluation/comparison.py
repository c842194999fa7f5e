"""Which of two models is better on the same data: the difference of their scores, and how sure it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.evaluation.bootstrap import paired_bootstrap
from textome.evaluation.entity_task import Comparison as Entities
from textome.evaluation.task_evaluation import TaskEvaluation
from textome.metrics.answers import paired_p_value as paired_by_question
from textome.metrics.entities import score_entities
from textome.metrics.labels import paired_p_value


@dataclass(frozen=True, slots=True)
class Comparison:
    """The scores of two models by one metric, and the two-sided p-value of a paired bootstrap over decisions, texts or
    questions."""

    metric: str
    first: float
    second: float
    p_value: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.metric} {100 * self.first:.2f} here, {100 * self.second:.2f} there, "
            f"difference {100 * (self.first - self.second):+.2f}, p = {self.p_value:.3f}"
        )


def compare_evaluations(first: TaskEvaluation, second: TaskEvaluation) -> Comparison:
    """Compare two models' evaluations on the same data by the first one's metric.

    Raises InputError where they did not decide the same things.
    """
    keys = [[(item.id, item.gold) for item in result.decisions] for result in (first, second)]
    if keys[0] != keys[1]:
        raise InputError("the two models do not decide the same things on these data, so they cannot be compared")
    gold, one = ([getattr(item, name) for item in first.decisions] for name in ("gold", "predicted"))
    two = [item.predicted for item in second.decisions]
    labels = first.scores.labels
    negative = [name for name in labels if name not in first.scores.classes]
    p_value = paired_p_value(gold, one, two, labels, negative, first.metric)
    return Comparison(first.metric, first.score, second.score, p_value)


def compare_answers(metric: str, first: NDArray[np.float64], second: NDArray[np.float64]) -> Comparison:
    """Compare the scores of two models on the same questions, by one metric; (questions,) each."""
    return Comparison(metric, float(first.mean()), float(second.mean()), paired_by_question(first, second))


def compare_entities(first: Entities, second: Entities) -> Comparison:
    """Compare the entities that two models find in the same texts, by micro F1."""
    _, p_value = paired_bootstrap(first.gold, first.predicted, second.predicted)
    one, two = (score_entities(each.gold, each.predicted).micro.f1 for each in (first, second))
    return Comparison("micro F1", one, two, min(1.0, 2 * p_value))

"""Evaluating answers to questions: the scores of each question, their means and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from textome.datasets.questions import Answer, Question
from textome.errors import InputError
from textome.evaluation.answer_report import answer_report
from textome.evaluation.evaluation import Comparison, Data, Evaluation
from textome.formats import Quarantine
from textome.metrics.answers import METRICS, interval, paired_p_value
from textome.runtime.step import ModelStep


@dataclass(frozen=True)
class AnswerEvaluation(Evaluation):
    """The scores of answers.

    rows   (questions, metrics) of each question, see `metrics.answers.score_each`
    """

    noun: ClassVar[str] = "questions"

    questions: Sequence[Question]
    predicted: Sequence[Sequence[Answer]]
    rows: NDArray[np.float64]

    @classmethod
    def of(cls, model: ModelStep, name: str, data: Data, quarantine: Quarantine) -> Self:
        task = model.task(name)
        read = (model.read(name, path, quarantine, data.layout, **data.columns) for path in data.paths)
        questions = [question for some in read for question in some]
        if not questions:
            raise InputError(f"{data}: there is no question to score")
        predicted = model.predictions(name, questions)
        rows = task.score_each(questions, predicted)
        means = dict(zip(METRICS, rows.mean(0).tolist(), strict=True))
        return cls(name, task.metric, len(questions), means, {}, questions, predicted, rows)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the main metric."""
        return interval(self._column)

    def table(self) -> str:
        low, high = self.interval
        lines = [f"{key:16}{100 * value:6.2f}" for key, value in self.scores.items()]
        score = f"{self.metric} {100 * self.score:.2f} (95 % interval {100 * low:.2f}-{100 * high:.2f})"
        return "\n".join([*lines, "", f"{self.name}: {score}"])

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"interval": list(self.interval)}

    def page(self, title: str) -> str:
        return answer_report(title, self.metric, self.questions, self.predicted, self.rows)

    def compared(self, other: Evaluation) -> Comparison:
        if not isinstance(other, AnswerEvaluation) or len(other.rows) != len(self.rows):
            raise InputError("the two models do not answer the same questions, so they cannot be compared")
        second = other.rows[:, METRICS.index(self.metric)]
        return Comparison(self.metric, self.score, float(second.mean()), paired_p_value(self._column, second))

    @property
    def _column(self) -> NDArray[np.float64]:
        return self.rows[:, METRICS.index(self.metric)]

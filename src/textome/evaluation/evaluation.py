"""Evaluating a task of a loaded model on annotated files: one way for every task.

`Evaluation` tells the scores that a task gives itself. A task with more to tell, as intervals, a report page and
comparisons, names a subclass by `Task.evaluated_by`, which is a module of its own and a line in `EVALUATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from importlib import import_module
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from textome.errors import InputError
from textome.evaluation.html_parts import page, table
from textome.formats import Quarantine
from textome.metrics.bootstrap import paired_p_value
from textome.runtime.step import ModelStep

# By `Task.evaluated_by`; modules are imported when they are first used.
EVALUATIONS = {
    "scores": ("textome.evaluation.evaluation", "Evaluation"),
    "labels": ("textome.evaluation.task_evaluation", "TaskEvaluation"),
    "answers": ("textome.evaluation.answer_evaluation", "AnswerEvaluation"),
    "entities": ("textome.evaluation.entity_evaluation", "EntityEvaluation"),
}

# Scores of numbers, which are not shares.
_NUMBERS = ("rmse", "mae", "r2", "word_perplexity", "token_perplexity", "bits_per_byte")


@dataclass(frozen=True)
class Data:
    """The annotated files of an evaluation.

    layout        a format or layout; None: by content or task
    mapping       of entities: what labels of the data stand for, beside those that are equal but for case
    entity_type   of entities: the type in a CoNLL file with bare tags
    train         of entities: training files, whose names are scored apart from new ones
    columns       `text_column` and `label_column` of tables, where the header does not tell them
    """

    paths: Sequence[str]
    layout: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    entity_type: str | None = None
    train: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(self.paths)


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
        first, second = (_shown(self.metric, value) for value in (self.first, self.second))
        factor = 1 if self.metric in _NUMBERS else 100
        return (
            f"{self.metric} {first} here, {second} there, "
            f"difference {factor * (self.first - self.second):+.2f}, p = {self.p_value:.3f}"
        )


@dataclass(frozen=True)
class Evaluation:
    """The scores of a task, by name, over `count` records.

    notes         how a score was computed, where programs differ
    ids           of the records, in their order, where models are compared by `score_of_rows`
    score_of_rows the main metric of records by their numbers, see Task.score_of_rows
    """

    noun: ClassVar[str] = "records"
    needs_entities: ClassVar[bool] = False

    name: str
    metric: str
    count: int
    scores: Mapping[str, float]
    notes: Mapping[str, str]
    ids: tuple[str, ...] = field(default=(), kw_only=True, repr=False)
    score_of_rows: Callable[[NDArray[Any]], float] = field(default=lambda rows: 0.0, kw_only=True, repr=False)

    @property
    def score(self) -> float:
        """The main metric's."""
        return self.scores[self.metric]

    @classmethod
    def of(cls, model: ModelStep, name: str, data: Data, quarantine: Quarantine) -> Self:
        """Score a task. Raises InputError where no record is left."""
        task = model.task(name)
        pairs: list[tuple[Any, Any]] = []
        for path in data.paths:
            pairs += model.stream_predictions(name, labelled(model, name, path, data, quarantine), quarantine, path)
        if not pairs:
            raise InputError(f"{data}: there is no record to score")
        records, predictions = (list(column) for column in zip(*pairs, strict=True))
        scores = task.score(records, predictions)
        return cls(
            name,
            task.main_metric,
            len(records),
            scores,
            task.score_notes(records, predictions),
            ids=tuple(record.id for record in records),
            score_of_rows=task.score_of_rows(records, predictions),
        )

    def table(self) -> str:
        """The scores for people, in percent where they are shares."""
        width = max(map(len, self.scores))
        return "\n".join(
            f"{name:{width}}  {_shown(name, value):>8}  {self.notes.get(name, '')}".rstrip()
            for name, value in self.scores.items()
        )

    def as_dict(self) -> dict[str, Any]:
        """The scores for programs; no text of the data."""
        about = {"task": self.name, "metric": self.metric, "score": self.score, self.noun: self.count}
        return about | dict(self.scores) | ({"notes": dict(self.notes)} if self.notes else {})

    def page(self, title: str) -> str:
        """A report in HTML."""
        rows = [
            [escape(name), _shown(name, value), escape(self.notes.get(name, ""))] for name, value in self.scores.items()
        ]
        return page(title, [f"<p>{self.count:,} {self.noun}.</p>", table(["score", "value", ""], rows)])

    def compared(self, other: Evaluation) -> Comparison:
        """Which of two models is better on the same data. Raises InputError where they cannot be compared."""
        if not self.ids or (other.metric, other.ids) != (self.metric, self.ids):
            raise InputError("the two models do not score the same records in these data, so they cannot be compared")
        p_value = paired_p_value(lambda rows: self.score_of_rows(rows) - other.score_of_rows(rows), self.count)
        return Comparison(self.metric, self.score, other.score, p_value)


def evaluate(model: ModelStep, name: str, data: Data, quarantine: Quarantine) -> Evaluation:
    """Score a task on annotated files, whatever it is. Records that cannot be read are quarantined.

    Raises InputError where no record is left, and for what the data say that is not for this task.
    """
    module, kind = EVALUATIONS[model.task(name).evaluated_by]
    evaluation: type[Evaluation] = getattr(import_module(module), kind)
    if (data.mapping or data.entity_type or data.train) and not evaluation.needs_entities:
        raise InputError("--map, --entity-type and --train are for entities; this is another task")
    return evaluation.of(model, name, data, quarantine)


def labelled(model: ModelStep, name: str, path: str, data: Data, quarantine: Quarantine) -> Iterator[Any]:
    """The records of a file that the model can read, and of whose labels it has all; the others are quarantined."""
    for record in model.read(name, path, quarantine, data.layout, **data.columns):
        try:
            model.task(name).check_labels(record)
            model.check_record(name, record)
        except InputError as error:
            quarantine.add(path, "", error)
        else:
            yield record


def _shown(name: str, value: float) -> str:
    """In percent where it is a share, and not an error in the units of the data."""
    return f"{100 * value:.2f}" if 0 <= value <= 1 and name not in _NUMBERS else f"{value:.4g}"

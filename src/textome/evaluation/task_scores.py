"""How each task is scored: from records and predictions to gold and predicted label sets, and the metric that counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from textome.evaluation.answers import score_answers
from textome.evaluation.classification import Sets, score_labels, value_of
from textome.evaluation.entities import score_entities
from textome.formats.labelled import LabelledSentences, LabelledText
from textome.formats.questions import Question
from textome.tasks.classification import Classified
from textome.tasks.question_answering import Answers
from textome.tasks.recognition import Recognition
from textome.tasks.recognition import gold as entities_of
from textome.tasks.relation import Candidate

Record = LabelledText | LabelledSentences | Candidate | Question


class Metric(Protocol):
    """What names a task's main metric: a part of a recipe, or of a bundle."""

    @property
    def metric(self) -> str: ...

    @property
    def negative(self) -> Sequence[str]: ...


def main_metric(part: Any, task: Any, items: Sequence[Any], predicted: Sequence[Any]) -> float:
    """The score by which a task's models are compared, between 0 and 1."""
    if isinstance(task, Answers):
        return score_answers(items, predicted, task.threshold).as_dict()[part.metric]
    if isinstance(task, Recognition):
        return score_entities([entities_of(item) for item in items], predicted).micro.f1
    gold, guessed = label_sets(items, predicted)
    return value_of(score_labels(gold, guessed, task.labels, part.negative), part.metric)


def label_sets(items: Sequence[Any], predicted: Sequence[Any]) -> tuple[Sets, Sets]:
    """Gold and predicted label sets of texts, or of the sentences of abstracts that have a label."""
    gold: list[frozenset[str]] = []
    guessed: list[frozenset[str]] = []
    for item, found in zip(items, predicted, strict=True):
        if isinstance(item, LabelledSentences):
            pairs: list[tuple[tuple[str, ...], Classified]] = [
                ((label,), guess) for label, guess in zip(item.labels, found, strict=True) if label
            ]
        else:
            pairs = [(item.labels, found)]
        gold += [frozenset(labels) for labels, _ in pairs]
        guessed += [frozenset(guess.labels) for _, guess in pairs]
    return gold, guessed


def record_labels(item: Record) -> tuple[str, ...]:
    """All labels of a record; a question has none."""
    return () if isinstance(item, Question) else item.labels


def texts_of(item: Record) -> tuple[str, ...]:
    """All texts of a record, by which it is found again in another file."""
    if isinstance(item, Candidate):
        return (item.document.text[item.place.start : item.place.end],)
    if isinstance(item, Question):
        return (item.question,)
    if isinstance(item, LabelledSentences):
        return item.sentences
    return (item.text,) if item.pair is None else (f"{item.text} {item.pair}",)

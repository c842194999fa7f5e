"""Evaluating a bundle's task on labelled data: records in, scores with their intervals and the errors out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textome.errors import InputError
from textome.evaluation.calibration import expected_calibration_error
from textome.evaluation.classification import ClassificationScores, Sets, interval, score_labels, value_of
from textome.evaluation.task_scores import label_sets, record_labels
from textome.formats import Quarantine, read_documents
from textome.formats.labelled import LabelledSentences, LabelledText, read_labelled
from textome.runtime.tasks import TaskRunner
from textome.tasks.relation import Candidate

DEFAULT_LAYOUTS = {"classification": "tsv", "sentences": "sentences", "relations": None}


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
    runner: TaskRunner, name: str, places: Sequence[str], layout: str | None, quarantine: Quarantine
) -> TaskEvaluation:
    """Score a loaded bundle's task on annotated files. Records that cannot be read or scored are quarantined.

    Raises InputError where no record is left.
    """
    task, part = runner.task(name), runner.bundle.parts[name]
    records = read_records(task, part.kind, places, layout, quarantine)
    good = []
    for item in records:
        unknown = [label for label in record_labels(item) if label and label not in part.labels]
        try:
            if unknown:
                raise InputError(
                    f"record {item.id}: the label {unknown[0]!r} is none of the model's: {', '.join(part.labels)}"
                )
            task.units([item])
            good.append(item)
        except InputError as error:
            quarantine.add(", ".join(places), "", error)
    if not good:
        raise InputError(f"{', '.join(places)}: there is no record to score")
    predicted = runner.predictions(name, good)
    gold, guessed = label_sets(good, predicted)
    scores = score_labels(gold, guessed, part.labels, part.negative)
    decisions = tuple(_decisions(good, predicted))
    return TaskEvaluation(
        name,
        part.metric,
        value_of(scores, part.metric),
        interval(gold, guessed, part.labels, part.negative, part.metric),
        _majority(gold, part.labels, part.negative, part.metric),
        expected_calibration_error(
            np.array([item.confidence for item in decisions]),
            np.array([item.gold == item.predicted for item in decisions]),
        ),
        scores,
        decisions,
    )


def read_records(task: Any, kind: str, places: Sequence[str], layout: str | None, quarantine: Quarantine) -> list[Any]:
    """The records of files: candidates of documents for relations (`layout` is a document format), labelled texts else."""
    if kind == "relations":
        return [
            candidate
            for place in places
            for document in read_documents(place, layout, quarantine)
            for candidate in task.candidates(document)
        ]
    return [item for place in places for item in read_labelled(place, layout or str(DEFAULT_LAYOUTS[kind]), quarantine)]


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


def _decisions(items: Sequence[Any], predicted: Sequence[Any]) -> list[Decision]:
    found = []
    for item, guess in zip(items, predicted, strict=True):
        if isinstance(item, LabelledSentences):
            rows = [
                (f"{item.id}, sentence {number}", text, (label,), each)
                for number, (text, label, each) in enumerate(zip(item.sentences, item.labels, guess, strict=True), 1)
                if label
            ]
        else:
            rows = [(item.id, _text(item), item.labels, guess)]
        for name, text, labels, each in rows:
            chosen = [each.scores[label] for label in each.labels] or [1 - max(each.scores.values())]
            found.append(Decision(name, text, frozenset(labels), frozenset(each.labels), float(min(chosen))))
    return found


def _text(item: LabelledText | Candidate) -> str:
    if isinstance(item, LabelledText):
        return item.text if item.pair is None else f"{item.text}\n{item.pair}"
    if not item.head:
        return "(a relation that no candidate reaches)"
    ends = f"{item.head[0].text} / {item.tail[0].text}: "
    return ends + item.document.text[item.place.start : item.place.end]

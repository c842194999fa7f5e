"""What tasks that give labels share: scores, calibration, and labels learnt from data."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from textome.documents import Label, Span
from textome.errors import InputError
from textome.metrics.labels import Sets, all_scores, score_labels
from textome.tasks.examples import Example, Floats
from textome.tasks.spans.iob import IGNORED
from textome.tasks.task import Finding, Prediction, Record, Task, number_of

_TEMPERATURES = np.geomspace(0.25, 8, 61)
THRESHOLDS = np.arange(0.1, 0.91, 0.05)


@dataclass(frozen=True, slots=True)
class Classified:
    """The labels of a text with their probabilities: all of them in `scores`, and in `labels` those that hold."""

    labels: tuple[str, ...]
    scores: Mapping[str, float]


class Decision(NamedTuple):
    """One decision of a task: a text, a sentence or a pair of mentions; what is right, and what the model says."""

    id: str
    text: str
    gold: tuple[str, ...]
    predicted: Classified


class LabelTask(Task[Record, Prediction]):
    """A task that gives labels; `by_sentence` says whether to each sentence of a record.

    labels         in the order of the model's outputs; empty: those of the training data in alphabetical order
    multi_label    any number of labels may hold at once
    threshold      of `multi_label`: the probability from which a label holds
    temperature    what scores are divided by before probabilities are taken (Guo et al. 2017)
    class_weights  "balanced" weighs a class by 1 / its frequency, so that rare ones count as much
    focal          gamma of the focal loss (Lin et al. 2017), which turns the loss to what is still hard; 0 is cross-entropy
    """

    has_calibration: ClassVar[bool] = True
    has_uncertainty: ClassVar[bool] = True
    evaluated_by: ClassVar[str] = "labels"
    by_sentence: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "binary_cross_entropy")
    output_kind: ClassVar[str] = "labels"

    labels: tuple[str, ...] = ()
    multi_label: bool = False
    threshold: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    class_weights: Literal["none", "balanced"] = "none"
    focal: float = Field(0.0, ge=0)

    @classmethod
    def features(cls, kind: str) -> frozenset[str]:
        return super().features(kind) | {"classes", "soft_targets"}

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each score of the head."""
        return self.labels

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def loss(self) -> str:
        return "binary_cross_entropy" if self.multi_label else "cross_entropy"

    @abstractmethod
    def decisions(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> Iterator[Decision]:
        """The single decisions of the records that have a gold label, and of texts that may have none."""

    def label_sets(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> tuple[Sets, Sets]:
        """Gold and predicted label sets of all decisions."""
        rows = list(self.decisions(records, predictions))
        return [frozenset(row.gold) for row in rows], [frozenset(row.predicted.labels) for row in rows]

    def score(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> dict[str, float]:
        return all_scores(score_labels(*self.label_sets(records, predictions), self.classes, self.negative_labels))

    def fitted(self, name: str, records: Sequence[Record]) -> Self:
        counts = Counter(label for record in records for label in self.labels_of(record) if label)
        task = self if self.labels else self.model_copy(update={"labels": tuple(sorted(counts))})
        if not (labels := task.classes):
            raise InputError(f"task {name!r}: no training record has a label; see the layout of the data")
        if missing := [label for label in labels if not counts[label]]:
            raise InputError(f"task {name!r}: no training record has the label {missing[0]!r}; leave it out of labels")
        if len(labels) < 2 and not self.multi_label:
            raise InputError(
                f"task {name!r}: all training records have the label {labels[0]!r}; there is nothing to learn"
            )
        return task

    def calibrated(self, records: Sequence[Record], examples: Sequence[Example], scores: Sequence[Floats]) -> Self:
        """With the temperature that makes gold labels most probable, and the threshold with the best micro F1."""
        best = min(
            (task._log_loss(records, task.decode(records, examples, scores)), task.temperature)
            for task in (self.model_copy(update={"temperature": float(value)}) for value in _TEMPERATURES)
        )
        task = self.model_copy(update={"temperature": round(float(best[1]), 4)})
        if not self.multi_label:
            return task
        tried = []
        for value in THRESHOLDS:
            at = task.model_copy(update={"threshold": round(float(value), 2)})
            sets = at.label_sets(records, at.decode(records, examples, scores))
            tried.append((score_labels(*sets, task.classes).micro.f1, at.threshold))
        return task.model_copy(update={"threshold": max(tried)[1]})

    def soft_targets(
        self, records: Sequence[Record], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[NDArray[np.floating]]:
        """The probabilities of the classes, of a task by sentence one row for each."""
        soft = []
        for prediction in self.decode(records, examples, scores):
            decisions = prediction if isinstance(prediction, list) else [prediction]
            soft.append(np.array([*map(_shares, decisions)]).reshape(-1, len(self.classes)))
        return soft

    def as_shares(self, target: NDArray[Any]) -> NDArray[np.floating]:
        if target.dtype.kind == "f":
            return target
        shares = np.eye(len(self.classes), dtype=np.float32)[np.maximum(target[:, 0], 0)]
        return np.where(target == IGNORED, np.nan, shares)

    def annotations(self, prediction: Classified, task: str, span: Span | None = None) -> list[Label]:
        """The labels that hold and that a user wants, as a document has them; `task` is the name of the task."""
        scores = {name: round(share, 6) for name, share in prediction.scores.items()}
        labels = (Label(name, task, scores[name], span, scores) for name in prediction.labels)
        return [label for label in labels if not self._choice.leaves_out(label.confidence)]

    def findings(
        self, record: Record, examples: Sequence[Example], scores: Sequence[Floats], label: str | None = None
    ) -> list[Finding]:
        """The labels that hold, or the most probable one where none does."""
        findings = []
        for number, prediction in self._classified(record, examples, scores):
            best = max(prediction.scores, key=lambda name: prediction.scores[name])
            names = [label] if label else prediction.labels or [best]
            findings += [Finding(name, prediction.scores[name], sentence=number) for name in names]
        return findings

    def confidences(
        self, record: Record, examples: Sequence[Example], scores: Sequence[Floats], findings: Sequence[Finding]
    ) -> list[float]:
        predictions = dict(self._classified(record, examples, scores))
        return [predictions[item.sentence].scores[item.name] for item in findings]

    def uncertainty(
        self, records: Sequence[Record], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[float]:
        values = []
        for prediction in self.decode(records, examples, scores):
            decisions = prediction if isinstance(prediction, list) else [prediction]
            values.append(sum(map(self._doubt, decisions)) / max(1, len(decisions)))
        return values

    def _doubt(self, prediction: Classified) -> float:
        """The expected share of errors among the labels of one decision."""
        shares = list(prediction.scores.values())
        if self.multi_label:
            return sum(min(share, 1 - share) for share in shares) / max(1, len(shares))
        return 1 - max(shares, default=1.0)

    def _classified(
        self, record: Record, examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[tuple[int | None, Classified]]:
        """What is said of a record, or of each of its sentences with its number."""
        (prediction,) = self.decode([record], examples, scores)
        if isinstance(prediction, Classified):
            return [(None, prediction)]
        assert isinstance(prediction, list)
        return list(enumerate(prediction))

    def decide(self, shares: NDArray[np.float64]) -> Classified:
        """The labels that hold at probabilities (num_labels,): the highest, or of several those over the threshold."""
        scores = {name: float(share) for name, share in zip(self.classes, shares, strict=True)}
        if self.multi_label:
            return Classified(tuple(name for name, share in scores.items() if share >= self.threshold), scores)
        return Classified((self.classes[int(shares.argmax())],), scores)

    def label_row(self, labels: Sequence[str], record: str) -> NDArray[np.int64] | NDArray[np.float32]:
        """(1, 1) the number of the one label, or of `multi_label` (1, num_labels) of 0 and 1.

        Raises InputError for an unknown label, and for several where there may be one.
        """
        numbers = [number_of(name, self.classes, record) for name in labels]
        if self.multi_label:
            return np.isin(np.arange(len(self.classes)), numbers).astype(np.float32)[None]
        if len(numbers) != 1:
            raise InputError(
                f"record {record}: expected one label, found {', '.join(labels) or 'none'}; several need multi_label = true"
            )
        return np.array([numbers], np.int64)

    def _log_loss(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> float:
        """The mean negative log-likelihood of the gold labels."""
        losses: list[float] = []
        for row in self.decisions(records, predictions):
            for name, share in row.predicted.scores.items():
                if self.multi_label:
                    losses.append(-np.log(max(share if name in row.gold else 1 - share, 1e-12)))
                elif name in row.gold:
                    losses.append(-np.log(max(share, 1e-12)))
        return float(np.mean(losses)) if losses else 0.0


def _shares(prediction: Classified) -> list[float]:
    """The probabilities of a decision, in the order of the classes."""
    return [*prediction.scores.values()]

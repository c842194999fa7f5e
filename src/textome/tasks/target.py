"""What a model of sequences other than text answers: a class, several labels, or numbers; from records and back.

A target is a row of numbers, one for each output, and NaN where it is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from textome.documents import Document, Label, Record
from textome.errors import InputError
from textome.inputs.records import Floats, typical_distances
from textome.metrics.outputs import f_max, score_outputs
from textome.tasks import kind_named
from textome.tasks.task import HeadShape, Task

METRICS = {
    "sequence_classification": ("accuracy", "macro_f1", "balanced_accuracy", "roc_auc"),
    "sequence_labels": ("roc_auc", "accuracy", "f_max", "aupr", "macro_aupr"),
    "regression": ("rmse", "mae", "r2", "spearman"),
    "masked_tokens": ("accuracy",),
    "survival": ("concordance",),
    "affinity": ("concordance", "mse", "r_m2", "rmse", "mae", "r2", "spearman"),
}
# The kinds whose answers are numbers, which are learnt standardised.
NUMBERS = ("regression", "affinity")


# Errors, of which less is better, and the power of the unit that each has.
_POWERS = {"rmse": 1, "mae": 1, "mse": 2}


class Target(Task[Record, Floats]):
    """What a model of images, sounds, signals, DNA or molecules answers. Its predictions are rows of numbers.

    kind    sequence_classification: one of `labels`; sequence_labels: any of them; regression: a number for each of them,
            as in a forecast; masked_tokens: the hidden tokens of a sequence, to pretrain an encoder
    labels  in the order of the outputs; empty: those of the training data, in alphabetical order
    metric  by which the best epoch is chosen; empty: the first of the kind in METRICS
    loss_of_numbers  "squares"; "absolute" where a few are far larger than the others; or "both", the mean of the two
    compress  numbers are learnt as arsinh(x / unit), which is x near zero and a logarithm far from it: for numbers over
            several powers of ten, with both signs. With the absolute loss the answer is still the median
    units, limits   of the training data: the median distance from the median, and the lowest and highest number, which
            answers that were compressed keep to, since beyond them a small error would be an enormous one
    class_weights  "balanced" weighs a class by 1 / its frequency
    means, deviations   of the training data, which numbers are standardised by
    temperature  what the scores of a classification are divided by before probabilities are taken
    threshold    of sequence_labels: the probability from which a label holds; with the metric f_max the best one of the
                 validation data
    pooling  what is scored: the state of the start token, or the mean of all
    """

    old_keys: ClassVar[Mapping[str, str]] = {"loss": "loss_of_numbers"}
    has_calibration: ClassVar[bool] = True
    trained_by: ClassVar[str] = "modality"
    run_by: ClassVar[str] = "sequence_encoder"
    # Whether `completed` is called when training ends.
    needs_training_outputs: ClassVar[bool] = False

    kind: Literal[
        "sequence_classification", "sequence_labels", "regression", "masked_tokens", "survival", "affinity"
    ] = "sequence_classification"
    labels: tuple[str, ...] = ()
    metric: str = ""
    loss_of_numbers: Literal["squares", "absolute", "both"] = "squares"
    compress: bool = False
    class_weights: Literal["none", "balanced"] = "none"
    units: tuple[float, ...] = ()
    limits: tuple[tuple[float, ...], ...] = ()
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    threshold: float = Field(0.5, ge=0, le=1)
    pooling: Literal["first", "mean"] = "mean"

    @model_validator(mode="before")
    @classmethod
    def _read_old_kinds(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("kind"), str):
            return values | {"kind": kind_named(values["kind"], of_text=False)}
        return values

    @classmethod
    def features(cls, kind: str) -> frozenset[str]:
        if kind == "masked_tokens":
            return frozenset({"smoothing"})
        classes = {"class_weights"} if kind in ("sequence_classification", "sequence_labels") else set()
        one = {"calibration", "smoothing"} if kind == "sequence_classification" else set()
        return frozenset(classes | one | {"mixing"})

    @classmethod
    def from_version_1(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        return dict(entry) | {"kind": kind_named(entry.get("kind", ""), of_text=False)}

    @property
    def head_shape(self) -> HeadShape:
        return HeadShape(len(self.labels), 1)

    @property
    def loss(self) -> str:
        """The name of the training loss; unknown values count for nothing."""
        return {
            "sequence_classification": "shares",
            "sequence_labels": "known_labels",
            "regression": "numbers",
            "masked_tokens": "tokens",
        }[self.kind]

    @property
    def has_confidence(self) -> bool:  # type: ignore[override]
        return self.kind != "regression"

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.labels

    def model_post_init(self, context: Any) -> None:
        if self.compress and self.kind != "regression":
            raise ValueError(f"compress is for regression, and kind is {self.kind}")
        if self.metric and self.metric not in METRICS[self.kind]:
            raise ValueError(f"metric {self.metric!r} is none of {self.kind}: {', '.join(METRICS[self.kind])}")

    @property
    def main_metric(self) -> str:
        return self.metric or METRICS[self.kind][0]

    def fitted(self, name: str, records: Sequence[Record]) -> Self:
        """With the labels, means and deviations of training records. Raises InputError where they have no target."""
        if self.kind == "masked_tokens":
            return self
        target = self.model_copy(update={"labels": self.labels or _labels(records)})
        if not target.labels:
            raise InputError("no training record has a label; see modality.target and the layout of the data")
        classes = {record.target for record in records if isinstance(record.target, str)}
        if self.kind == "sequence_classification" and len(classes) == 1:
            raise InputError(f"all training records have the label {classes.pop()!r}; there is nothing to learn")
        if self.kind not in NUMBERS:
            return target
        values = np.stack([target.encode(record) for record in records]).astype(np.float64)
        counts = np.isfinite(values).sum(0)
        empty = [name for name, count in zip(target.labels, counts, strict=True) if not count]
        if empty:
            raise InputError(f"no training record has a value of {', '.join(empty[:5])}")
        update: dict[str, Any] = {}
        if self.compress:
            units = typical_distances(values)
            ends = (np.nanmin(values, 0), np.nanmax(values, 0))
            update = {"units": tuple(units.tolist()), "limits": tuple(tuple(end.tolist()) for end in ends)}
            values = np.arcsinh(values / units)
        deviations = np.nanstd(values, 0)
        deviations[deviations == 0] = 1.0
        update |= {"means": tuple(np.nanmean(values, 0).tolist()), "deviations": tuple(deviations.tolist())}
        return target.model_copy(update=update)

    def encode(self, record: Record) -> Floats:
        """(num_labels,): 1 for the record's labels and 0 for others, or the values; NaN where nothing is known.

        Several labels hold, and all others do not. Raises InputError for a label that is not in `labels`, or a target of
        another kind.
        """
        row = np.full(len(self.labels), np.nan, np.float32)
        if record.target is None:
            return row
        if isinstance(record.target, tuple):
            if self.kind != "sequence_labels":
                raise InputError(f"record {record.id}: it has a set of labels; set target.kind = 'multi_label'")
            if unknown := [name for name in record.target if name not in self.labels]:
                raise InputError(f"record {record.id}: the label {unknown[0]!r} is not one of the model's")
            return np.isin(self.labels, record.target).astype(np.float32)
        if self.kind == "sequence_classification":
            if not isinstance(record.target, str):
                raise InputError(f"record {record.id}: expected one label, found values; set target.kind")
            if record.target not in self.labels:
                raise InputError(f"record {record.id}: the label {record.target!r} is not one of the model's")
            row[:] = 0
            row[self.labels.index(record.target)] = 1
            return row
        if isinstance(record.target, str):
            raise InputError(f"record {record.id}: expected values by name, found a label; set target.kind")
        for number, name in enumerate(self.labels):
            row[number] = record.target.get(name, np.nan)
        return row

    @property
    def answer_names(self) -> tuple[str, ...]:
        """The names of the numbers of an answer."""
        return self.labels

    @property
    def annotated_names(self) -> tuple[str, ...]:
        """Those of them that become labels of a document."""
        return self.labels

    @property
    def horizons_answered(self) -> tuple[float, ...]:
        """Times for which `chance_within` can be asked; empty of a task that says nothing of time."""
        return ()

    def chance_within(self, answers: Floats, horizon: float) -> NDArray[np.float64]:
        """(B,) how probable an event is within `horizon` of the data's unit, of what `answers` gave."""
        raise InputError(f"a model of kind {self.kind} says nothing of the time to an event")

    def completed(self, rows: Floats, outputs: Floats) -> Self:
        """The target with what it learns from the trained model's outputs on training records, and their rows."""
        return self

    def answers(self, outputs: Floats) -> Floats:
        """What a model's outputs (B, num_labels) say: probabilities, or numbers in the units of the data."""
        if self.kind == "regression":
            numbers = outputs * np.asarray(self.deviations) + np.asarray(self.means)
            if self.compress:
                numbers = np.clip(np.sinh(np.clip(numbers, -80, 80)) * np.asarray(self.units), *np.array(self.limits))
            return np.asarray(numbers, np.float32)
        if self.kind == "sequence_labels":
            return np.asarray(1 / (1 + np.exp(-outputs.astype(np.float64))), np.float32)
        scaled = outputs.astype(np.float64) / self.temperature
        powers = np.exp(scaled - scaled.max(-1, keepdims=True))
        return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)

    @property
    def output_kind(self) -> str:  # type: ignore[override]
        return "" if self.kind == "masked_tokens" else "labels"

    def annotate(
        self, name: str, document: Document, records: Sequence[Document], predictions: Sequence[Floats]
    ) -> Document:
        """The document with the label that is most probable, all that hold, or a label for each number."""
        answer = self.described(predictions[0])
        if "values" in answer:
            labels = [Label.of_number(key, name, answer["values"][key]) for key in self.annotated_names]
        else:
            values = answer["probabilities"]
            holds = [answer["label"]] if "label" in answer else answer["labels"]
            labels = [Label(key, name, values[key], None, values) for key in holds]
            labels = [label for label in labels if not self._choice.leaves_out(label.confidence)]
        return document.with_labels([*document.labels, *labels])

    def is_labelled(self, record: Record) -> bool:
        return self.kind == "masked_tokens" or record.target is not None

    def check_labels(self, record: Record) -> None:
        self.encode(record)

    def score(self, records: Sequence[Record], predictions: Sequence[Floats]) -> dict[str, float]:
        return score_outputs(self.kind, np.stack([self.encode(record) for record in records]), np.stack(predictions))

    def with_confidences(self, gold: Floats, outputs: Floats) -> Self:
        """Of a classification, with the temperature under which gold labels are most probable (Guo et al. 2017); of several
        labels that are chosen by f_max, with the threshold that gives it.

        gold, outputs   (B, num_labels) of validation records, as `encode` has them and as the model gives them
        """
        if self.kind == "sequence_labels" and self.main_metric == "f_max":
            return self.model_copy(update={"threshold": f_max(gold, self.answers(outputs))[1]})
        known = np.isfinite(gold).all(1)
        if self.kind != "sequence_classification" or not known.any():
            return self

        def loss(temperature: float) -> float:
            answers = self.model_copy(update={"temperature": temperature}).answers(outputs[known])
            return float(-np.log(np.maximum((answers * gold[known]).sum(1), 1e-12)).mean())

        best = min((float(value) for value in np.geomspace(0.25, 8, 61)), key=loss)
        return self.model_copy(update={"temperature": round(best, 4)})

    def comparable(self, name: str, value: float) -> float:
        """A score between 0 and 1 of which more is better; of an error 1 / (1 + error in standard deviations)."""
        if name in _POWERS:
            return 1 / (1 + value / float(np.mean(np.power(self.deviations, _POWERS[name]))))
        return max(value, 0.0) if np.isfinite(value) else 0.0

    @property
    def columns(self) -> tuple[str, ...]:
        return ("label", "probability") if self.kind == "sequence_classification" else self.answer_names

    def table_rows(self, described: Mapping[str, Any]) -> list[list[str]]:
        if self.kind == "sequence_classification":
            return [[described["label"], str(described["probability"])]]
        return [[str(value) for value in described["values" if "values" in described else "probabilities"].values()]]

    def described(self, answer: Floats) -> dict[str, Any]:
        """One answer (num_labels,) for people and machines: the label with its probability, or values by name."""
        values = {name: round(float(value), 6) for name, value in zip(self.answer_names, answer, strict=True)}
        if self.kind == "sequence_classification":
            best = self.labels[int(answer.argmax())]
            return {"label": best, "probability": values[best], "probabilities": values}
        if self.kind == "sequence_labels":
            return {
                "labels": [name for name, value in values.items() if value >= self.threshold],
                "probabilities": values,
            }
        return {"values": values}


def _labels(records: Sequence[Record]) -> tuple[str, ...]:
    labels: set[str] = set()
    for record in records:
        if isinstance(record.target, Mapping | tuple):
            labels.update(record.target)
        elif record.target is not None:
            labels.add(record.target)
    return tuple(sorted(labels))

"""Scores of what sequence models answer: classes, several labels with missing ones, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Floats
from textome.tasks.target import Target

if TYPE_CHECKING:  # a run scores its own model, which needs no ONNX Runtime
    from textome.runtime.predictor import Predictor

# A number of which less is better, seen as one between 0 and 1 of which more is: 1 / (1 + error in standard deviations).
_ERRORS = ("rmse", "mae")


def score_answers(target: Target, gold: Floats, answers: Floats) -> dict[str, float]:
    """All scores of the target's kind, by name.

    gold     (B, num_labels) as Target.encode gives them, NaN where not known
    answers  (B, num_labels) as Target.answers gives them

    Raises InputError where nothing is known.
    """
    if not np.isfinite(gold).any():
        raise InputError("the data has no targets to score by")
    if target.kind == "regression":
        return _numbers(gold, answers)
    if target.kind == "sequence_labels":
        known = np.isfinite(gold)
        return {
            "roc_auc": mean_roc_auc(gold, answers),
            "accuracy": float(np.mean((answers[known] >= 0.5) == (gold[known] >= 0.5))),
        }
    whole = np.asarray(np.isfinite(gold).all(1))
    gold, answers = gold[whole], answers[whole]
    classes, found = gold.argmax(1), answers.argmax(1)
    recalls, f1 = [], []
    for number in range(len(target.labels)):
        there, said = classes == number, found == number
        if there.any() or said.any():
            f1.append(2 * (there & said).sum() / (there.sum() + said.sum()))
        if there.any():
            recalls.append((there & said).sum() / there.sum())
    binary = len(target.labels) == 2
    return {
        "accuracy": float((classes == found).mean()),
        "macro_f1": float(np.mean(f1)),
        "balanced_accuracy": float(np.mean(recalls)),
        "roc_auc": roc_auc(gold[:, 1], answers[:, 1]) if binary else mean_roc_auc(gold, answers),
    }


def evaluate_places(
    predictor: Predictor, places: Sequence[str], quarantine: Quarantine
) -> tuple[int, dict[str, float]]:
    """How many records at these places have a target, and the scores of what the model answers about them."""
    gold, answers = [], []
    for place in places:
        for record, answer in predictor.stream(place, quarantine):
            try:
                row = predictor.bundle.target.encode(record)
            except InputError as error:
                quarantine.add(place, "", error)
                continue
            if np.isfinite(row).any():
                gold.append(row)
                answers.append(answer)
    if not gold:
        raise InputError(f"{', '.join(places)}: there is no record with a target to score by")
    return len(gold), score_answers(predictor.bundle.target, np.stack(gold), np.stack(answers))


def with_temperature(target: Target, gold: Floats, outputs: Floats) -> Target:
    """A classification's target with the temperature under which the gold labels are most probable (Guo et al. 2017).

    gold, outputs   (B, num_labels) of validation records, as `score_answers` takes them and as the model gives them
    """
    known = np.isfinite(gold).all(1)
    if target.kind != "sequence_classification" or not known.any():
        return target

    def loss(temperature: float) -> float:
        answers = target.model_copy(update={"temperature": temperature}).answers(outputs[known])
        return float(-np.log(np.maximum((answers * gold[known]).sum(1), 1e-12)).mean())

    best = min((float(value) for value in np.geomspace(0.25, 8, 61)), key=loss)
    return target.model_copy(update={"temperature": round(best, 4)})


def between_0_and_1(target: Target, name: str, value: float) -> float:
    """A score as the training loop compares them: more is better."""
    if name in _ERRORS:
        return 1 / (1 + value / float(np.mean(target.deviations)))
    return max(value, 0.0) if np.isfinite(value) else 0.0


def mean_roc_auc(gold: Floats, answers: Floats) -> float:
    """The mean over labels that occur and are absent, each over the records where it is known (Wu et al. 2018)."""
    found = [roc_auc(gold[:, number], answers[:, number]) for number in range(gold.shape[1])]
    return (
        float(np.mean([value for value in found if np.isfinite(value)])) if np.isfinite(found).any() else float("nan")
    )


def roc_auc(gold: NDArray[np.floating], answers: NDArray[np.floating]) -> float:
    """The chance that a record with the label gets a higher answer than one without; ties count half; NaN where there are
    only ones of one kind. Mann and Whitney 1947. Records whose `gold` is NaN are left out."""
    known = np.isfinite(gold)
    there, values = gold[known] >= 0.5, answers[known]
    positive, negative = int(there.sum()), int((~there).sum())
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[there].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _numbers(gold: Floats, answers: Floats) -> dict[str, float]:
    """Means over the outputs of each one's root mean square error, mean absolute error and share of explained variance."""
    errors = np.where(np.isfinite(gold), answers - gold, np.nan).astype(np.float64)
    outputs = np.isfinite(errors).any(0)
    errors, known = errors[:, outputs], gold[:, outputs].astype(np.float64)
    squares = np.nanmean(errors**2, 0)
    variances = np.nanvar(known, 0)
    varied = variances > 0
    r2 = 1 - squares[varied] / variances[varied]
    return {
        "rmse": float(np.sqrt(squares).mean()),
        "mae": float(np.nanmean(np.abs(errors), 0).mean()),
        "r2": float(r2.mean()) if len(r2) else float("nan"),
    }

"""Scores of rows of outputs: classes, several labels with missing ones, numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.metrics.affinity import concordance_index, r_m_squared
from textome.metrics.survival import concordance

Floats = NDArray[np.float32]


def score_outputs(kind: str, gold: Floats, answers: Floats) -> dict[str, float]:
    """All scores of a kind of task ("regression", "affinity", "sequence_labels", "sequence_classification", "survival").

    gold     (B, num_labels) 1 for labels that hold, or numbers; NaN where not known; of survival (B, 2) time and event
    answers  (B, num_labels) probabilities, or numbers; of affinity (B, 2 num_labels), half the widths of intervals behind
             the numbers

    Raises InputError where nothing is known.
    """
    if not np.isfinite(gold).any():
        raise InputError("the data has no targets to score by")
    if kind == "survival":
        return {"concordance": concordance(gold[:, 0], gold[:, 1], answers[:, 0])}
    if kind == "regression":
        return _numbers(gold, answers)
    if kind == "affinity":
        return _affinities(gold, answers[:, : gold.shape[1]], answers[:, gold.shape[1] :])
    if kind == "sequence_labels":
        known = np.isfinite(gold)
        return {
            "roc_auc": mean_roc_auc(gold, answers),
            "accuracy": float(np.mean((answers[known] >= 0.5) == (gold[known] >= 0.5))),
        }
    whole = np.asarray(np.isfinite(gold).all(1))
    gold, answers = gold[whole], answers[whole]
    classes, predicted = gold.argmax(1), answers.argmax(1)
    recalls, f1 = [], []
    for number in range(gold.shape[1]):
        there, said = classes == number, predicted == number
        if there.any() or said.any():
            f1.append(2 * (there & said).sum() / (there.sum() + said.sum()))
        if there.any():
            recalls.append((there & said).sum() / there.sum())
    binary = gold.shape[1] == 2
    return {
        "accuracy": float((classes == predicted).mean()),
        "macro_f1": float(np.mean(f1)),
        "balanced_accuracy": float(np.mean(recalls)),
        "roc_auc": roc_auc(gold[:, 1], answers[:, 1]) if binary else mean_roc_auc(gold, answers),
    }


def mean_roc_auc(gold: Floats, answers: Floats) -> float:
    """The mean over labels that occur and are absent, each over the records where it is known (Wu et al. 2018)."""
    areas = [roc_auc(gold[:, number], answers[:, number]) for number in range(gold.shape[1])]
    return (
        float(np.mean([value for value in areas if np.isfinite(value)])) if np.isfinite(areas).any() else float("nan")
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


def _affinities(gold: Floats, answers: Floats, widths: Floats) -> dict[str, float]:
    """Means over the outputs: the concordance index, mean square error and r_m^2, those of `_numbers`, and the share of
    records inside their interval."""
    known = np.isfinite(gold)
    columns = [(gold[rows, number], answers[rows, number]) for number, rows in enumerate(known.T) if rows.any()]
    return {
        "concordance": float(np.mean([concordance_index(*column) for column in columns])),
        "mse": float(np.mean([np.mean((one.astype(np.float64) - two) ** 2) for one, two in columns])),
        "r_m2": float(np.mean([r_m_squared(*column) for column in columns])),
        **_numbers(gold, answers),
        "coverage": float((np.abs(gold - answers) <= widths)[known].mean()),
    }


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

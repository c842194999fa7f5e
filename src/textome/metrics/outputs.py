"""Scores of rows of outputs: classes, several labels with missing ones, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

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
            "f_max": f_max(gold, answers)[0],
            "aupr": average_precision(gold[known], answers[known]),
            "macro_aupr": _known_mean([average_precision(*column) for column in zip(gold.T, answers.T, strict=True)]),
        }
    whole = np.asarray(np.isfinite(gold).all(1))
    gold, answers = gold[whole], answers[whole]
    classes, predicted = gold.argmax(1), answers.argmax(1)
    recalls, f1 = [], []
    for number in range(gold.shape[1]):
        there, is_predicted = classes == number, predicted == number
        if there.any() or is_predicted.any():
            f1.append(2 * (there & is_predicted).sum() / (there.sum() + is_predicted.sum()))
        if there.any():
            recalls.append((there & is_predicted).sum() / there.sum())
    binary = gold.shape[1] == 2
    return {
        "accuracy": float((classes == predicted).mean()),
        "macro_f1": float(np.mean(f1)),
        "balanced_accuracy": float(np.mean(recalls)),
        "roc_auc": roc_auc(gold[:, 1], answers[:, 1]) if binary else mean_roc_auc(gold, answers),
    }


def mean_roc_auc(gold: Floats, answers: Floats) -> float:
    """The mean over labels that occur and are absent, each over the records where it is known (Wu et al. 2018)."""
    return _known_mean([roc_auc(gold[:, number], answers[:, number]) for number in range(gold.shape[1])])


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


def average_precision(gold: NDArray[np.floating], answers: NDArray[np.floating]) -> float:
    """The area under the curve of precision over recall: the mean of the precision at each record with the label, equal
    answers together (Davis and Goadrich 2006, without their interpolation). NaN where no record has it; records whose
    `gold` is NaN are left out."""
    known = np.isfinite(gold)
    there, values = gold[known] >= 0.5, answers[known]
    if not there.any():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    hits = np.cumsum(there[order])[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / there.sum())


def f_max(gold: Floats, answers: Floats) -> tuple[float, float]:
    """The best F1 that one threshold gives to records with several labels, and the lowest threshold that gives it.

    As for the function of proteins (Radivojac et al. 2013, Online Methods): at each of 0.01, 0.02, ..., 1 the precision is
    a mean over the records with an answer from there on, and the recall a mean over all records. Records without any label,
    and cells whose `gold` is NaN, are left out; NaN where no record has a label.
    """
    labelled = (gold >= 0.5).any(1)
    there, values = gold[labelled] >= 0.5, np.where(np.isfinite(gold), answers, -np.inf)[labelled]
    if not len(there):
        return float("nan"), 0.5
    best = (0.0, 0.01)
    for threshold in np.arange(1, 101) / 100:
        is_predicted = values >= threshold
        answered, hits = is_predicted.any(1), (is_predicted & there).sum(1)
        if hits.any():
            precision = (hits[answered] / is_predicted[answered].sum(1)).mean()
            recall = (hits / there.sum(1)).mean()
            best = max(
                best, (float(2 * precision * recall / (precision + recall)), float(threshold)), key=itemgetter(0)
            )
    return best


def spearman(gold: NDArray[np.floating], answers: NDArray[np.floating]) -> float:
    """The correlation of ranks, equal values with their mean rank (Spearman 1904); NaN where one side has one value."""
    ranks = []
    for values in (gold, answers):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[inverse])
    one, two = (rank - rank.mean() for rank in ranks)
    scale = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / scale if scale else float("nan")


def _known_mean(values: Sequence[float]) -> float:
    """The mean of the values that are not NaN; NaN where all are."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


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
    """Means over the outputs of each one's root mean square error, mean absolute error, share of explained variance and
    correlation of ranks."""
    columns = [
        (one[rows].astype(np.float64), two[rows])
        for one, two, rows in zip(gold.T, answers.T, np.isfinite(gold).T, strict=True)
        if rows.any()
    ]
    squares = [float(np.mean((two - one) ** 2)) for one, two in columns]
    return {
        "rmse": float(np.sqrt(squares).mean()),
        "mae": float(np.mean([np.abs(two - one).mean() for one, two in columns])),
        "r2": _known_mean(
            [1 - square / one.var() for square, (one, _) in zip(squares, columns, strict=True) if one.var() > 0]
        ),
        "spearman": _known_mean([spearman(*column) for column in columns]),
    }

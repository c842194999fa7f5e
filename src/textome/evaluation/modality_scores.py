"""What training needs of the scores of sequence models: calibration, and scores as its loop compares them."""

from __future__ import annotations

import numpy as np

from textome.inputs.records import Floats
from textome.metrics.outputs import roc_auc as roc_auc
from textome.metrics.outputs import score_outputs
from textome.tasks.target import Target

# A number of which less is better, seen as one between 0 and 1 of which more is: 1 / (1 + error in standard deviations).
# The second is the power of the unit that an error has.
_ERRORS = {"rmse": 1, "mae": 1, "mse": 2}


def score_answers(target: Target, gold: Floats, answers: Floats) -> dict[str, float]:
    """All scores of the target's kind, by name, see `metrics.outputs.score_outputs`."""
    return score_outputs(target.kind, gold, answers)


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
        return 1 / (1 + value / float(np.mean(np.power(target.deviations, _ERRORS[name]))))
    return max(value, 0.0) if np.isfinite(value) else 0.0

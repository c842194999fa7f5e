"""Scores of translations by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textome.errors import MissingExtraError


def score_translations(predicted: Sequence[str], expected: Sequence[str]) -> dict[str, tuple[float, str]]:
    """BLEU and chrF (Post 2018) of a corpus, between 0 and 1, each with its signature.

    Raises MissingExtraError where sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError as error:
        raise MissingExtraError("BLEU", "translate") from error
    metrics: dict[str, Any] = {"BLEU": BLEU(), "chrF": CHRF()}
    scores = {
        name: metric.corpus_score(list(predicted), [list(expected)]).score / 100 for name, metric in metrics.items()
    }
    return {name: (float(score), str(metrics[name].get_signature())) for name, score in scores.items()}

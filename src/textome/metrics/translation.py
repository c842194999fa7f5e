"""Scores of translations by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def bleu_counts(predicted: Sequence[str], expected: Sequence[str]) -> NDArray[np.int64]:
    """(n, 10) of each text what `bleu_of` adds up: matching n-grams and all, of 1 to 4 words, and both lengths in words."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(effective_order=True)
    scores = [metric.sentence_score(text, [reference]) for text, reference in zip(predicted, expected, strict=True)]
    return np.array([[*score.counts, *score.totals, score.sys_len, score.ref_len] for score in scores]).reshape(-1, 10)


def bleu_of(counts: NDArray[np.int64]) -> float:
    """BLEU of the texts with these counts, between 0 and 1."""
    from sacrebleu.metrics.bleu import BLEU

    *sums, length, expected_length = counts.sum(0).tolist()
    return float(BLEU.compute_bleu(sums[:4], sums[4:], length, expected_length).score) / 100

"""ROUGE of texts beside reference texts (Lin 2004), by the package rouge-score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import MissingExtraError

ROUGE = ("rouge1", "rouge2", "rougeL")


def rouge(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """(n, 3) the F1 of ROUGE-1, ROUGE-2 and ROUGE-L of each text, with Porter's stemmer, beside the reference to which it
    is most alike.

    Raises MissingExtraError where rouge-score is not installed.
    """
    scorer = _scorer()
    rows = []
    for text, own in zip(predicted, references, strict=True):
        scores = [scorer.score(reference, text) for reference in own]
        rows.append([max((score[name].fmeasure for score in scores), default=0.0) for name in ROUGE])
    return np.array(rows, np.float64).reshape(-1, len(ROUGE))


@lru_cache(maxsize=1)
def _scorer() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError as error:
        raise MissingExtraError("ROUGE", "generate") from error
    return RougeScorer(list(ROUGE), use_stemmer=True)

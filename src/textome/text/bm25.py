"""How well texts match a question: BM25 (Robertson and Zaragoza 2009, equation 3.15)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_K1, _B = 1.2, 0.75


def bm25(question: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """(texts,): the BM25 of each text; 0 where it has no word of the question.

    A word's weight is log(1 + (N - n + 0.5) / (n + 0.5)) of the N texts, n of which have it, and so never negative.
    """
    counts = [Counter(_words(text)) for text in texts]
    lengths = np.array([words.total() for words in counts], np.float64)
    relative = lengths / max(1.0, float(lengths.mean())) if len(lengths) else lengths
    scores = np.zeros(len(texts))
    for word in {*_words(question)}:
        times = np.array([words[word] for words in counts], np.float64)
        holding = np.count_nonzero(times)
        weight = np.log1p((len(texts) - holding + 0.5) / (holding + 0.5))
        scores += weight * times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * relative))
    return scores


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())

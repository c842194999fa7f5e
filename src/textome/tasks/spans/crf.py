"""Labels of words that heed each other: a conditional random field over each entity type (Lafferty et al. 2001).

Each word has a score for each of its labels after each label of the word before it (Ma and Hovy 2016, section 2.3: the
weights of a pair of labels are those of a linear layer over the word's hidden state). Before the first word stands O. So
the head stays one linear layer, of nine scores for each type, in the order of `PAIRS`.

Given the scores, the labels of a sentence are a Markov chain; `chain` gives it, and all else is read from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textome.tasks.spans.iob import BEGIN, INSIDE, LABELS, OUTSIDE, ScoredSpan, spans_of

Floats = NDArray[np.float32]
PAIRS = tuple(f"{before}>{label}" for before in LABELS for label in LABELS)


def chain(scores: Floats, temperature: Floats | float = 1.0) -> Floats:
    """The log probabilities of each label of a word, given the label before it, (m, heads, 3, 3), of scores (m, heads, 9).

    temperature   one, or one for each head, by which scores are divided

    The axes are: words, heads, the label before, the label. No I follows an O or stands first. By the backward recursion
    (Rabiner 1989, equation 25, without its emissions).
    """
    legal = scores.reshape(*scores.shape[:2], len(LABELS), len(LABELS)).astype(np.float64)
    legal /= np.asarray(temperature, np.float64).reshape(-1, 1, 1)
    legal[..., OUTSIDE, INSIDE] = -np.inf
    after = np.zeros((scores.shape[1], len(LABELS)))
    steps = np.empty(legal.shape, np.float32)
    for word in range(len(legal) - 1, -1, -1):
        totals = legal[word] + after[:, None]
        after = _log_sum(totals)
        steps[word] = totals - after[..., None]
    return steps


def marginals(steps: Floats) -> Floats:
    """The log probabilities (m, heads, 3) of each word's labels by those of its steps (m, heads, 3, 3)."""
    certain = np.empty(steps.shape[:-1], np.float32)
    before = np.full((steps.shape[1], len(LABELS)), -np.inf)
    before[:, OUTSIDE] = 0.0
    for word, rows in enumerate(steps):
        before = certain[word] = _log_sum(np.swapaxes(before[..., None] + rows, -1, -2))
    return certain


def decode(steps: Floats) -> list[ScoredSpan]:
    """The entities of the most probable labels of each head (Viterbi 1967), in order of their place; see `chain`.

    An entity's confidence is the probability of just this span.
    """
    length, heads = steps.shape[:2]
    total = np.full((heads, len(LABELS)), -np.inf)
    total[:, OUTSIDE] = 0.0
    origin = np.empty((length, heads, len(LABELS)), np.int64)
    for word, rows in enumerate(steps):
        through = total[..., None] + rows
        origin[word] = through.argmax(axis=1)
        total = through.max(axis=1)
    best = np.empty((length, heads), np.int64)
    label, column = total.argmax(axis=1), np.arange(heads)
    for word in range(length - 1, -1, -1):
        best[word] = label
        label = origin[word, column, label]
    certain = marginals(steps)
    return [
        ScoredSpan(first, last, head, _probability(steps, certain, first, last, head))
        for first, last, head in spans_of(best)
    ]


def span_probability(steps: Floats, first: int, last: int, head: int) -> float:
    """How probable it is that words `first` to `last`, and no more, are an entity of a head: the probability of its B, of
    each I after it, and that the next word does not go on; see `chain`."""
    return _probability(steps, marginals(steps), first, last, head)


def _probability(steps: Floats, certain: Floats, first: int, last: int, head: int) -> float:
    total, label = float(certain[first, head, BEGIN]), BEGIN
    for word in range(first + 1, last + 1):
        total, label = total + float(steps[word, head, label, INSIDE]), INSIDE
    goes_on = float(np.exp(steps[last + 1, head, label, INSIDE])) if last + 1 < len(steps) else 0.0
    return min(1.0, float(np.exp(total))) * max(0.0, 1.0 - goes_on)


def _log_sum(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the sum of the exponentials over the last axis; -inf where all are."""
    greatest = rows.max(axis=-1)
    shifted = np.exp(rows - np.where(np.isfinite(greatest), greatest, 0.0)[..., None]).sum(axis=-1)
    with np.errstate(divide="ignore"):
        return np.where(np.isfinite(greatest), greatest, 0.0) + np.log(shifted)  # type: ignore[no-any-return]

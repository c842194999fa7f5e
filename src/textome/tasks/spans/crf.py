"""Labels of words that heed each other: a conditional random field over each entity type (Lafferty et al. 2001).

Each word has a score for each of its labels after each label of the word before it (Ma and Hovy 2016, section 2.3: the
weights of a pair of labels are those of a linear layer over the word's hidden state). Before the first word stands O. So
the head stays one linear layer, of nine scores for each type, in the order of `PAIRS`.

Given the scores, the labels of a sentence are a Markov chain; `chain` gives it, and all else is read from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from textome.tasks.spans.iob import (
    BEGIN,
    INSIDE,
    LABELS,
    OUTSIDE,
    Floats,
    Integers,
    Packing,
    ScoredSpan,
    best_labels,
    ends_of,
    scored,
)

PAIRS = tuple(f"{before}>{label}" for before in LABELS for label in LABELS)
# The logarithm below which the share of a score means nothing: the product of two such shares is a number still.
_MIN_LOG_SHARE = -300.0
Shares = NDArray[np.float64]


def chain(scores: Floats, temperature: Floats | float = 1.0, lengths: Sequence[int] | None = None) -> Floats:
    """The log probabilities of each label of a word, given the label before it, (m, heads, 3, 3), of scores (m, heads, 9).

    temperature   one, or one for each head, by which scores are divided
    lengths       the number of words of each sentence; None: all are of one

    The axes are: words, heads, the label before, the label. No I follows an O or stands first.
    """
    sizes = [len(scores)] if lengths is None else lengths
    shares, words = _chains(scores, temperature, Packing.of(np.asarray(sizes, np.int64)), ends_of(sizes))
    with np.errstate(divide="ignore"):
        logs = np.log(np.moveaxis(shares, (0, 1), (2, 3))[np.argsort(words)])
    return logs.astype(np.float32)


def marginals(steps: Floats, lengths: Sequence[int] | None = None) -> Floats:
    """The log probabilities (m, heads, 3) of each word's labels by those of its steps (m, heads, 3, 3), see `chain`."""
    sizes = np.asarray([len(steps)] if lengths is None else lengths, np.int64)
    heads = steps.shape[1]
    packing = Packing.of(np.repeat(sizes, heads))
    sentence, head = np.divmod(packing.column, heads)
    word = (np.cumsum(sizes) - sizes)[sentence] + packing.step
    columns = np.exp(np.moveaxis(steps[word, head], 0, 2), dtype=np.float64)
    certain = np.empty(steps.shape[:-1], np.float32)
    with np.errstate(divide="ignore"):
        certain[word, head] = np.log(_marginals(columns, packing)).T
    return certain


def decode(scores: Floats, temperature: Floats | None, lengths: Sequence[int]) -> list[list[ScoredSpan]]:
    """The entities of the most probable labels of each sentence and head, in the order of the text.

    scores        (m, heads, 9) of the words of all sentences
    temperature   one for each head, by which scores are divided; None: 1
    lengths       the number of words of each sentence

    An entity's confidence is the probability of just this span.
    """
    sizes, ends, heads = np.asarray(lengths, np.int64), ends_of(lengths), scores.shape[1]
    shares, words = _chains(scores, 1.0 if temperature is None else temperature, Packing.of(sizes), ends)
    packed = np.empty_like(words)
    packed[words] = np.arange(len(words))
    with np.errstate(divide="ignore"):
        nothing = np.log(shares[OUTSIDE, OUTSIDE])[packed]
    (there,) = np.nonzero(sizes)
    nothing = np.add.reduceat(nothing, (ends - sizes)[there], axis=0) if len(there) else nothing
    # Where it is more probable than not that there is no entity at all, that is the best path.
    sentence, head = np.nonzero(nothing <= np.log(0.5))
    sentence = there[sentence]
    packing = Packing.of(sizes[sentence])
    word, head = (ends - sizes)[sentence][packing.column] + packing.step, head[packing.column]
    columns = shares.reshape(*shares.shape[:2], -1)[:, :, packed[word] * heads + head]
    with np.errstate(divide="ignore"):
        steps = np.log(columns)
        certain = np.log(_marginals(columns, packing)[BEGIN])
    labels = np.zeros(scores.shape[:2], np.int64)
    labels[word, head] = best_labels(steps, packing)
    column = np.empty(labels.shape, np.int64)
    column[word, head] = np.arange(len(word))

    def go_on(words: Integers, heads: Integers, is_second: bool) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = steps[BEGIN if is_second else INSIDE, INSIDE, column[words, heads]]
        return rows

    return scored(labels, lengths, lambda words, heads: certain[column[words, heads]], go_on)


def span_probability(steps: Floats, first: int, last: int, head: int, begin: float | None = None) -> float:
    """How probable it is that words `first` to `last`, and no more, are an entity of a head: the probability of its B, of
    each I after it, and that the next word does not go on; see `chain`.

    begin   the log probability of its B where it is known, as one of `marginals`, which take long
    """
    if begin is None:
        begin = float(marginals(steps[: first + 1, head : head + 1])[first, 0, BEGIN])
    total, label = begin, BEGIN
    for word in range(first + 1, last + 1):
        total, label = total + float(steps[word, head, label, INSIDE]), INSIDE
    goes_on = float(np.exp(steps[last + 1, head, label, INSIDE])) if last + 1 < len(steps) else 0.0
    return min(1.0, float(np.exp(total))) * max(0.0, 1.0 - goes_on)


def _chains(scores: Floats, temperature: Floats | float, packing: Packing, ends: Integers) -> tuple[Shares, Integers]:
    """The probabilities (3, 3, m, heads) of each label of a word given the label before it, and the number of each word.

    The words of all sentences are packed from their ends. By the backward recursion (Rabiner 1989, equation 25, without its
    emissions), scaled at each word.
    """
    words = ends[packing.column] - 1 - packing.step
    heads, num_labels = scores.shape[1], len(LABELS)
    scaled = scores[words] / np.asarray(temperature, np.float32).reshape(-1, 1)
    rows = np.ascontiguousarray(scaled.reshape(-1, num_labels**2).T).reshape(num_labels, num_labels, -1)
    rows[OUTSIDE, INSIDE] = -np.inf
    rows -= rows.max(axis=(0, 1))
    shares = np.exp(np.maximum(rows, np.float32(_MIN_LOG_SHARE)), dtype=np.float64)
    shares[OUTSIDE, INSIDE] = 0.0
    after = np.ones((num_labels, shares.shape[2]))
    steps = packing.steps()
    for behind, step in pairwise(steps):
        known = slice(behind.start * heads, (behind.start + step.stop - step.start) * heads)
        total = (shares[:, :, known] * after[:, known]).sum(axis=1)
        np.divide(total, total.max(axis=0), out=after[:, step.start * heads : step.stop * heads])
    shares *= after
    shares /= shares.sum(axis=1, keepdims=True)
    return shares.reshape(num_labels, num_labels, len(words), heads), words


def _marginals(shares: Shares, packing: Packing) -> Shares:
    """The probabilities (3, n) of the labels of each packed word, by those of its steps (3, 3, n)."""
    certain = np.empty(shares.shape[1:])
    before = np.zeros((len(LABELS), shares.shape[2]))
    before[OUTSIDE] = 1.0
    for words in packing.steps():
        before = (before[:, None, : words.stop - words.start] * shares[:, :, words]).sum(axis=0)
        certain[:, words] = before
    return certain

"""How the scores of a head of entities are read: each word by itself, as a chain, or with one softmax over all types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from textome.tasks.examples import Floats
from textome.tasks.spans import crf, iob
from textome.tasks.spans.iob import BEGIN, INSIDE, LABELS, OUTSIDE, ScoredSpan


class Labelling(NamedTuple):
    """How a head's scores are read.

    outputs       the names of the scores of one type
    normalise     of scores (m, heads, outputs) and a temperature for each head, log probabilities
    decode        the entities that those tell of
    probability   of one entity: of log probabilities, its first and last word and its head
    marginals     of log probabilities those of each word's labels by themselves, (m, heads, 3)
    """

    outputs: tuple[str, ...]
    normalise: Callable[[Floats, Floats], Floats]
    decode: Callable[[Floats], list[ScoredSpan]]
    probability: Callable[[Floats, int, int, int], float]
    marginals: Callable[[Floats], Floats]


INDEPENDENT = Labelling(LABELS, iob.log_probabilities, iob.decode, iob.span_probability, lambda rows: rows)
CHAINED = Labelling(crf.PAIRS, crf.chain, crf.decode, crf.span_probability, crf.marginals)


def of_one_softmax(scores: Floats, labels: Sequence[str], types: Sequence[str]) -> Floats:
    """(m, num_labels) as (m, len(types), 3): for a type, O is the most probable of all labels that are not its
    own, so that a type is never preferred where another label is more probable."""
    rows = scores - scores.max(axis=-1, keepdims=True)
    rows = rows - np.log(np.exp(rows).sum(axis=-1, keepdims=True))
    by_type = np.full((len(rows), len(types), len(LABELS)), -np.inf, np.float32)
    for head, name in enumerate(types):
        own = [labels.index(label) for label in (f"B-{name}", f"I-{name}") if label in labels]
        by_type[:, head, OUTSIDE] = np.delete(rows, own, axis=-1).max(axis=-1)
        for mark, label in ((BEGIN, f"B-{name}"), (INSIDE, f"I-{name}")):
            if label in labels:
                by_type[:, head, mark] = rows[:, labels.index(label)]
            elif mark == BEGIN:  # a scheme of I-X alone: the first word of a run begins
                by_type[:, head, mark] = rows[:, labels.index(f"I-{name}")] - 1e-3
    return by_type

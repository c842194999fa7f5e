"""How the scores of a head of entities are read: each word by itself, as a chain, or with one softmax over all types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from textome.tasks.examples import Example, Floats
from textome.tasks.spans import crf, iob
from textome.tasks.spans.iob import BEGIN, INSIDE, LABELS, OUTSIDE, ScoredSpan
from textome.text.tokenization import Tokens

# Words whose scores are decoded at once.
GROUP_WORDS = 4096


class Labelling(NamedTuple):
    """How a head's scores are read: those of the words of some sentences at once, whose numbers of words are `lengths`.

    outputs       the names of the scores of one type
    decode        of scores (m, heads, outputs), a temperature for each head and `lengths`, the entities of each sentence
    normalise     of the same, log probabilities
    probability   of one entity: of the log probabilities of a sentence, its first and last word, its head, and the log
                  probability of its first label, if that is known
    marginals     of log probabilities and `lengths`, those of each word's labels by themselves, (m, heads, 3)
    """

    outputs: tuple[str, ...]
    decode: Callable[[Floats, Floats | None, Sequence[int]], list[list[ScoredSpan]]]
    normalise: Callable[[Floats, Floats, Sequence[int]], Floats]
    probability: Callable[[Floats, int, int, int, float | None], float]
    marginals: Callable[[Floats, Sequence[int]], Floats]


INDEPENDENT = Labelling(
    LABELS,
    iob.decode,
    lambda rows, temperature, _: iob.log_probabilities(rows, temperature),
    iob.span_probability,
    lambda rows, _: rows,
)
CHAINED = Labelling(crf.PAIRS, crf.decode, crf.chain, crf.span_probability, crf.marginals)


def by_sentence(
    examples: Sequence[Example], scores: Sequence[Floats]
) -> tuple[dict[int, list[Floats]], dict[int, Tokens | None]]:
    """By the number of each sentence, the scores of its windows and its tokens."""
    pieces: dict[int, list[Floats]] = {}
    tokens: dict[int, Tokens | None] = {}
    for example, rows in zip(examples, scores, strict=True):
        tokens[example.record] = example.tokens
        pieces.setdefault(example.record, []).append(rows)
    return pieces, tokens


def groups(lengths: Mapping[int, int]) -> Iterator[dict[int, int]]:
    """The numbers of sentences with their lengths in words, longest first, in groups of no more than GROUP_WORDS words, or
    of one sentence: arrays of the scores of a group stay small, and its sentences end at about the same step."""
    group: dict[int, int] = {}
    words = 0
    for number in sorted(lengths, key=lengths.__getitem__, reverse=True):
        if group and words + lengths[number] > GROUP_WORDS:
            yield group
            group, words = {}, 0
        group[number] = lengths[number]
        words += lengths[number]
    if group:
        yield group


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

"""Entity recognition: spans to targets, scores back to spans.

Each entity type has a head of its own that labels every word O, B or I (IOB2), so entities of different types may
overlap, and a corpus that annotates only some types trains only their heads. Only the first sub-word of a word carries
its label, as in Devlin et al. 2019, section 5.3; words are the tokenizer's own, so a span never begins or ends inside
one, on annotated corpora and on raw text alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textome.text.tokenization import Tokens

LABELS = ("O", "B", "I")
OUTSIDE, BEGIN, INSIDE = range(3)
IGNORED = -100
Floats = NDArray[np.float32]
Labels = NDArray[np.int8]


class Mention(NamedTuple):
    """An entity in a text: code points `[start, end)` and the number of its type's head."""

    start: int
    end: int
    head: int


class ScoredSpan(NamedTuple):
    """A predicted entity over words `first` to `last`, both included."""

    first: int
    last: int
    head: int
    confidence: float


def targets(
    tokens: Tokens,
    mentions: Iterable[Mention],
    num_heads: int,
    annotated: Sequence[int],
    negative_types: Mapping[int, Sequence[int]] | None = None,
) -> Labels:
    """IOB2 targets for each word and head, shape (m, num_heads).

    annotated   the heads whose types this text is annotated for; the others get IGNORED throughout
    negative_types   by a head, others whose types its mentions are never: they get OUTSIDE there instead of IGNORED

    A word that a mention touches belongs to it, also where the mention ends inside the word. Of mentions of one type
    that overlap, the longest is kept, since one head can hold only one.
    """
    labels = np.full((len(tokens.first), num_heads), IGNORED, np.int8)
    labels[:, list(annotated)] = OUTSIDE
    for start, end, head in sorted(mentions, key=lambda mention: mention.start - mention.end):
        first = int(np.searchsorted(tokens.word_ends, start, side="right"))
        last = int(np.searchsorted(tokens.word_starts, end, side="left"))
        if first < last and not labels[first:last, head].any():
            labels[first:last, head] = INSIDE
            labels[first, head] = BEGIN
    for head, others in (negative_types or {}).items():
        for other in others:
            labels[(labels[:, head] > OUTSIDE) & (labels[:, other] == IGNORED), other] = OUTSIDE
    return labels


def label_names(types: Sequence[str]) -> tuple[str, ...]:
    """Names of a classifier's outputs in order: plain IOB2 for one type, with the type before them for several heads."""
    if len(types) == 1:
        return tuple(label if label == "O" else f"{label}-{types[0]}" for label in LABELS)
    return tuple(f"{name}:{label}" for name in types for label in LABELS)


def log_probabilities(logits: Floats, temperature: Floats | float = 1.0) -> Floats:
    """log softmax over the last axis of `logits / temperature`; shape (m, num_heads, 3) stays.

    temperature   one, or one for each head (num_heads,): above 1 makes confidences humbler (Guo et al. 2017)
    """
    scaled = logits / np.asarray(temperature, np.float32).reshape(-1, 1)
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))  # type: ignore[no-any-return]


def decode(scores: Floats) -> list[ScoredSpan]:
    """The entities of a text of m words from log probabilities (m, num_heads, 3), in order of their place.

    For each head this is the most probable label sequence in which no I follows an O or stands first, so no span is
    ever illegal. An entity's confidence is the probability of just this span under the head's labels.
    """
    best = scores.argmax(axis=-1)
    inside = best == INSIDE
    illegal = inside.copy()
    illegal[1:] &= best[:-1] == OUTSIDE
    for column in np.flatnonzero(illegal.any(axis=0)):
        best[:, column] = _most_probable_legal(scores[:, column])
    return [
        ScoredSpan(first, last, head, span_probability(scores, first, last, head))
        for first, last, head in spans_of(best)
    ]


def spans_of(labels: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """The first word, the last word and the head of each entity that labels (m, heads) tell of, in order of their place."""
    spans = []
    for begin, number in zip(*(indices.tolist() for indices in np.nonzero(labels == BEGIN)), strict=True):
        last = begin
        while last + 1 < len(labels) and labels[last + 1, number] == INSIDE:
            last += 1
        spans.append((begin, last, number))
    return spans


def span_probability(scores: Floats, first: int, last: int, head: int) -> float:
    """How probable it is that words `first` to `last`, and no more, are an entity of a head, by log probabilities
    (m, num_heads, 3): the probability of its B, of each I, and that the word after it does not go on (I)."""
    total = float(scores[first, head, BEGIN]) + float(scores[first + 1 : last + 1, head, INSIDE].sum())
    goes_on = float(np.exp(scores[last + 1, head, INSIDE])) if last + 1 < len(scores) else 0.0
    return min(1.0, float(np.exp(total))) * max(0.0, 1.0 - goes_on)


def without_overlaps(spans: Sequence[ScoredSpan]) -> list[ScoredSpan]:
    """Of entities that share a word the most probable, whatever their heads; in the order given."""
    kept: list[ScoredSpan] = []
    for item in sorted(spans, key=lambda item: (-item.confidence, item.first - item.last)):
        if all(item.last < other.first or item.first > other.last for other in kept):
            kept.append(item)
    return [item for item in spans if item in kept]


def _most_probable_legal(scores: Floats) -> NDArray[np.int64]:
    """Viterbi over (m, 3) log probabilities with the one rule of IOB2: I needs a B or an I before it."""
    length = len(scores)
    total = scores[0].astype(np.float64)
    total[INSIDE] = -np.inf
    origin = np.empty((length, 3), np.int64)
    for step in range(1, length):
        any_best = int(total.argmax())
        inside_best = BEGIN if total[BEGIN] >= total[INSIDE] else INSIDE
        origin[step] = (any_best, any_best, inside_best)
        total = total[origin[step]] + scores[step]
    path = np.empty(length, np.int64)
    path[-1] = total.argmax()
    for step in range(length - 1, 0, -1):
        path[step - 1] = origin[step, path[step]]
    return path

"""Entity recognition: spans to targets, scores back to spans.

Each entity type has a head of its own that labels every word O, B or I (IOB2), so entities of different types may
overlap, and a corpus that annotates only some types trains only their heads. Only the first sub-word of a word carries
its label, as in Devlin et al. 2019, section 5.3; words are the tokenizer's own, so a span never begins or ends inside
one, on annotated corpora and on raw text alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from textome.text.tokenization import Tokens

LABELS = ("O", "B", "I")
OUTSIDE, BEGIN, INSIDE = range(3)
IGNORED = -100
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
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


class Spans(NamedTuple):
    """Entities over words `first` to `last`, both included, with the numbers of their heads; three arrays of one length."""

    first: Integers
    last: Integers
    head: Integers

    @classmethod
    def of(cls, labels: NDArray[np.signedinteger]) -> Self:
        """Those that legal labels (m, heads) tell of, in order of their first word, then of their head."""
        by_head = np.concatenate([labels.T.ravel(), [OUTSIDE]])
        stops = np.flatnonzero(by_head != INSIDE)
        first, head = np.nonzero(labels == BEGIN)
        start = head * len(labels) + first
        stop = stops[np.searchsorted(stops, start, side="right")]
        return cls(first, np.minimum(first + stop - start, len(labels)) - 1, head)

    def probabilities(
        self,
        ends: Integers,
        begin: NDArray[np.floating],
        go_on: Callable[[Integers, Integers, bool], NDArray[np.floating]],
    ) -> NDArray[np.float64]:
        """How probable it is that just these are entities: that an entity begins at the first word, goes on at each word
        after it, and not at the one after the last.

        ends    the word after the sentence of each span
        begin   log probabilities of the beginnings
        go_on   of words, their heads, and whether the word before each is the first of its entity: the log probabilities
                that the entity goes on at that word
        """
        total = begin.astype(np.float64)
        extra = self.last - self.first
        stops = np.ones(len(total))
        for number in range(1, int(extra.max(initial=-1)) + 2):
            longer = np.flatnonzero(extra >= number)
            total[longer] += go_on(self.first[longer] + number, self.head[longer], number == 1)
            over = np.flatnonzero((extra == number - 1) & (self.last + 1 < ends))
            stops[over] -= np.exp(go_on(self.last[over] + 1, self.head[over], number == 1))
        return np.minimum(1.0, np.exp(total)) * np.maximum(0.0, stops)


class Packing(NamedTuple):
    """How the n words of columns are packed, each the labels of one type along a sentence: the longest column first, and of
    all columns the first word, then of those that are longer the second, and so on. So a step is one operation over all.

    column   (n,) of each packed word, its column
    step     (n,) and its number in the column, from 0
    starts   where the words of each step begin; at last n
    """

    column: Integers
    step: Integers
    starts: list[int]

    @classmethod
    def of(cls, lengths: Integers) -> Self:
        """Of the number of words of each column, none of which is empty."""
        order = np.argsort(-lengths, kind="stable")
        sizes = len(lengths) - np.searchsorted(np.sort(lengths), np.arange(lengths.max(initial=0)), side="right")
        starts = np.concatenate([[0], np.cumsum(sizes)])
        step = np.repeat(np.arange(len(sizes)), sizes)
        return cls(order[np.arange(len(step)) - starts[step]], step, starts.tolist())

    def steps(self) -> list[slice]:
        """The words of each step."""
        return [slice(start, end) for start, end in zip(self.starts, self.starts[1:], strict=False)]


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


def decode(scores: Floats, temperature: Floats | None, lengths: Sequence[int]) -> list[list[ScoredSpan]]:
    """The entities of each sentence from scores (m, num_heads, 3) of the words of all of them, in the order of the text.

    temperature   one for each head, see `log_probabilities`; None where the scores are log probabilities already
    lengths       the number of words of each sentence

    For each head this is the most probable label sequence in which no I follows an O or stands first, so no span is
    ever illegal. An entity's confidence is the probability of just this span under the head's labels.
    """
    best, num_heads = scores.argmax(axis=-1), scores.shape[1]
    sizes, ends = np.asarray(lengths, np.int64), ends_of(lengths)
    starts = ends - sizes
    before = np.concatenate([np.zeros_like(best[:1]), best[:-1]])
    before[starts[starts < len(best)]] = OUTSIDE
    words, heads = np.nonzero((best == INSIDE) & (before == OUTSIDE))
    sentence, head = np.divmod(np.unique(np.searchsorted(ends, words, side="right") * num_heads + heads), num_heads)

    def rows_of(words: Integers, heads: Integers) -> Floats:
        rows = scores[words, heads]
        return rows if temperature is None else log_probabilities(rows, temperature[heads])

    if len(sentence):
        packing = Packing.of(sizes[sentence])
        word, head = starts[sentence][packing.column] + packing.step, head[packing.column]
        steps = np.repeat(rows_of(word, head).T.astype(np.float64)[None], len(LABELS), axis=0)
        steps[OUTSIDE, INSIDE] = -np.inf
        best[word, head] = best_labels(steps, packing)
    return scored(
        best,
        lengths,
        lambda *where: rows_of(*where)[:, BEGIN],
        lambda words, heads, _: rows_of(words, heads)[:, INSIDE],
    )


def scored(
    labels: NDArray[np.int64],
    lengths: Sequence[int],
    begin: Callable[[Integers, Integers], NDArray[np.floating]],
    go_on: Callable[[Integers, Integers, bool], NDArray[np.floating]],
) -> list[list[ScoredSpan]]:
    """The entities of each sentence, of labels (m, heads) of the words of all of them; see `Spans.probabilities`."""
    spans, ends = Spans.of(labels), ends_of(lengths)
    sentence = np.searchsorted(ends, spans.first, side="right")
    confidences = spans.probabilities(ends[sentence], begin(spans.first, spans.head), go_on)
    start = (ends - np.asarray(lengths, np.int64))[sentence]
    of_sentence: list[list[ScoredSpan]] = [[] for _ in lengths]
    columns = (sentence, spans.first - start, spans.last - start, spans.head, confidences)
    for number, first, last, head, confidence in zip(*(column.tolist() for column in columns), strict=True):
        of_sentence[number].append(ScoredSpan(first, last, head, confidence))
    return of_sentence


def best_labels(scores: NDArray[np.float64], packing: Packing) -> Integers:
    """The labels (n,) of the best path of each column (Viterbi 1967), of scores (3, 3, n) of a label after another; before
    the first word stands O. Of equal paths the one with the earlier labels."""
    origin = np.empty(scores.shape[1:], np.int64)
    last = np.empty(packing.starts[1] if len(packing.starts) > 1 else 0, np.int64)
    total = np.full((len(LABELS), len(last)), -np.inf)
    total[OUTSIDE] = 0.0
    steps = packing.steps()
    for words in steps:
        size = words.stop - words.start
        last[size : total.shape[1]] = total[:, size:].argmax(axis=0)
        through = total[:, None, :size] + scores[:, :, words]
        origin[:, words] = through.argmax(axis=0)
        total = through.max(axis=0)
    last[: total.shape[1]] = total.argmax(axis=0)
    best = np.empty(scores.shape[2], np.int64)
    for words in reversed(steps):
        size = words.stop - words.start
        best[words] = last[:size]
        last[:size] = origin[last[:size], np.arange(words.start, words.stop)]
    return best


def ends_of(lengths: Sequence[int]) -> Integers:
    """Where each sentence of a row of them ends."""
    return np.cumsum(np.asarray(lengths, np.int64))


def span_probability(scores: Floats, first: int, last: int, head: int, begin: float | None = None) -> float:
    """How probable it is that words `first` to `last`, and no more, are an entity of a head, by log probabilities
    (m, num_heads, 3): the probability of its B (`begin`, where it is known), of each I, and that the word after it does
    not go on (I)."""
    total = (float(scores[first, head, BEGIN]) if begin is None else begin) + float(
        scores[first + 1 : last + 1, head, INSIDE].sum()
    )
    goes_on = float(np.exp(scores[last + 1, head, INSIDE])) if last + 1 < len(scores) else 0.0
    return min(1.0, float(np.exp(total))) * max(0.0, 1.0 - goes_on)


def with_one_type(spans: Sequence[ScoredSpan], ranks: Mapping[int, int]) -> list[ScoredSpan]:
    """Of entities with the same words, whose heads have a rank, only that of the highest rank and, of these, the most
    probable; all of other heads. In the order given."""
    best: dict[tuple[int, int], ScoredSpan] = {}
    for item in spans:
        if (rank := ranks.get(item.head)) is not None:
            other = best.get(item[:2])
            if other is None or (rank, item.confidence) > (ranks[other.head], other.confidence):
                best[item[:2]] = item
    return [item for item in spans if item.head not in ranks or best[item[:2]] is item]


def without_overlaps(spans: Sequence[ScoredSpan], each_head: bool = False) -> list[ScoredSpan]:
    """Of entities that share a word the most probable, whatever their heads, or among those of each head; in the order
    given."""
    covered: set[tuple[int, int]] = set()
    kept = set()
    for number, (first, last, head, _) in sorted(
        enumerate(spans), key=lambda item: (-item[1].confidence, item[1].first - item[1].last)
    ):
        words = [(head if each_head else 0, word) for word in range(first, last + 1)]
        if covered.isdisjoint(words):
            covered.update(words)
            kept.add(number)
    return [item for number, item in enumerate(spans) if number in kept]

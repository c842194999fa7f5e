"""How pairs of mentions become examples: their text with the mentions marked, see relations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from textome.documents import Document, Entity, Span
from textome.tasks.examples import Example, Integers, first_tokens, joined
from textome.tasks.windows import windows
from textome.text.sentences import sentence_spans
from textome.text.tokenization import Tokenizer, Tokens

_Spot = tuple[int, int, str]  # start, end and type of a mention
_Mark = tuple[int, int, str, tuple[str, str]]  # the same, and what stands before and behind it
_HEAD, _TAIL, _ANY = ("@ * {} * ", " @"), ("# ^ {} ^ ", " #"), ("@ {} ", " @")
# Pairs of one text that are scored together at most; each takes as much memory as a few tokens.
_PAIRS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two groups of mentions that may be related, and how: `labels` are empty where nothing is said about them.

    head, tail   the mentions, one each in a sentence; both empty for a relation of the corpus that no candidate can reach
                 (its mentions stand in two sentences, say), which counts as missed
    scope        what is read of the document
    """

    id: str
    document: Document
    head: tuple[Entity, ...]
    tail: tuple[Entity, ...]
    scope: Span
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairReader:
    """Makes examples of candidates.

    types   of the entities that are marked where all of a text are; empty: any
    """

    tokenizer: Tokenizer
    window: int
    overlap: int
    one_pass: bool
    types: frozenset[str]

    def examples(self, pairs: Sequence[Candidate]) -> list[Example]:
        """The inputs of the model for each candidate, or with `one_pass` for each text."""
        if self.one_pass:
            return self._shared(pairs)
        numbers = [number for number, pair in enumerate(pairs) if pair.head]
        marked = [_marked(pairs[number]) for number in numbers]
        encoded = self.tokenizer.encode([text for text, _, _ in marked])
        examples = []
        for number, (_, heads, tails), tokens in zip(numbers, marked, encoded, strict=True):
            examples += self._windows(number, pairs[number], tokens, heads, tails)
        return examples

    def _windows(
        self, number: int, pair: Candidate, tokens: Tokens, heads: list[int], tails: list[int]
    ) -> list[Example]:
        first, second = first_tokens(tokens, heads), first_tokens(tokens, tails)
        examples = []
        for window in windows(tokens, self.window - 2, self.overlap):
            inside = [[at for at in starts if window.start <= at < window.end] for starts in (first, second)]
            if all(inside):
                positions = [0, *(at - window.start + 1 for at in _nearest_positions(*inside))]
                examples.append(self._example(number, tokens.ids[window.start : window.end], positions))
        return examples or [self._too_far(number, pair)]

    def _shared(self, pairs: Sequence[Candidate]) -> list[Example]:
        """Examples of texts, with a position for each candidate of the text that has mentions of both in the window."""
        texts: dict[tuple[int, Span], list[int]] = {}
        for number, pair in enumerate(pairs):
            if pair.head:
                texts.setdefault((id(pair.document), pair.scope), []).append(number)
        marked = [self._all_marked(pairs[numbers[0]]) for numbers in texts.values()]
        encoded = self.tokenizer.encode([text for text, _ in marked])
        examples = []
        for numbers, (_, offsets), tokens in zip(texts.values(), marked, encoded, strict=True):
            firsts = dict(zip(offsets, first_tokens(tokens, offsets.values()), strict=True))
            mentions = {
                number: [
                    [firsts[_spot(entity)] for entity in side] for side in (pairs[number].head, pairs[number].tail)
                ]
                for number in numbers
            }
            shared = shared_examples(mentions, tokens, self.tokenizer, self.window, self.overlap, _first_and_nearest)
            examples += shared
            read = {number for example in shared for number in example.owners}
            examples += [self._too_far(number, pairs[number]) for number in numbers if number not in read]
        return examples

    def _all_marked(self, pair: Candidate) -> tuple[str, dict[_Spot, int]]:
        """A candidate's text with every mention marked that the task could ask about, and where the markers begin."""
        scope, types = pair.scope, self.types
        inside = (one for one in pair.document.entities if scope.start <= one.start and one.end <= scope.end)
        spots = list(dict.fromkeys(_spot(entity) for entity in inside if not types or entity.type in types))
        marks = [(start, end, _first_word(kind), _ANY) for start, end, kind in spots]
        text, offsets = with_markers(pair.document.text, scope, marks)
        return text, dict(zip(spots, offsets, strict=True))

    def _too_far(self, number: int, pair: Candidate) -> Example:
        """The sentences of the two nearest mentions, one after the other, each cut around its mention to half a window."""
        half = (self.window - 2) // 2
        pieces, positions = list[Integers](), [0]
        head, tail = nearest(pair.head, pair.tail)
        for entity, own in ((head, _ANY if self.one_pass else _HEAD), (tail, _ANY if self.one_pass else _TAIL)):
            text, offset = _marked_sentence(pair.document, entity, own)
            (tokens,) = self.tokenizer.encode([text])
            at = first_tokens(tokens, [offset])[0]
            start = max(0, min(at - half // 4, len(tokens.ids) - half))
            positions.append(sum(len(piece) for piece in pieces) + at - start + 1)
            pieces.append(tokens.ids[start : start + half])
        return self._example(number, np.concatenate(pieces), positions + positions[1:] * self.one_pass)

    def _example(self, number: int, ids: Integers, positions: list[int]) -> Example:
        ids, types = joined([ids], self.tokenizer)
        return Example(number, ids, types, np.array([positions], np.int32))


def nearest(head: Sequence[Entity], tail: Sequence[Entity]) -> tuple[Entity, Entity]:
    return min(((one, two) for one in head for two in tail), key=lambda pair: abs(pair[0].start - pair[1].start))


def _nearest_positions(first: Sequence[int], second: Sequence[int]) -> tuple[int, int]:
    return min(((one, two) for one in first for two in second), key=lambda pair: abs(pair[0] - pair[1]))


def _first_word(kind: str) -> str:
    """Where every mention is marked, long names of types would be half of what is read."""
    match = re.match(r"[^\W\d_]?[^\W\d_A-Z]+|[A-Z]+", kind)
    return match[0] if match else kind


def shared_examples(
    mentions: Mapping[int, Sequence[Sequence[int]]],
    tokens: Tokens,
    tokenizer: Tokenizer,
    window: int,
    overlap: int,
    positions_of: Callable[[list[int], list[int]], list[int]],
) -> list[Example]:
    """The windows of a text, each with a row of positions for every pair that has mentions of both in it.

    mentions       by the number of a pair, the first tokens of the mentions of its head and its tail
    positions_of   the row of a pair, from where in the window its mentions begin
    """
    examples = []
    for part in windows(tokens, window - 2, overlap):
        rows, positions = list[int](), list[list[int]]()
        for number, sides in mentions.items():
            head, tail = ([at - part.start + 1 for at in side if part.start <= at < part.end] for side in sides)
            if head and tail:
                rows.append(number)
                positions.append(positions_of(head, tail))
        ids, types = joined([tokens.ids[part.start : part.end]], tokenizer)
        for start in range(0, len(rows), _PAIRS_AT_ONCE):
            some = tuple(rows[start : start + _PAIRS_AT_ONCE])
            chosen = np.array(positions[start : start + _PAIRS_AT_ONCE], np.int32)
            examples.append(Example(some[0], ids, types, chosen, record_of_position=some))
    return examples


def _first_and_nearest(head: list[int], tail: list[int]) -> list[int]:
    """[CLS], the markers of the two nearest mentions, and those of the first of both."""
    return [0, *_nearest_positions(head, tail), min(head), min(tail)]


def _spot(entity: Entity) -> _Spot:
    return entity.start, entity.end, entity.type


def _marked(pair: Candidate) -> tuple[str, list[int], list[int]]:
    """A candidate's text with its mentions marked, and where in it the markers of heads and of tails begin."""
    marks = [(*_spot(entity), _HEAD) for entity in pair.head] + [(*_spot(entity), _TAIL) for entity in pair.tail]
    text, offsets = with_markers(pair.document.text, pair.scope, marks)
    return text, offsets[: len(pair.head)], offsets[len(pair.head) :]


def with_markers(text: str, scope: Span, marks: Sequence[_Mark]) -> tuple[str, list[int]]:
    """The text of a scope with markers put around mentions, and where in it each mention's marker begins."""
    # What is put in, by its offset: at one offset ends come before starts, and the outer of two starts first.
    edits = []
    for number, (start, end, kind, (opening, closing)) in enumerate(marks):
        edits.append((start, 1, -end, opening.format(kind), number))
        edits.append((end, 0, -start, closing, -1))
    pieces: list[str] = []
    offsets = [0] * len(marks)
    position, length = scope.start, 0
    for at, _, _, piece, number in sorted(edits):
        gap = text[position:at]
        pieces += [gap, piece]
        if number >= 0:
            offsets[number] = length + len(gap)
        length += len(gap) + len(piece)
        position = at
    pieces.append(text[position : scope.end])
    return "".join(pieces), offsets


def _marked_sentence(document: Document, entity: Entity, own: tuple[str, str]) -> tuple[str, int]:
    """The sentence of a mention with the mention marked, and where the marker begins."""
    sentence = next(span for span in sentence_spans(document) if span.start <= entity.start < span.end)
    text = document.text
    before, after = text[sentence.start : entity.start], text[entity.end : max(sentence.end, entity.end)]
    kind = _first_word(entity.type) if own is _ANY else entity.type
    return f"{before}{own[0].format(kind)}{text[entity.start : entity.end]}{own[1]}{after}", len(before)

"""What a model with a task's head reads: examples, and how texts, pairs and lists of sentences become examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.tasks.windows import Window, windows
from textome.text.tokenization import Tokenizer, Tokens

Integers = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """One input of the model: a record (a text, an abstract, a pair of mentions, a question), or a window of it.

    record             the number of the record
    input_ids          (n,) with special tokens
    token_type_ids     (n,) 0 for the first text, 1 for the second; None for a task that reads single texts
    positions          (m,) tokens whose hidden states are scored, or (m, num_pooled_positions) of which several are joined
    weight             the number of tokens of the record that this example answers for
    start              the first sub-word, word or piece of a sentence of the window
    context            which of a record's texts this is, where it has several
    record_of_position the record of each position, where they are not all of `record`
    sentences          the sentence of the record that each position is of, where sentences are scored
    tokens             the sub-words of the whole text, where the way back from positions to the text needs them
    target_ids         what is to be written, of a task that writes; None where the record does not say
    """

    record: int
    input_ids: Integers
    token_type_ids: Integers | None
    positions: Integers
    weight: int = 1
    start: int = 0
    context: int = 0
    record_of_position: tuple[int, ...] = ()
    sentences: tuple[int, ...] = ()
    tokens: Tokens | None = None
    target_ids: Integers | None = None

    def moved(self, num_records: int) -> Example:
        """The same example where that many other records stand before its own."""
        others = tuple(record + num_records for record in self.record_of_position)
        return replace(self, record=self.record + num_records, record_of_position=others)

    @property
    def owners(self) -> tuple[int, ...]:
        """The records that the positions are of."""
        return self.record_of_position or (self.record,)


def text_examples(
    record: int,
    name: str,
    texts: Sequence[Tokens],
    tokenizer: Tokenizer,
    size: int,
    overlap: int,
    marked: Sequence[Sequence[int]] = (),
) -> list[Example]:
    """A text, or two, as examples that are scored at [CLS]; the longer text is cut into windows where needed.

    name    of the record, for errors
    size    tokens of an example, special ones included
    marked  for each further state that is joined to that of [CLS], the sub-words of a single text where it may be taken;
            the first that lies in the window is, and where none does [CLS] stands in for it

    Raises InputError where a text is empty, and where the shorter one of a pair fills more than half an example.
    """
    if not all(len(tokens.ids) for tokens in texts):
        raise InputError(f"record {name}: a text without any word cannot be read")
    if len(texts) == 1:
        return [
            _example(
                record,
                joined([texts[0].ids[window.start : window.end]], tokenizer),
                window,
                [
                    next((at - window.start + 1 for at in positions if window.start <= at < window.end), 0)
                    for positions in marked
                ],
            )
            for window in windows(texts[0], size - 2, overlap)
        ]
    swapped = len(texts[0].ids) > len(texts[1].ids)
    short, long = sorted(texts, key=lambda tokens: len(tokens.ids))
    room = size - 3 - len(short.ids)
    if len(short.ids) > size // 2:
        raise InputError(
            f"record {name}: the shorter text of the pair has {len(short.ids)} tokens; it must fit half of the window of "
            f"{size} tokens, so that the other one is read beside it"
        )
    examples = []
    for window in windows(long, room, min(overlap, room // 2)):
        piece = long.ids[window.start : window.end]
        both = [piece, short.ids] if swapped else [short.ids, piece]
        examples.append(_example(record, joined(both, tokenizer), window, []))
    return examples


def first_tokens(tokens: Tokens, offsets: Iterable[int]) -> list[int]:
    """The sub-words at which the words at these offsets begin."""
    return [int(tokens.first[np.searchsorted(tokens.word_starts, offset)]) for offset in offsets]


def _example(record: int, tokens: tuple[Integers, Integers], window: Window, marked: Sequence[int]) -> Example:
    weight = window.keep_end - window.keep_start
    return Example(record, *tokens, np.array([[0, *marked]], np.int32), weight, window.start)


def joined(parts: Sequence[Integers], tokenizer: Tokenizer) -> tuple[Integers, Integers]:
    """[CLS] first [SEP] and, where there are two parts, second [SEP]: the ids and token types (Devlin et al. 2019, 3)."""
    ids = [np.array([tokenizer.start_id], np.int32)]
    types = [np.zeros(1, np.int32)]
    for number, part in enumerate(parts):
        ids += [np.asarray(part, np.int32), np.array([tokenizer.end_id], np.int32)]
        types.append(np.full(len(part) + 1, number, np.int32))
    return np.concatenate(ids), np.concatenate(types)


def sentence_examples(record: int, sentences: Sequence[Tokens], tokenizer: Tokenizer, size: int) -> list[Example]:
    """An abstract's sentences as [CLS] s1 [SEP] s2 [SEP] ..., each scored at the [SEP] behind it (Cohan et al. 2019).

    Where the abstract is longer than `size`, runs of sentences are read one after another, each with as many of the
    sentences before and after it as fit. A sentence longer than an example is read in pieces, and each piece is scored.
    """
    pieces = [
        (number, piece.ids[start : start + size - 2])
        for number, piece in enumerate(sentences)
        for start in range(0, max(1, len(piece.ids)), size - 2)
    ]
    lengths = np.array([len(ids) + 1 for _, ids in pieces])
    examples = []
    begin = 0
    while begin < len(pieces):
        # A core of at most half an example where the abstract does not fit whole, and context around it.
        goal = size - 1 if lengths[begin:].sum() <= size - 1 and begin == 0 else size // 2
        end = begin + max(1, int(np.searchsorted(np.cumsum(lengths[begin:]), goal, side="right")))
        first, last = begin, end
        used = int(lengths[begin:end].sum())
        while True:
            before = int(lengths[first - 1]) if first else size
            after = int(lengths[last]) if last < len(pieces) else size
            if used + min(before, after) > size - 1:
                break
            if before <= after:
                first, used = first - 1, used + before
            else:
                last, used = last + 1, used + after
        ids = [np.array([tokenizer.start_id], np.int32)]
        positions = []
        position = 0
        for number in range(first, last):
            ids += [pieces[number][1], np.array([tokenizer.end_id], np.int32)]
            position += int(lengths[number])
            if begin <= number < end:
                positions.append(position)
        flat = np.concatenate(ids)
        numbers = tuple(number for number, _ in pieces[begin:end])
        types = np.zeros(len(flat), np.int32)
        examples.append(Example(record, flat, types, np.array(positions, np.int32), start=begin, sentences=numbers))
        begin = end
    return examples


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    """The probability of each label by itself."""
    return 1 / (1 + np.exp(-logits))  # type: ignore[no-any-return]

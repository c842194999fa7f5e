"""What a model with a task's head reads: units of tokens, and how texts, pairs and lists of sentences become units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.tasks.ner import Window, windows
from textome.text.tokenization import Tokenizer, Tokens

Integers = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Unit:
    """One input of the model, for one item (a text, an abstract, a candidate pair, a question) or a window of it.

    item            the item's number
    input_ids       (n,) with special tokens
    token_type_ids  (n,) 0 for the first text, 1 for the second
    places          (m,) tokens that are scored, or (m, states) whose states are joined, mostly m = 1
    weight          how much of the item this unit answers for, in tokens
    start           what the task needs to find its way back: the first sentence, sub-word or word of the window
    context         which of an item's texts this is, where it has several
    rows            the items that `places` are of, one each, where they are not all of `item`
    """

    item: int
    input_ids: Integers
    token_type_ids: Integers
    places: Integers
    weight: int = 1
    start: int = 0
    context: int = 0
    rows: tuple[int, ...] = ()


def text_units(
    item: int,
    name: str,
    texts: Sequence[Tokens],
    tokenizer: Tokenizer,
    size: int,
    overlap: int,
    marked: Sequence[Sequence[int]] = (),
) -> list[Unit]:
    """A text, or two, as units that are scored at [CLS]; the longer text is cut into windows where needed.

    name    of the item, for errors
    size    tokens of a unit, special ones included
    marked  for each further state that is joined to that of [CLS], the sub-words of a single text where it may be taken;
            the first that lies in the window is, and where none does [CLS] stands in for it

    Raises InputError where a text is empty, and where the shorter one of a pair fills more than half a unit.
    """
    if not all(len(tokens.ids) for tokens in texts):
        raise InputError(f"record {name}: a text without any word cannot be read")
    if len(texts) == 1:
        return [
            _unit(
                item,
                joined([texts[0].ids[window.start : window.end]], tokenizer),
                window,
                [
                    next((place - window.start + 1 for place in places if window.start <= place < window.end), 0)
                    for places in marked
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
    units = []
    for window in windows(long, room, min(overlap, room // 2)):
        piece = long.ids[window.start : window.end]
        both = [piece, short.ids] if swapped else [short.ids, piece]
        units.append(_unit(item, joined(both, tokenizer), window, []))
    return units


def first_tokens(tokens: Tokens, offsets: Iterable[int]) -> list[int]:
    """The sub-words at which the words at these offsets begin."""
    return [int(tokens.first[np.searchsorted(tokens.word_starts, offset)]) for offset in offsets]


def _unit(item: int, tokens: tuple[Integers, Integers], window: Window, marked: Sequence[int]) -> Unit:
    weight = window.keep_end - window.keep_start
    return Unit(item, *tokens, np.array([[0, *marked]], np.int32), weight, window.start)


def joined(parts: Sequence[Integers], tokenizer: Tokenizer) -> tuple[Integers, Integers]:
    """[CLS] first [SEP] and, where there are two parts, second [SEP]: the ids and token types (Devlin et al. 2019, 3)."""
    ids = [np.array([tokenizer.start_id], np.int32)]
    types = [np.zeros(1, np.int32)]
    for number, part in enumerate(parts):
        ids += [np.asarray(part, np.int32), np.array([tokenizer.end_id], np.int32)]
        types.append(np.full(len(part) + 1, number, np.int32))
    return np.concatenate(ids), np.concatenate(types)


def sentence_units(item: int, sentences: Sequence[Tokens], tokenizer: Tokenizer, size: int) -> list[Unit]:
    """An abstract's sentences as [CLS] s1 [SEP] s2 [SEP] ..., each scored at the [SEP] behind it (Cohan et al. 2019).

    Where the abstract is longer than `size`, runs of sentences are read one after another, each with as many of the
    sentences before and after it as fit. A sentence longer than a unit is read in pieces, and each piece is scored.
    """
    pieces = [
        (number, piece.ids[start : start + size - 2])
        for number, piece in enumerate(sentences)
        for start in range(0, max(1, len(piece.ids)), size - 2)
    ]
    lengths = np.array([len(ids) + 1 for _, ids in pieces])
    units = []
    begin = 0
    while begin < len(pieces):
        # A core of at most half a unit where the abstract does not fit whole, and context around it.
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
        places = []
        position = 0
        for number in range(first, last):
            ids += [pieces[number][1], np.array([tokenizer.end_id], np.int32)]
            position += int(lengths[number])
            if begin <= number < end:
                places.append(position)
        flat = np.concatenate(ids)
        units.append(Unit(item, flat, np.zeros(len(flat), np.int32), np.array(places, np.int32), end - begin, begin))
        begin = end
    return units


def pieces_of(sentences: Sequence[Tokens], size: int) -> list[int]:
    """For each piece that `sentence_units` scores, in order, the number of its sentence."""
    return [number for number, piece in enumerate(sentences) for _ in range(0, max(1, len(piece.ids)), size - 2)]


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    """The probability of each label by itself."""
    return 1 / (1 + np.exp(-logits))  # type: ignore[no-any-return]

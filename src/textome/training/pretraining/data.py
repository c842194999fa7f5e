"""What a pretraining step reads: sequences of whole sentences out of corpora, drawn by a plan that needs no memory.

Which sequences the n-th block of batches holds follows from the seed and n alone, so that a stopped run goes on exactly,
and every process of a parallel run knows the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from textome.corpus.store import Corpus
from textome.encoders.layers.packing import Layout
from textome.tasks.masked_lm import Masker
from textome.text.tokenization import Tokenizer
from textome.training.batches import POOL, cut, plan

Ids = NDArray[np.int64]
# The sequences of a batch: for each the source, the pass over the source, and the number of the sequence.
Drawn = list[tuple[int, int, int]]
# Sequences of fewer tokens teach little: a heading, a list's number.
SHORTEST = 4
# Streams of random numbers for different uses begin with different numbers.
_ORDER, _BATCHES, _MASKS = 1, 2, 3


@dataclass(frozen=True)
class PretrainingBatch:
    """Sequences end to end, sorted by length, some of their tokens hidden.

    input_ids       (T,) int64, with [CLS] and [SEP]
    masked_positions (M,) int64, where in `input_ids` a token was chosen, or stands whose successor is guessed
    targets         (M,) int64, what stood there, or follows it
    layout          where each sequence begins and ends
    token_type_ids  (T,) int64, or None without next-sentence prediction
    follows         (B,) int64, 0 where the second part follows the first and 1 where not, or None
    sizes           how many hidden tokens each sequence has
    block, number   which batch of the mixture it is
    whole           the numbers of hidden tokens and of sequences of the batch that this is a part of
    """

    input_ids: Tensor
    masked_positions: Tensor
    targets: Tensor
    layout: Layout
    sizes: list[int]
    token_type_ids: Tensor | None = None
    follows: Tensor | None = None
    block: int = 0
    number: int = 0
    whole: tuple[int, int] = (0, 0)

    task: ClassVar[int] = 0

    @property
    def num_tokens(self) -> int:
        return self.layout.num_tokens

    def cut(self, budget: int) -> list[PretrainingBatch]:
        """The batch in parts of at most `budget` tokens, or of one longer sequence."""
        lengths, starts = self.layout.lengths.tolist(), self.layout.cu_seqlens.tolist()
        ends, parts = np.cumsum([0, *self.sizes]).tolist(), []
        for group in cut(range(len(lengths)), lengths, budget):
            chosen = slice(group[0], group[-1] + 1)
            tokens = slice(starts[chosen.start], starts[chosen.stop])
            hidden = slice(ends[chosen.start], ends[chosen.stop])
            parts.append(
                replace(
                    self,
                    input_ids=self.input_ids[tokens],
                    masked_positions=self.masked_positions[hidden] - tokens.start,
                    targets=self.targets[hidden],
                    layout=Layout.of(lengths[chosen]),
                    sizes=self.sizes[chosen],
                    token_type_ids=None if self.token_type_ids is None else self.token_type_ids[tokens],
                    follows=None if self.follows is None else self.follows[chosen],
                )
            )
        return parts

    def to(self, device: torch.device) -> PretrainingBatch:
        """The same batch on `device`; out of pinned memory without waiting."""
        return self._each(lambda item: item.to(device, non_blocking=True), self.layout.to(device))

    def pin_memory(self) -> PretrainingBatch:
        """The same batch in memory from which a GPU copies by itself."""
        return self._each(Tensor.pin_memory, self.layout.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor], layout: Layout) -> PretrainingBatch:
        kinds, follows = self.token_type_ids, self.follows
        return replace(
            self,
            input_ids=change(self.input_ids),
            masked_positions=change(self.masked_positions),
            targets=change(self.targets),
            layout=layout,
            token_type_ids=None if kinds is None else change(kinds),
            follows=None if follows is None else change(follows),
        )


@dataclass(frozen=True)
class Sequences:
    """The sequences of one corpus: runs of whole sentences of one document, of at most `length` tokens.

    A sentence that is longer by itself is cut.

    rows   (n, 3) int64: shard, first token, end token
    last   (n,) bool: whether a sequence ends where its document does
    """

    corpus: Corpus
    rows: NDArray[np.int64]
    last: NDArray[np.bool_]

    @classmethod
    def of(cls, corpus: Corpus, length: int, documents: NDArray[np.bool_]) -> Sequences:
        """Sequences of the documents where the mask (num_documents,) is true; `length` leaves special tokens out."""
        rows: list[tuple[int, int, int]] = []
        last: list[bool] = []
        number = 0
        for shard_number, shard in enumerate(corpus.shards):
            bounds = shard.sentences.tolist()
            for first, stop in zip(shard.documents[:-1].tolist(), shard.documents[1:].tolist(), strict=True):
                if documents[number]:
                    runs = _cut(bounds[first : stop + 1], length)
                    rows += ((shard_number, start, end) for start, end in runs)
                    last += (end == bounds[stop] for _, end in runs)
                number += 1
        return cls(corpus, np.array(rows, np.int64).reshape(-1, 3), np.array(last, np.bool_))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mean_length(self) -> float:
        return float((self.rows[:, 2] - self.rows[:, 1]).mean())

    def length(self, number: int) -> int:
        """Tokens of a sequence, without special tokens."""
        return int(self.rows[number, 2] - self.rows[number, 1])

    def ids(self, number: int) -> Ids:
        """The token ids of a sequence, without special tokens."""
        shard, start, end = self.rows[number].tolist()
        ids: Ids = self.corpus.shards[shard].tokens[start:end].astype(np.int64)
        return ids

    def breaks(self, number: int) -> list[int]:
        """Where in a sequence its second and later sentences begin."""
        shard, start, end = self.rows[number].tolist()
        bounds = self.corpus.shards[shard].sentences
        inner = bounds[np.searchsorted(bounds, start, "right") : np.searchsorted(bounds, end, "left")]
        return sorted(set((inner - start).tolist()) - {0})


@dataclass(frozen=True)
class Mixture:
    """Several corpora as one endless stream of batches.

    weights   the share of sequences that each corpus gives, summing to 1
    """

    sources: tuple[Sequences, ...]
    weights: tuple[float, ...]
    token_budget: int
    seed: int

    def generator(self, source: int, turn: int, number: int) -> np.random.Generator:
        """What is drawn for a sequence in a pass over its source: always the same."""
        return np.random.default_rng([_MASKS, self.seed, source, turn, number])

    def block(self, number: int) -> list[Drawn]:
        """The batches of a block: about `POOL` of them."""
        drawn: Drawn = []
        for source, (sequences, weight) in enumerate(zip(self.sources, self.weights, strict=True)):
            bounds = [int(weight * self._block_size * count) for count in (number, number + 1)]
            for position in range(*bounds):
                turn, index = divmod(position, len(sequences))
                drawn.append((source, turn, int(_order(self.seed, source, turn, len(sequences))[index])))
        return self._cut(drawn, np.random.default_rng([_BATCHES, self.seed, number]))

    def onward(self, block: int, batch: int) -> Iterator[tuple[int, int, Drawn]]:
        """All batches from the one numbered `batch` in a block on, each with both numbers; without end."""
        while True:
            batches = self.block(block)
            for number in range(batch, len(batches)):
                yield block, number, batches[number]
            block, batch = block + 1, 0

    def whole(self) -> Iterator[Drawn]:
        """Batches that hold every sequence of every source once, without regard to weights."""
        everything = [(source, 0, number) for source, rows in enumerate(self.sources) for number in range(len(rows))]
        yield from self._cut(everything, np.random.default_rng([_BATCHES, self.seed]))

    def _cut(self, drawn: Drawn, generator: np.random.Generator) -> list[Drawn]:
        lengths = [self.sources[source].length(sequence) + 2 for source, _, sequence in drawn]
        return [[drawn[index] for index in batch] for batch in plan(lengths, self.token_budget, generator)]

    @property
    def _block_size(self) -> int:
        mean = sum(
            weight * (sequences.mean_length + 2) for sequences, weight in zip(self.sources, self.weights, strict=True)
        )
        return max(1, int(POOL * self.token_budget / mean))


def held_out(corpus: Corpus, share: float) -> NDArray[np.bool_]:
    """(num_documents,) bool: the documents that a corpus keeps for evaluation, the same ones for every run."""
    return np.random.default_rng(corpus.num_documents).random(corpus.num_documents) < share


class Assembles(Protocol):
    """Makes the batches of a pretraining task, which have a `block` and a `number` as `PretrainingBatch` has."""

    def batch(self, drawn: Drawn) -> Any:
        """The batch of sequences named as in `Mixture.block`."""


class Assembler:
    """Makes batches of sequences: special tokens, masks, and pairs for next-sentence prediction.

    masker         None: nothing is hidden, and the target at each token is the next one. A sequence begins with the start
                   token, and ends with the end token where its document ends
    dynamic        draw another mask in each pass over a corpus (Liu et al. 2019); otherwise always the same
    next_sentence  make pairs; half of them get a random sequence as their second part (Devlin et al. 2019)
    """

    def __init__(
        self,
        mixture: Mixture,
        tokenizer: Tokenizer,
        masker: Masker | None,
        dynamic: bool = True,
        next_sentence: bool = False,
    ) -> None:
        self._mixture = mixture
        self._masker = masker
        self._dynamic = dynamic
        self._pairs = next_sentence
        self._start, self._end = tokenizer.start_id, tokenizer.end_id

    def batch(self, drawn: Drawn) -> PretrainingBatch:
        """The batch of sequences named as in `Mixture.block`, ordered by length."""
        examples = sorted((self._example(*item) for item in drawn), key=lambda example: len(example[0]))
        lengths = [len(ids) for ids, _, _, _, _ in examples]
        starts = np.cumsum([0, *lengths[:-1]])
        return PretrainingBatch(
            torch.from_numpy(np.concatenate([ids for ids, _, _, _, _ in examples])),
            torch.from_numpy(
                np.concatenate([example[1] + start for example, start in zip(examples, starts, strict=True)])
            ),
            torch.from_numpy(np.concatenate([targets for _, _, targets, _, _ in examples])),
            Layout.of(lengths),
            [len(targets) for _, _, targets, _, _ in examples],
            torch.from_numpy(np.concatenate([kinds for _, _, _, kinds, _ in examples])) if self._pairs else None,
            torch.tensor([follows for _, _, _, _, follows in examples]) if self._pairs else None,
            whole=(sum(len(targets) for _, _, targets, _, _ in examples), len(examples)),
        )

    def _example(self, source: int, turn: int, number: int) -> tuple[Ids, Ids, Ids, Ids, int]:
        generator = self._mixture.generator(source, turn if self._dynamic else 0, number)
        sequences = self._mixture.sources[source]
        ids = sequences.ids(number)
        if self._masker is None:
            whole = np.concatenate([[self._start], ids, [self._end] * int(sequences.last[number])]).astype(np.int64)
            return whole, np.arange(len(whole) - 1), whole[1:], np.zeros_like(whole), 0
        follows = 0
        parts = [ids]
        if self._pairs:
            parts, follows = self._pair(sequences, number, ids, generator)
        text = np.concatenate(parts)
        hidden, positions = self._masker.mask(text, generator)
        first = len(parts[0])
        start, end = np.array([self._start]), np.array([self._end])
        special = [start, hidden[:first], end] + [hidden[first:], end] * (len(parts) > 1)
        kinds = np.zeros(len(text) + 2 + (len(parts) > 1), np.int64)
        kinds[first + 2 :] = 1
        positions_here = positions + 1 + (positions >= first) * (len(parts) > 1)
        return np.concatenate(special), positions_here, text[positions], kinds, follows

    @staticmethod
    def _pair(sequences: Sequences, number: int, ids: Ids, generator: np.random.Generator) -> tuple[list[Ids], int]:
        """First and second part, one token shorter together, since a pair has a second [SEP]."""
        breaks = sequences.breaks(number) or [max(1, len(ids) // 2)]
        at = int(generator.choice(breaks))
        room = max(1, len(ids) - at - 1)
        if generator.random() < 0.5:
            return [ids[:at], ids[at : at + room]], 0
        other = sequences.ids(int(generator.integers(len(sequences))))
        return [ids[:at], other[:room]], 1


@dataclass(frozen=True)
class Making(Dataset[Any]):
    """Makes planned batches; picklable, so that other processes can do it."""

    assembler: Assembles

    def __getitem__(self, planned: tuple[int, int, Drawn]) -> Any:
        block, number, drawn = planned
        return replace(self.assembler.batch(drawn), block=block, number=number)


def prefetched(
    assembler: Assembles, mixture: Mixture, block: int, batch: int, workers: int, pin: bool
) -> Iterator[Any]:
    """All batches from one on, without end, in order; `workers` processes make them ahead (0: this one)."""
    loader = DataLoader(
        Making(assembler),
        batch_size=None,
        sampler=mixture.onward(block, batch),
        num_workers=workers,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),
    )
    yield from loader


def _cut(bounds: list[int], length: int) -> list[tuple[int, int]]:
    """Runs of sentences (by their bounds) of at most `length` tokens; a longer sentence is cut every `length` tokens."""
    runs: list[tuple[int, int]] = []
    start = bounds[0]
    for sentence, end in pairwise(bounds):
        if end - start > length:
            if sentence > start:
                runs.append((start, sentence))
            start = sentence
            while end - start > length:
                runs.append((start, start + length))
                start += length
    if bounds[-1] > start:
        runs.append((start, bounds[-1]))
    return [(first, last) for first, last in runs if last - first >= SHORTEST]


@lru_cache(maxsize=16)
def _order(seed: int, source: int, turn: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([_ORDER, seed, source, turn]).permutation(count)

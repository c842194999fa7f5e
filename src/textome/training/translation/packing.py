"""Sources and targets of an encoder-decoder: laid end to end, and learnt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from textome.encoders.encoder_decoder import EncoderDecoder
from textome.encoders.layers.packing import Layout
from textome.training.job import Batch, TrainingTask

# The ids of a source and of its target, each with its end token.
IdPair = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class PackedPairs:
    """Sources (T,) and targets (U,) end to end, sorted by length: of the targets what is shown, and what follows it."""

    source: Tensor
    source_layout: Layout
    shown: Tensor
    layout: Layout
    targets: Tensor
    sizes: list[int]

    @classmethod
    def of(cls, pairs: Iterable[IdPair], start: int, device: torch.device) -> Self:
        """The pairs packed; `start` is the token that a target begins with."""
        chosen = sorted(pairs, key=lambda pair: (len(pair[0]), len(pair[1])))
        source, shown, targets = (
            torch.tensor([token for ids in rows for token in ids], device=device)
            for rows in (
                [ids for ids, _ in chosen],
                [(start, *ids[:-1]) for _, ids in chosen],
                [ids for _, ids in chosen],
            )
        )
        sizes = [[len(pair[side]) for pair in chosen] for side in (0, 1)]
        layouts = [Layout.of(lengths, device) for lengths in sizes]
        return cls(source, layouts[0], shown, layouts[1], targets, sizes[1])

    @property
    def num_tokens(self) -> int:
        return self.source_layout.num_tokens + self.layout.num_tokens

    def logits(self, model: EncoderDecoder) -> tuple[Tensor, Tensor]:
        """See `TrainingTask.logits`."""
        logits = model(self.source, self.source_layout, self.shown, self.layout).float()
        return logits, logits


class TargetTask(TrainingTask[PackedPairs]):
    """The next token of each target, given the source and the target before it.

    pairs      the ids of sources and targets
    start_id   of the token that a target begins with
    """

    pairs: Sequence[IdPair]
    start_id: int
    _device: torch.device

    def packed(self, batch: Batch) -> PackedPairs:
        return PackedPairs.of((self.pairs[index] for index in batch.indices), self.start_id, self._device)

    def logits(self, model: EncoderDecoder, packed: PackedPairs) -> tuple[Tensor, Tensor]:
        return packed.logits(model)

    def count(self, indices: Sequence[int]) -> int:
        return sum(len(self.pairs[index][1]) for index in indices)

"""Sources and targets of an encoder-decoder, laid end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from textome.encoders.layers.packing import Layout

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

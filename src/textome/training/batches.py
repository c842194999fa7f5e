"""Token-budget batches: as many examples as fit a number of tokens, laid end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textome.encoders.layers.packing import Layout
from textome.tasks.iob import Example

# How many batches are drawn together and sorted by length: large enough that lengths in a batch are nearly equal, small
# against an epoch, so that batches stay random.
POOL = 50


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Examples end to end.

    input_ids  (T,) int64
    first      (M,) int64, where in `input_ids` each scored word has its first sub-word
    targets    (M, num_heads) int64
    layout     where each sequence begins and ends
    """

    input_ids: Tensor
    first: Tensor
    targets: Tensor
    layout: Layout


def pack(examples: Sequence[Example]) -> PackedBatch:
    """Lay examples end to end, sorted by length so that equally long ones are neighbours."""
    ordered = sorted(examples, key=lambda example: len(example.input_ids))
    lengths = [len(example.input_ids) for example in ordered]
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    first = np.concatenate([example.first + start for example, start in zip(ordered, starts, strict=True)])
    return PackedBatch(
        torch.from_numpy(np.concatenate([example.input_ids for example in ordered]).astype(np.int64)),
        torch.from_numpy(first.astype(np.int64)),
        torch.from_numpy(np.concatenate([example.targets for example in ordered]).astype(np.int64)),
        Layout.of(lengths),
    )


def hidden(batch: PackedBatch, share: float, mask_id: int) -> PackedBatch:
    """The batch with each token replaced by the mask with probability `share`, by PyTorch's random numbers; the first and
    last token of each sequence, [CLS] and [SEP], stay."""
    chosen = torch.rand(len(batch.input_ids)) < share
    ends = batch.layout.cu_seqlens.long()
    chosen[ends[:-1]] = chosen[ends[1:] - 1] = False
    return replace(batch, input_ids=batch.input_ids.masked_fill(chosen, mask_id))


def plan(lengths: Sequence[int], token_budget: int, generator: np.random.Generator | None) -> list[list[int]]:
    """Which examples go together: lists of indices, each of at most `token_budget` tokens (or one longer example).

    With a generator, examples are shuffled, sorted by length within pools of `POOL` batches, and the batches shuffled;
    without one, all are sorted by length. The same generator state gives the same plan.
    """
    sizes = np.asarray(lengths)
    if generator is None:
        return _cut(np.argsort(sizes, kind="stable"), sizes, token_budget)
    order = generator.permutation(len(sizes))
    pools = np.cumsum(sizes[order]) // (POOL * token_budget)
    batches: list[list[int]] = []
    for number in np.unique(pools):
        pool = order[pools == number]
        batches += _cut(pool[np.argsort(sizes[pool], kind="stable")], sizes, token_budget)
    return [batches[index] for index in generator.permutation(len(batches))]


def cut(indices: Sequence[int], lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Some of the examples, sorted by length, in batches of at most `token_budget` tokens (or one longer example)."""
    chosen = sorted(indices, key=lambda index: lengths[index])
    return _cut(np.asarray(chosen, np.int64), np.asarray(lengths), token_budget)


def _cut(order: NDArray[np.int64], sizes: NDArray[np.int64], token_budget: int) -> list[list[int]]:
    batches: list[list[int]] = []
    used = token_budget + 1
    for index in order.tolist():
        size = int(sizes[index])
        if used + size > token_budget:
            batches.append([])
            used = 0
        batches[-1].append(index)
        used += size
    return batches

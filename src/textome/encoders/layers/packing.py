"""Sequences laid end to end: what every model here computes on instead of padded rows.

A batch of B sequences with T tokens in all is one row of T tokens. Linear layers, norms and embeddings run on
`(T, hidden_size)`; only attention must know where a sequence ends, and a `Layout` tells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring sequences of one length: tokens `start` to `start + count * length` of the batch."""

    start: int
    count: int
    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each sequence of a packed batch begins and ends.

    cu_seqlens    (B + 1,) int32, the running total of lengths from 0, as variable-length attention kernels take it
    position_ids  (T,) int64, counted from 0 within each sequence
    max_seqlen    the longest length
    groups        runs of neighbouring sequences of equal length. Sort a batch by length and there are few of them.
    """

    cu_seqlens: Tensor
    position_ids: Tensor
    max_seqlen: int
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, lengths: list[int], device: torch.device | str = "cpu") -> Layout:
        """The layout of sequences of these lengths, in this order. Raises ValueError on an empty sequence."""
        if not lengths or min(lengths) < 1:
            raise ValueError(f"a packed batch needs at least one sequence, each of at least one token: {lengths}")
        counts = torch.tensor(lengths, dtype=torch.int64)
        cu_seqlens = torch.zeros(len(lengths) + 1, dtype=torch.int64)
        torch.cumsum(counts, 0, out=cu_seqlens[1:])
        starts = torch.repeat_interleave(cu_seqlens[:-1], counts)
        position_ids = torch.arange(int(cu_seqlens[-1]), dtype=torch.int64) - starts
        groups: list[Group] = []
        position = 0
        for length, run in groupby(lengths):
            count = sum(1 for _ in run)
            groups.append(Group(position, count, length))
            position += count * length
        return cls(cu_seqlens.to(device, torch.int32), position_ids.to(device), max(lengths), tuple(groups))

    def to(self, device: torch.device | str) -> Layout:
        """The same layout with its tensors on `device`; out of pinned memory without waiting."""
        return Layout(
            self.cu_seqlens.to(device, non_blocking=True),
            self.position_ids.to(device, non_blocking=True),
            self.max_seqlen,
            self.groups,
        )

    def pin_memory(self) -> Layout:
        """The same layout in memory from which a GPU copies by itself."""
        return Layout(self.cu_seqlens.pin_memory(), self.position_ids.pin_memory(), self.max_seqlen, self.groups)

    @property
    def num_tokens(self) -> int:
        return self.position_ids.shape[0]

    @property
    def lengths(self) -> Tensor:
        """(B,) int64."""
        return (self.cu_seqlens[1:] - self.cu_seqlens[:-1]).long()

    @property
    def equal(self) -> bool:
        """Whether all sequences have one length, so that rows of tokens need no padding."""
        return len(self.groups) == 1

    def padded(self, tokens: Tensor) -> Tensor:
        """(T, ...) laid out in rows, (B, max_seqlen, ...), with zeros behind the shorter sequences."""
        count = len(self.cu_seqlens) - 1
        if self.equal:
            return tokens.view(count, self.max_seqlen, *tokens.shape[1:])
        rows = tokens.new_zeros(count * self.max_seqlen, *tokens.shape[1:])
        return rows.index_copy(0, self._slots(), tokens).view(count, self.max_seqlen, *tokens.shape[1:])

    def packed(self, rows: Tensor) -> Tensor:
        """(B, max_seqlen, ...) back to the tokens (T, ...)."""
        flat = rows.reshape(-1, *rows.shape[2:])
        return flat if self.equal else flat.index_select(0, self._slots())

    def mask(self) -> Tensor:
        """(B, max_seqlen) bool: where a row holds a token."""
        return torch.arange(self.max_seqlen, device=self.cu_seqlens.device) < self.lengths[:, None]

    def _slots(self) -> Tensor:
        """(T,) the place of each token in rows that are padded to the longest."""
        count = len(self.cu_seqlens) - 1
        starts = torch.arange(0, count * self.max_seqlen, self.max_seqlen, device=self.position_ids.device)
        # With the size given a GPU need not be asked for it.
        return torch.repeat_interleave(starts, self.lengths, output_size=self.num_tokens) + self.position_ids

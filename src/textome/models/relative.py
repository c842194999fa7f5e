"""Relative positions: which bucket a distance falls in, and scores that depend on the distance between two tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Rows that are multiplied with a table of distances at once. A block of m rows in a sequence of n tokens meets n + m - 1
# distances and needs n of them in each row, so small blocks waste little and large ones are few.
BLOCK = 128


def distance_buckets(length: int, buckets: int, furthest: int, device: torch.device) -> Tensor:
    """The row of the relative embeddings for each distance from `length - 1` down to `-(length - 1)`: (2 length - 1,).

    buckets    0 for a row of its own for each distance up to `furthest`; else half of the rows: distances below
               buckets / 2 have a row each, longer ones share rows on a logarithmic scale up to `furthest`
    furthest   the largest distance that is told apart from longer ones

    He et al. 2021 (DeBERTa), eq. 3; the logarithmic scale is that of the v2 code, as in T5 (Raffel et al. 2020, 2.1).
    """
    distance = torch.arange(length - 1, -length, -1, device=device)
    span = buckets or furthest
    if buckets:
        middle = buckets // 2
        size = distance.abs().clamp(min=max(1, middle - 1)).float()
        share = torch.log(size / middle) / torch.log(torch.tensor((furthest - 1) / middle))
        logarithmic = (torch.ceil(share * (middle - 1)) + middle).long()
        distance = torch.where(distance.abs() <= middle, distance, logarithmic * distance.sign())
    return (distance + span).clamp(0, 2 * span - 1)


def by_distance(rows: Tensor, table: Tensor) -> Tensor:
    """scores[.., i, j] = rows[.., i] . table[n - 1 - i + j]: products with what stands at the distance of i and j.

    Input   rows (num_heads, count, n, size), table (num_heads, 2 n - 1, size)
    Output  (num_heads, count, n, n)

    No index is gathered: the products of a block of rows with its slice of the table are laid out so that the scores wanted
    are a strided view of them. The table is multiplied as it is, not once for each sequence.
    """
    return _ByDistance.apply(rows, table)  # type: ignore[no-any-return, no-untyped-call]


class _ByDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(rows, table)
        heads, count, length, _ = rows.shape
        scores = rows.new_empty(heads, count, length, length)
        for start, end in _blocks(length):
            part = rows[:, :, start:end].flatten(1, 2)
            products = torch.bmm(part, table[:, length - end : 2 * length - 1 - start].transpose(1, 2))
            scores[:, :, start:end] = _diagonals(products, count, end - start, length)
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        rows, table = ctx.saved_tensors
        (gradient,) = gradients
        heads, count, length, size = rows.shape
        for_rows, for_table = torch.empty_like(rows), torch.zeros_like(table)
        for start, end in _blocks(length):
            chosen = slice(length - end, 2 * length - 1 - start)
            products = gradient.new_zeros(heads, count * (end - start), length + end - start - 1)
            _diagonals(products, count, end - start, length).copy_(gradient[:, :, start:end])
            part = rows[:, :, start:end].flatten(1, 2)
            for_rows[:, :, start:end] = torch.bmm(products, table[:, chosen]).view(heads, count, end - start, size)
            for_table[:, chosen] += torch.bmm(products.transpose(1, 2), part)
        return for_rows, for_table


def _blocks(length: int) -> list[tuple[int, int]]:
    return [(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def _diagonals(products: Tensor, count: int, rows: int, length: int) -> Tensor:
    """A view (heads, count, rows, length) whose row a begins at column `rows - 1 - a` of the products."""
    width = products.shape[-1]
    strides = (count * rows * width, rows * width, width - 1, 1)
    return products.as_strided((products.shape[0], count, rows, length), strides, rows - 1)

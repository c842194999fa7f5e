"""Relative positions: which bucket a distance falls in, and attention whose scores depend on the distance between tokens.

What is held at once is the scores of a few sequences and heads, as many as the caches of a processor's cores keep. On a CPU
that is as important as the number of operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from textome.encoders.layers.blocked import without_signs
from textome.encoders.layers.dropout import dropped_of_256, hide, keep_bits

# Rows that are multiplied with a table of distances at once. A block of m rows in a sequence of n tokens meets n + m - 1
# distances and needs n of them in each row, so small blocks waste little and large ones make better products; a short
# sequence is one block.
BLOCK = 64
ONE = 192
# Scores that are held at once for each thread, unless one sequence has more, by the bytes of each: products of 2 bytes cost
# more for each call. Products with tables may be twice as many.
SCORES = {4: 180_000, 2: 720_000}


def distance_buckets(length: int, buckets: int, max_relative_position: int, device: torch.device) -> Tensor:
    """The row of the relative embeddings for each distance from `length - 1` down to `-(length - 1)`: (2 length - 1,).

    buckets    0 for a row of its own for each distance up to `max_relative_position`; else half of the rows: distances
               below buckets / 2 have a row each, longer ones share rows on a logarithmic scale up to that maximum
    max_relative_position   distances beyond it share its rows

    He et al. 2021 (DeBERTa), eq. 3; the logarithmic scale is that of the v2 code, as in T5 (Raffel et al. 2020, 2.1).
    """
    distance = torch.arange(length - 1, -length, -1, device=device)
    span = buckets or max_relative_position
    if buckets:
        middle = buckets // 2
        size = distance.abs().clamp(min=max(1, middle - 1)).float()
        share = torch.log(size / middle) / torch.log(torch.tensor((max_relative_position - 1) / middle))
        logarithmic = (torch.ceil(share * (middle - 1)) + middle).long()
        distance = torch.where(distance.abs() <= middle, distance, logarithmic * distance.sign())
    return (distance + span).clamp(0, 2 * span - 1)


def disentangled(
    query: Tensor, key: Tensor, value: Tensor, keys: Tensor | None, queries: Tensor | None, scale: float, dropout: float
) -> Tensor:
    """softmax(scores) value for sequences of one length n, where scores[.., i, j] is the sum of eq. 4 of He et al. 2021,

        scale (query[.., i] . key[.., j]  +  query[.., i] . keys[n - 1 - i + j]  +  key[.., j] . queries[n - 1 - i + j])

    Input   query, key, value (num_heads, count, n, size)
            keys, queries   (num_heads, 2 n, size), the last row of no meaning; or None where the model lacks the term
            dropout         probability that an attention weight is dropped, rounded to a multiple of 1/256
    Output  (num_heads, count, n, size)

    No index is gathered (see `_Products`), and tables are multiplied as they are, not once for each sequence. Inside,
    queries stand in reverse, so that both tables are read at the sum of two places. The weights are kept for the backward
    pass, with a minus where one was not dropped.
    """
    return _Disentangled.apply(  # type: ignore[no-any-return, no-untyped-call]
        query, key, value, keys, queries, scale, dropped_of_256(dropout), torch.is_grad_enabled()
    )


class _Disentangled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        keys: Tensor | None,
        queries: Tensor | None,
        scale: float,
        dropped: int,
        training: bool,
    ) -> Tensor:
        heads, count, length, _ = query.shape
        parts, held = _parts(query)
        weights = query.new_empty(heads, count, length, length) if training else None
        attended = _by_token(value)
        by_key = queries * scale if queries is not None else None
        room = [query.new_empty(held, length, length) for _ in range(2 if dropped else 1)]
        products = _Products(query, empty=True)
        with torch.autocast(query.device.type, enabled=False):
            for part in parts:
                reverse = query[part].flip(2).mul_(scale)
                rows, columns, values = (tensor.flatten(0, 1) for tensor in (reverse, key[part], value[part]))
                scores, *kept = (tensor[: len(rows)] for tensor in room)
                weight = scores if weights is None else weights[part].flatten(0, 1)  # a view, by the choice of parts
                if by_key is None:
                    torch.bmm(rows, columns.transpose(1, 2), out=scores)
                else:
                    for product, seen in products.of(key[part], by_key[part[0]], scores.transpose(1, 2)):
                        seen.copy_(product)
                    torch.baddbmm(scores, rows, columns.transpose(1, 2), out=scores)
                if keys is not None:
                    for product, seen in products.of(reverse, keys[part[0]], scores):
                        seen.add_(product)
                torch.softmax(scores, -1, out=weight)
                shown = weight
                if dropped:
                    bits = keep_bits(weight, dropped, out=scores)
                    shown = hide(weight, bits, out=kept[0])
                    torch.copysign(weight, scores, out=weight)
                attended[part] = torch.bmm(shown, values).view(attended[part].shape).flip(2)
        if dropped:
            attended *= 256 / (256 - dropped)
        if training:
            ctx.save_for_backward(query, key, value, keys, queries, weights)
            ctx.scale, ctx.dropped = scale, dropped
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, keys, queries, weights = ctx.saved_tensors
        parts, held = _parts(query)
        for_query, for_key, for_value = (_by_token(query) for _ in range(3))
        for_keys, for_queries = (torch.zeros_like(table) if table is not None else None for table in (keys, queries))
        room = [query.new_empty(held, *weights.shape[2:]) for _ in range(4 if ctx.dropped else 2)]
        products = _Products(query, empty=False)
        with torch.autocast(query.device.type, enabled=False):
            for part in parts:
                reverse, mixed = query[part].flip(2), gradient[part].flip(2).flatten(0, 1)
                rows, columns, values = (tensor.flatten(0, 1) for tensor in (reverse, key[part], value[part]))
                weight, shape = weights[part].flatten(0, 1), reverse.shape
                by_weight, by_score, *more = (tensor[: len(weight)] for tensor in room)
                if ctx.dropped:
                    mixed *= 256 / (256 - ctx.dropped)
                torch.bmm(mixed, values.transpose(1, 2), out=by_weight)
                kept, weight = without_signs(weight, by_weight, more) if ctx.dropped else (weight, weight)
                for_value[part] = torch.bmm(kept.transpose(1, 2), mixed).view(shape)
                torch._softmax_backward_data(by_weight, weight, -1, weight.dtype, grad_input=by_score)
                for_scores = torch.bmm(by_score, columns).view(shape)
                if keys is not None and for_keys is not None:
                    products.back(reverse, keys[part[0]], by_score, for_scores, for_keys[part[0]])
                for_query[part] = for_scores.flip(2).mul_(ctx.scale)
                for_scores = torch.bmm(by_score.transpose(1, 2), rows).view(shape)
                if queries is not None and for_queries is not None:
                    by_column = _spread(by_score).transpose(1, 2)
                    products.back(key[part], queries[part[0]], by_column, for_scores, for_queries[part[0]])
                for_key[part] = for_scores.mul_(ctx.scale)
        for table in (for_keys, for_queries):
            if table is not None:
                table *= ctx.scale
        return for_query, for_key, for_value, for_keys, for_queries, None, None, None


class _Blocks(NamedTuple):
    """Blocks of tokens that are multiplied at once, with room for their products.

    start    the first token
    room     (heads, blocks, count * rows, n + rows)
    in_use   (heads, count, blocks, rows, n), of the products in row b those from b on
    """

    start: int
    room: Tensor
    in_use: Tensor


class _Products:
    """The products of token a of each sequence, a in 0 .. n - 1, with the rows a, a + 1, .. a + n - 1 of a table.

    A block of tokens is multiplied with a slice of the table that begins where the block does. The slices of all blocks are
    one view of the table, and the products that are wanted are one view of all.
    """

    def __init__(self, like: Tensor, empty: bool) -> None:
        self.like, self.empty = like, empty
        self.plans: dict[torch.Size, list[_Blocks]] = {}

    def of(self, tokens: Tensor, table: Tensor, scores: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Products and where among the scores they belong, some blocks at a time: (heads, count, blocks, rows, n) both.

        Input   tokens (heads, count, n, size), table (heads, 2 n, size), scores (heads * count, n, n)
        """
        for blocks in self._plan(tokens.shape):
            chosen, slices = _met(tokens, table, blocks)
            for left, right, product in _stacks(chosen, slices, blocks.room):
                torch.bmm(left, right.transpose(1, 2), out=product)
            yield blocks.in_use, _rows(scores.view(*tokens.shape[:3], -1), blocks)

    def back(self, tokens: Tensor, table: Tensor, scores: Tensor, for_tokens: Tensor, for_table: Tensor) -> None:
        """From the gradient of the scores adds to that of the tokens and that of the table."""
        for blocks in self._plan(tokens.shape):
            chosen, slices = _met(tokens, table, blocks)
            blocks.in_use.copy_(_rows(scores.view(*tokens.shape[:3], -1), blocks))
            gradient = torch.empty_like(chosen)
            for left, right, product in _stacks(blocks.room, slices, gradient):
                torch.bmm(left, right, out=product)
            heads, count, number, rows, _ = blocks.in_use.shape
            _rows(for_tokens, blocks).add_(gradient.view(heads, number, count, rows, -1).transpose(1, 2))
            width = blocks.room.shape[3]
            for block in range(number):
                first = blocks.start + block * rows
                for_table[:, first : first + width].baddbmm_(blocks.room[:, block].transpose(1, 2), chosen[:, block])

    def _plan(self, shape: torch.Size) -> list[_Blocks]:
        if shape not in self.plans:
            heads, count, length, _ = shape
            rows = length if length <= ONE else math.ceil(length / round(length / BLOCK))
            whole, threads = length // rows, torch.get_num_threads()
            calls = math.ceil(heads * count * rows * (length + rows) * whole / (2 * _scores(self.like) * threads))
            together = math.ceil(whole / calls / threads) * threads  # so that no thread waits for another
            plan = [self._blocks(shape, n * rows, min(together, whole - n), rows) for n in range(0, whole, together)]
            if length % rows:
                plan.append(self._blocks(shape, whole * rows, 1, length % rows))
            self.plans[shape] = plan
        return self.plans[shape]

    def _blocks(self, shape: torch.Size, start: int, blocks: int, rows: int) -> _Blocks:
        heads, count, length, _ = shape
        width, new = length + rows, self.like.new_empty if self.empty else self.like.new_zeros
        if heads <= blocks:  # products that are computed together lie side by side
            room = new(heads, blocks, count * rows, width)
        else:
            room = new(blocks, heads, count * rows, width).transpose(0, 1)
        by_head, by_block, _, _ = room.stride()
        steps = by_head, rows * width, by_block, width + 1, 1
        block_view = room.as_strided((heads, count, blocks, rows, length), steps)
        return _Blocks(start, room, block_view)


def _met(tokens: Tensor, table: Tensor, blocks: _Blocks) -> tuple[Tensor, Tensor]:
    """The tokens of blocks, (heads, blocks, count * rows, size), and what they meet of the table, (.., n + rows, size)."""
    heads, count, number, rows, _ = blocks.in_use.shape
    chosen = _rows(tokens, blocks).transpose(1, 2).reshape(heads, number, count * rows, -1)
    by_head, by_row, by_column = table.stride()
    slices = table.as_strided(
        (heads, number, blocks.room.shape[3], table.shape[2]),
        (by_head, rows * by_row, by_row, by_column),
        table.storage_offset() + blocks.start * by_row,
    )
    # Products of other precisions would each make a copy of their own.
    return chosen, slices if table.dtype is torch.float32 else slices.contiguous()


def _rows(whole: Tensor, blocks: _Blocks) -> Tensor:
    """The rows of the blocks, (heads, count, blocks, rows, ..), of something of all tokens, (heads, count, n, ..)."""
    heads, count, number, rows, _ = blocks.in_use.shape
    chosen = whole[:, :, blocks.start : blocks.start + number * rows]
    return chosen.view(heads, count, number, rows, -1)


def _stacks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Matrices (heads, blocks, ..) as few stacks, whose strides the products of stacks take as they are."""
    heads, blocks = tensors[0].shape[:2]
    return zip(*(tensor.unbind(0 if heads <= blocks else 1) for tensor in tensors), strict=True)


def _spread(matrices: Tensor) -> Tensor:
    """The matrices, to be read by columns: without rows whole pages apart, which would share few places in a cache."""
    length = matrices.shape[-1]
    if length * matrices.element_size() % 4096:
        return matrices
    return matrices.new_empty(*matrices.shape[:2], length + 16)[..., :length].copy_(matrices)


def _by_token(like: Tensor) -> Tensor:
    """Room for (num_heads, count, n, size), laid out so that the heads of a token are neighbours."""
    heads, count, length, size = like.shape
    return like.new_empty(count, length, heads, size).permute(2, 0, 1, 3)


def _scores(like: Tensor) -> int:
    """How many are held at once for each thread."""
    return SCORES.get(like.element_size(), SCORES[4])


def _parts(query: Tensor) -> tuple[list[tuple[slice, slice]], int]:
    """Some heads of some sequences at a time, a matrix for each thread at least, and how many matrices that is at most.

    Several heads are taken only with all sequences, so that the chosen matrices of (heads, count, ..) lie side by side.
    """
    heads, count, length, _ = query.shape
    held = max(1, _scores(query) // length**2) * torch.get_num_threads()
    sequences = min(count, held)
    together = min(heads, max(1, held // sequences))
    parts = [
        (slice(head, head + together), slice(start, start + sequences))
        for head in range(0, heads, together)
        for start in range(0, count, sequences)
    ]
    return parts, together * sequences

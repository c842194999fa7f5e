"""Relative positions: which bucket a distance falls in, and attention whose scores depend on the distance between tokens.

What is held at once is the scores of a few sequences and heads, as many as the caches of a processor's cores keep. On a CPU
that is as important as the number of operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from textome.models.dropout import all_sign_bits, dropped_of_256, hide, keep_bits

# Rows that are multiplied with a table of distances at once. A block of m rows in a sequence of n tokens meets n + m - 1
# distances and needs n of them in each row, so small blocks waste little and large ones are few.
BLOCK = 64
# Scores that are held at once for each thread, unless one sequence has more.
SCORES = 2**17


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


def disentangled(
    query: Tensor, key: Tensor, value: Tensor, keys: Tensor | None, queries: Tensor | None, dropout: float
) -> Tensor:
    """softmax(scores) value for sequences of one length n, where scores[.., i, j] is the sum of eq. 4 of He et al. 2021,

        query[.., i] . key[.., j]  +  query[.., i] . keys[n - 1 - i + j]  +  key[.., j] . queries[n - 1 + i - j]

    Input   query, scaled, key, value (num_heads, count, n, size)
            keys, queries   (num_heads, 2 n, size), the last row of no meaning; or None where the model lacks the term
            dropout         probability that an attention weight is dropped, rounded to a multiple of 1/256
    Output  (num_heads, count, n, size)

    No index is gathered: the products of a block of rows with its slice of a table are laid out so that the scores wanted
    are a strided view of them. Tables are multiplied as they are, not once for each sequence. The weights are kept for the
    backward pass, with a minus where one was not dropped.
    """
    return _Disentangled.apply(  # type: ignore[no-any-return, no-untyped-call]
        query, key, value, keys, queries, dropped_of_256(dropout), torch.is_grad_enabled()
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
        dropped: int,
        training: bool,
    ) -> Tensor:
        heads, count, length, _ = query.shape
        parts, held = _parts(heads, count, length)
        kept_weights = query.new_empty(heads, count, length, length) if training else None
        attended = _by_token(query)
        room = [query.new_empty(held, length, length) for _ in range(3)]
        products = query.new_empty(held * BLOCK * (length + BLOCK))
        with torch.autocast(query.device.type, enabled=False):
            for part in parts:
                rows, columns, values = (tensor[part].flatten(0, 1) for tensor in (query, key, value))
                scores, kept, weight = (tensor[: len(rows)] for tensor in room)
                if kept_weights is not None:
                    weight = kept_weights[part].flatten(0, 1)  # a view, by the choice of parts
                torch.bmm(rows, columns.transpose(1, 2), out=scores)
                for tokens, table, seen in ((rows, keys, scores), (columns, queries, scores.transpose(1, 2))):
                    if table is not None:
                        for start, end in _blocks(length):
                            met = table[part[0], length - end : 2 * length - start]
                            found = _products(products, len(rows), end - start, length)
                            torch.bmm(
                                _by_head(tokens[:, start:end], met), met.transpose(1, 2), out=_by_head(found, met)
                            )
                            seen[:, start:end] += _diagonals(found, length)
                torch.softmax(scores, -1, out=weight)
                if dropped:
                    bits = keep_bits(weight, dropped, out=scores)
                    hide(weight, bits, out=kept)
                    torch.copysign(weight, scores, out=weight)
                mixed = torch.bmm(kept if dropped else weight, values)
                attended[part] = mixed.view(attended[part].shape)
        if dropped:
            attended *= 256 / (256 - dropped)
        if training:
            ctx.save_for_backward(query, key, value, keys, queries, kept_weights)
            ctx.dropped = dropped
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, keys, queries, weights = ctx.saved_tensors
        heads, count, length, _ = query.shape
        parts, held = _parts(heads, count, length)
        for_query, for_key, for_value = (_by_token(query) for _ in range(3))
        for_keys, for_queries = (torch.zeros_like(table) if table is not None else None for table in (keys, queries))
        room = [query.new_empty(held, length, length) for _ in range(4 if ctx.dropped else 3)]
        products = query.new_empty(held * BLOCK * (length + BLOCK))
        with torch.autocast(query.device.type, enabled=False):
            for part in parts:
                shape = for_query[part].shape
                rows, columns, values = (tensor[part].flatten(0, 1) for tensor in (query, key, value))
                weight, gradient = weights[part].flatten(0, 1), gradients[0][part].flatten(0, 1)
                scores, kept, other, *more = (tensor[: len(rows)] for tensor in room)
                if ctx.dropped:
                    gradient = gradient * (256 / (256 - ctx.dropped))
                torch.bmm(gradient, values.transpose(1, 2), out=other)
                whole = weight
                if ctx.dropped:
                    bits = all_sign_bits(weight, out=kept)
                    hide(other, bits, out=other)
                    whole = torch.abs(weight, out=more[0])
                    weight = hide(whole, bits, out=kept)
                torch._softmax_backward_data(other, whole, -1, whole.dtype, grad_input=scores)
                for_value[part] = torch.bmm(weight.transpose(1, 2), gradient).view(shape)
                for number in range(len(scores)):  # PyTorch transposes matrices faster than stacks of them
                    other[number].copy_(scores[number].t())
                for tokens, others, by, table, for_tokens, for_table in (
                    (rows, columns, scores, keys, for_query, for_keys),
                    (columns, rows, other, queries, for_key, for_queries),
                ):
                    found = torch.bmm(by, others)
                    if table is not None and for_table is not None:
                        for start, end in _blocks(length):
                            distances = part[0], slice(length - end, 2 * length - start)
                            met = table[distances]
                            spread = _products(products, len(rows), end - start, length).zero_()
                            _diagonals(spread, length).copy_(by[:, start:end])
                            flat = _by_head(spread, met)
                            found[:, start:end] += torch.bmm(flat, met).view(len(rows), end - start, -1)
                            for_table[distances].baddbmm_(flat.transpose(1, 2), _by_head(tokens[:, start:end], met))
                    for_tokens[part] = found.view(shape)
        return for_query, for_key, for_value, for_keys, for_queries, None, None


def _by_token(like: Tensor) -> Tensor:
    """Room for (num_heads, count, n, size), laid out so that the heads of a token are neighbours."""
    heads, count, length, size = like.shape
    return like.new_empty(count, length, heads, size).permute(2, 0, 1, 3)


def _parts(heads: int, count: int, length: int) -> tuple[list[tuple[slice, slice]], int]:
    """Some heads of some sequences at a time, a matrix for each thread at least, and how many matrices that is at most.

    Several heads are taken only with all sequences, so that the chosen matrices of (heads, count, ..) lie side by side.
    """
    held = max(1, SCORES // length**2) * torch.get_num_threads()
    sequences = min(count, held)
    together = min(heads, max(1, held // sequences))
    parts = [
        (slice(head, head + together), slice(start, start + sequences))
        for head in range(0, heads, together)
        for start in range(0, count, sequences)
    ]
    return parts, together * sequences


def _by_head(rows: Tensor, like: Tensor) -> Tensor:
    """Rows (heads * count, n, ..) as a matrix (heads, count * n, ..) for each of the heads of another tensor."""
    return rows.reshape(len(like), -1, rows.shape[-1])


def _blocks(length: int) -> list[tuple[int, int]]:
    return [(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def _products(room: Tensor, count: int, rows: int, length: int) -> Tensor:
    """Room for the products of some rows in each sequence with the distances that they meet, and one to make it even."""
    return room[: count * rows * (length + rows)].view(count, rows, length + rows)


def _diagonals(products: Tensor, length: int) -> Tensor:
    """A view (count, rows, length) whose row a begins at column `rows - 1 - a` of the products."""
    count, rows, width = products.shape
    return products.as_strided(
        (count, rows, length), (rows * width, width - 1, 1), products.storage_offset() + rows - 1
    )

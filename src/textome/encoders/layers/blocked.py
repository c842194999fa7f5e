"""Scaled dot-product attention for training on a CPU: a few matrices of scores at a time, as many as the caches keep.

PyTorch's fused kernel is written for inference: its backward pass costs several times what its products do, and with
dropout it gives way to plain operations on all scores at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from textome.encoders.layers.dropout import all_sign_bits, dropped_of_256, hide, keep_bits

# Scores that are held at once for each thread, unless one matrix has more.
SCORES = 2**18


def blocked(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0, bias: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(head_size) + bias) V (Vaswani et al. 2017, eq. 1).

    Input   query (count, num_heads, n, head_size), key (count, num_heads, m, head_size), value (count, num_heads, m, size)
            dropout   probability that an attention weight is dropped, rounded to a multiple of 1/256
            bias      broadcast to (count, num_heads, n, m); one that learns is (1, num_heads, n, m)
    Output  (count, num_heads, n, size)

    For the backward pass the weights are kept in the precision of the query, with a minus where one was not dropped.
    """
    return _Blocked.apply(query, key, value, dropped_of_256(dropout), bias)  # type: ignore[no-any-return, no-untyped-call]


class _Blocked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, dropped: int, bias: Tensor | None) -> Tensor:
        count, heads, length, size = query.shape
        others = key.shape[2]
        # One copy each, so that a product reads rows that lie side by side.
        rows = torch.mul(query, 1 / math.sqrt(size), out=query.new_empty(query.shape)).flatten(0, 1)
        columns, values = key.contiguous().flatten(0, 1), value.contiguous().flatten(0, 1)
        weights = query.new_empty(count * heads, length, others)
        attended = query.new_empty(count * heads, length, value.shape[-1])
        seen = None if bias is None else bias.expand(count, heads, length, others)
        held = _held(count, heads, length * others)
        room = [query.new_empty(held, length, others) for _ in range(2 if dropped else 1)]
        with torch.autocast("cpu", enabled=False):
            for part, sequences, among in _parts(count, heads, held):
                weight = weights[part]
                scores, *kept = (tensor[: len(weight)] for tensor in room)
                torch.bmm(rows[part], columns[part].transpose(1, 2), out=scores)
                if seen is not None:
                    shown = seen[sequences, among]
                    scores.view(shown.shape).add_(shown)
                torch.softmax(scores, -1, out=weight)
                if dropped:
                    bits = keep_bits(weight, dropped, out=scores)
                    torch.bmm(hide(weight, bits, out=kept[0]), values[part], out=attended[part])
                    torch.copysign(weight, scores, out=weight)
                else:
                    torch.bmm(weight, values[part], out=attended[part])
        if dropped:
            attended *= 256 / (256 - dropped)
        ctx.save_for_backward(rows, columns, values, weights)
        ctx.dropped, ctx.for_bias = dropped, bias.shape if bias is not None and ctx.needs_input_grad[4] else None
        return attended.view(count, heads, length, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, columns, values, weights = ctx.saved_tensors
        count, heads = gradient.shape[:2]
        gradients = gradient.contiguous().flatten(0, 1)
        if ctx.dropped:
            gradients = gradients * (256 / (256 - ctx.dropped))
        for_rows, for_columns, for_values = (torch.empty_like(tensor) for tensor in (rows, columns, values))
        whole = torch.promote_types(weights.dtype, torch.float32)
        for_bias = None if ctx.for_bias is None else weights.new_zeros(ctx.for_bias, dtype=whole)
        held = _held(count, heads, weights[0].numel())
        room = [weights.new_empty(held, *weights.shape[1:]) for _ in range(4 if ctx.dropped else 2)]
        with torch.autocast("cpu", enabled=False):
            for part, sequences, among in _parts(count, heads, held):
                weight = weights[part]
                by_weight, by_score, *more = (tensor[: len(weight)] for tensor in room)
                torch.bmm(gradients[part], values[part].transpose(1, 2), out=by_weight)
                kept, weight = without_signs(weight, by_weight, more) if ctx.dropped else (weight, weight)
                torch.bmm(kept.transpose(1, 2), gradients[part], out=for_values[part])
                torch._softmax_backward_data(by_weight, weight, -1, weight.dtype, grad_input=by_score)
                if for_bias is not None:
                    shape = (sequences.stop - sequences.start, among.stop - among.start, *by_score.shape[1:])
                    for_bias[0, among] += by_score.view(shape).sum(0, dtype=for_bias.dtype)
                torch.bmm(by_score, columns[part], out=for_rows[part])
                torch.bmm(by_score.transpose(1, 2), rows[part], out=for_columns[part])
        for_rows *= 1 / math.sqrt(rows.shape[-1])
        unblocked = (tensor.view(count, heads, *tensor.shape[1:]) for tensor in (for_rows, for_columns, for_values))
        return (*unblocked, None, for_bias)


def without_signs(weight: Tensor, by_weight: Tensor, room: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The weights that dropout kept, and all of them, of weights whose sign bits say which it hid.

    by_weight   gradients of the weights, in which those of hidden ones become 0
    room        two tensors of the weights' shape to write into
    """
    kept, whole = room
    bits = all_sign_bits(weight, out=kept)
    hide(by_weight, bits, out=by_weight)
    return hide(torch.abs(weight, out=whole), bits, out=kept), whole


def _held(count: int, heads: int, scores: int) -> int:
    """How many matrices of so many scores are held at once: some heads of one sequence, or all of some."""
    held = max(1, SCORES * torch.get_num_threads() // scores)
    return min(held, heads) if held < 2 * heads else min(held // heads, count) * heads


def _parts(count: int, heads: int, held: int) -> Iterator[tuple[slice, slice, slice]]:
    """Which of count * heads matrices are computed together, and which sequences and heads these are."""
    together = max(1, held // heads)
    for start in range(0, count, together):
        end = min(start + together, count)
        for head in range(0, heads, min(held, heads)):
            last = min(head + held, heads)
            yield slice(start * heads + head, (end - 1) * heads + last), slice(start, end), slice(head, last)

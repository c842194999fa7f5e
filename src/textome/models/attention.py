"""Scaled dot-product attention over packed tokens (Vaswani et al. 2017, section 3.2)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.models.dropout import drop
from textome.models.packing import Layout

# Up to this length, on a CPU in bf16, three plain products are faster in training than PyTorch's fused kernel, whose
# backward pass pays a high price per sequence. With matrix tiles (AMX) 7 times at 20 tokens, 3 at 128, slower from 256 on;
# without them a whole step is still 1.1 to 1.2 times as fast from 192 to 512 (benchmarks/growth.py --longest-composed).
# They keep 6 bytes per attention weight for the backward pass, so beyond the first length they are for batches with few
# weights: 200 MB a layer, while 65,536 tokens in sequences of 512 would have 2.4 GB (torch 2.13).
LONGEST_COMPOSED = 160
LONGEST_COMPOSED_WITHOUT_TILES = 512
MOST_WEIGHTS = 2**25


def attend(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float = 0.0) -> Tensor:
    """softmax(Q K^T / sqrt(head_size)) V within each sequence (Vaswani et al. 2017, eq. 1), no padding anywhere.

    Input   query, key, value (T, num_heads, head_size)
            layout            where each sequence begins and ends
            dropout           probability that an attention weight is dropped
    Output  (T, num_heads, head_size)

    On a CPU each group of equally long sequences is one call of the fused kernel, on views of the packed tensors. On a GPU
    all sequences are one call, of flash attention over variable lengths (Dao 2024), which knows 16 bits and no dropout;
    otherwise rows are padded inside attention alone.
    """
    if query.is_cuda:
        return _attend_on_gpu(query, key, value, layout, dropout)
    sizes = [group.count * group.length for group in layout.groups]
    weights = query.shape[1] * sum(group.count * group.length**2 for group in layout.groups)
    pieces = []
    # Splitting once, not slicing for each group: the backward pass of a slice fills a whole tensor with zeros.
    for group, *rows in zip(
        layout.groups, *(torch.split(tensor, sizes) for tensor in (query, key, value)), strict=True
    ):
        shape = (group.count, group.length, *query.shape[1:])
        queries, keys, values = (tensor.reshape(shape).transpose(1, 2) for tensor in rows)
        if _composed_is_faster(queries, weights):
            attended = _composed(queries, keys, values, dropout)
        else:
            attended = functional.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout)
        pieces.append(attended.transpose(1, 2).reshape(-1, *query.shape[1:]))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def attend_across(
    query: Tensor, key: Tensor, value: Tensor, queries: Layout, keys: Layout, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """The same attention of each sequence's queries over the keys of a sequence of its own, as a translation's over its
    source; or with `causal`, where both are one, over the tokens up to it (Vaswani et al. 2017, section 3.2.3).

    Input   query (T, num_heads, head_size), key, value (U, num_heads, head_size)
            queries, keys   their layouts, of as many sequences each
    Output  (T, num_heads, head_size)

    Pairs of sequences rarely agree in both lengths, so there is nothing to group: inside attention alone, rows are padded.
    Linear layers, which are most of the work, still see tokens only.
    """
    rows = queries.padded(query).transpose(1, 2)
    columns, values = (keys.padded(tokens).transpose(1, 2) for tokens in (key, value))
    # Padding stands behind the tokens, so a causal mask hides it from all of them.
    mask = None if causal or keys.equal else keys.mask()[:, None, None]
    if _composed_is_faster(rows, rows.shape[:3].numel() * columns.shape[2]):
        if causal:
            mask = torch.ones(rows.shape[2], columns.shape[2], dtype=torch.bool, device=rows.device).tril()
        attended = _composed(rows, columns, values, dropout, mask)
    else:
        attended = functional.scaled_dot_product_attention(
            rows, columns, values, attn_mask=mask, dropout_p=dropout, is_causal=causal
        )
    return queries.packed(attended.transpose(1, 2))


def _attend_on_gpu(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float) -> Tensor:
    if dropout == 0.0 and query.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        bounds, longest = layout.cu_seqlens, layout.max_seqlen
        return varlen_attn(query, key, value, bounds, bounds, longest, longest)  # type: ignore[return-value]
    rows, columns, values = (layout.padded(tokens).transpose(1, 2) for tokens in (query, key, value))
    mask = None if layout.equal else layout.mask()[:, None, None]
    attended = functional.scaled_dot_product_attention(rows, columns, values, attn_mask=mask, dropout_p=dropout)
    return layout.packed(attended.transpose(1, 2))


def _composed_is_faster(query: Tensor, weights: int) -> bool:
    """For (count, num_heads, length, head_size), in a batch that has so many attention weights in all."""
    return (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and query.requires_grad
        and query.shape[2] <= (_longest_composed() if weights <= MOST_WEIGHTS else LONGEST_COMPOSED)
    )


@functools.cache
def _longest_composed() -> int:
    # Of PyTorch's public functions only the newest tells; before it the processor is taken for one with tiles.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return LONGEST_COMPOSED if capabilities.get("amx_bf16", True) else LONGEST_COMPOSED_WITHOUT_TILES


def _composed(query: Tensor, key: Tensor, value: Tensor, dropout: float, mask: Tensor | None = None) -> Tensor:
    """The same attention on (count, num_heads, length, head_size), with the weights in memory; softmax in fp32.

    mask   bool, broadcast to (count, num_heads, length, length): where a key may be seen
    """
    scores = torch.matmul(query * (1 / math.sqrt(query.shape[-1])), key.transpose(-1, -2)).float()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = scores.softmax(-1).to(query.dtype)
    return torch.matmul(drop(weights, dropout), value)


# A compiler would compile what depends on the lengths again for each batch.
_attend_uncompiled: Callable[..., Tensor] = torch.compiler.disable(attend)  # type: ignore[no-untyped-call]


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2) with one matrix for queries, keys and values.

    Input   hidden (T, hidden_size), layout
    Output  (T, hidden_size)
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.project = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        tokens, hidden_size = hidden.shape
        projected = self.project(hidden).view(tokens, 3, self.num_heads, hidden_size // self.num_heads)
        query, key, value = projected.unbind(1)
        attended = _attend_uncompiled(query, key, value, layout, self.dropout if self.training else 0.0)
        return self.output(attended.reshape(tokens, hidden_size))  # type: ignore[no-any-return]

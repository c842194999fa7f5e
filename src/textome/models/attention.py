"""Scaled dot-product attention over packed tokens (Vaswani et al. 2017, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.models.packing import Layout


def attend(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float = 0.0) -> Tensor:
    """softmax(Q K^T / sqrt(head_size)) V within each sequence (Vaswani et al. 2017, eq. 1), no padding anywhere.

    Input   query, key, value (T, num_heads, head_size)
            layout            where each sequence begins and ends
            dropout           probability that an attention weight is dropped
    Output  (T, num_heads, head_size)

    Each group of equally long sequences is one call of the fused kernel, on views of the packed tensors.
    """
    pieces = []
    for group in layout.groups:
        end = group.start + group.count * group.length
        shape = (group.count, group.length, *query.shape[1:])
        queries, keys, values = (
            tensor[group.start : end].view(shape).transpose(1, 2) for tensor in (query, key, value)
        )
        attended = functional.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout)
        pieces.append(attended.transpose(1, 2).reshape(end - group.start, *query.shape[1:]))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


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
        attended = attend(query, key, value, layout, self.dropout if self.training else 0.0)
        return self.output(attended.reshape(tokens, hidden_size))  # type: ignore[no-any-return]

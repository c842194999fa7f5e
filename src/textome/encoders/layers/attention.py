"""Scaled dot-product attention over packed tokens (Vaswani et al. 2017, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.layers.blocked import blocked
from textome.encoders.layers.packing import Layout
from textome.encoders.layers.rotary import Rotation, rotated

# In training on a CPU attention is computed in blocks (layers/blocked.py), which keep the weights for the backward pass, up
# to this length at least. In 16 bits that is faster at any length; in fp32 PyTorch's fused kernel is from here on, where
# nothing is dropped (benchmarks/attention.py; torch 2.13, a core with AMX: in sequences of 128, 256 and 512 tokens the
# blocks are 4.8, 2.0 and 1.5 times as fast in bf16, and with dropout 2.4, 2.9 and 3.2 times).
MAX_KEPT_LENGTH = 160
# Longer sequences are kept in batches of few weights, 128 MB a layer in 16 bits: 65,536 tokens in sequences of 512 would
# have 800 MB.
MOST_WEIGHTS = 2**26


# Queries that are computed at once in attention within a window, unless the window is wider.
WINDOW_ROWS = 32


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    dropout: float = 0.0,
    window: int | None = None,
    causal: bool = False,
    biases: Sequence[Tensor] | None = None,
) -> Tensor:
    """softmax(Q K^T / sqrt(head_size) + bias) V within each sequence (Vaswani et al. 2017, eq. 1), no padding anywhere.

    Input   query, key, value (T, num_heads, head_size)
            layout            where each sequence begins and ends
            dropout           probability that an attention weight is dropped
            window            the largest distance to a key that a query attends to; None for all keys of the sequence
            causal            a query attends to its own key and those before it; without a window
            biases            what is added to the scores, by group of `layout` (1, num_heads, length, length); `biases_of`
                              cuts them, and a window and `causal` are left out
    Output  (T, num_heads, head_size)

    On a CPU each group of equally long sequences is one call, on views of the packed tensors. On a GPU
    all sequences are one call, of flash attention over variable lengths (Dao 2024), which knows 16 bits and no dropout;
    otherwise rows are padded inside attention alone.
    """
    if query.is_cuda and biases is None:
        return _attend_on_gpu(query, key, value, layout, dropout, window, causal)
    sizes = [group.count * group.length for group in layout.groups]
    weights = query.shape[1] * sum(group.count * group.length**2 for group in layout.groups)
    added: Sequence[Tensor | None] = [None] * len(sizes) if biases is None else biases
    pieces = []
    # Splitting once, not slicing for each group: the backward pass of a slice fills a whole tensor with zeros.
    for group, bias, *rows in zip(
        layout.groups,
        added,
        *(torch.split(tensor, sizes) for tensor in (query, key, value)),
        strict=True,
    ):
        shape = (group.count, group.length, *query.shape[1:])
        queries, keys, values = (tensor.reshape(shape).transpose(1, 2) for tensor in rows)
        if bias is not None:
            attended = _attend_with_bias(queries, keys, values, dropout, bias)
        elif window is not None and group.length > window + 1:
            attended = _attend_in_window(queries, keys, values, dropout, window)
        elif _blocks_are_faster(queries, weights, dropout):
            attended = blocked(queries, keys, values, dropout, _later_keys(queries) if causal else None)
        else:
            attended = functional.scaled_dot_product_attention(
                queries, keys, values, dropout_p=dropout, is_causal=causal
            )
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
    if _blocks_are_faster(rows, rows.shape[:3].numel() * columns.shape[2], dropout):
        if causal:
            mask = torch.ones(rows.shape[2], columns.shape[2], dtype=torch.bool, device=rows.device).tril()
        bias = None if mask is None else rows.new_zeros(mask.shape).masked_fill_(~mask, float("-inf"))
        attended = blocked(rows, columns, values, dropout, bias)
    else:
        attended = functional.scaled_dot_product_attention(
            rows, columns, values, attn_mask=mask, dropout_p=dropout, is_causal=causal
        )
    return queries.packed(attended.transpose(1, 2))


def biases_of(bias: Tensor, layout: Layout) -> list[Tensor]:
    """What `attend` adds to the scores of each group, of a bias (num_heads, max_seqlen, max_seqlen) for each two positions.

    Cut once for all layers: the backward pass of each cut fills a whole bias with zeros.
    """
    return [bias[None, :, : group.length, : group.length] for group in layout.groups]


def _attend_with_bias(query: Tensor, key: Tensor, value: Tensor, dropout: float, bias: Tensor) -> Tensor:
    # PyTorch computes a bias that learns by plain operations, so blocks are faster at any length and precision.
    if query.device.type == "cpu" and (dropout or query.requires_grad):
        return blocked(query, key, value, dropout, bias)
    return functional.scaled_dot_product_attention(query, key, value, bias.to(query.dtype), dropout)


def _later_keys(query: Tensor) -> Tensor:
    """What is added to the scores of n queries, (n, n): minus infinity at the keys behind each."""
    length = query.shape[2]
    return query.new_full((length, length), float("-inf")).triu(1)


def _attend_in_window(query: Tensor, key: Tensor, value: Tensor, dropout: float, window: int) -> Tensor:
    """Attention to keys at most `window` away, (count, num_heads, n, head_size) each, n above `window`.

    Runs of `rows` queries attend to the `rows + 2 window` keys around them, so the work grows with n and not its square.
    """
    count, heads, length, size = query.shape
    rows = max(window, WINDOW_ROWS)
    runs, around = -(-length // rows), rows + 2 * window
    rest = runs * rows - length
    queries = functional.pad(query, (0, 0, 0, rest)).view(count, heads, runs, rows, size).transpose(1, 2)
    # The keys and values of each run, (count, runs, heads, around, size)
    keys, values = (
        functional.pad(tensor, (0, 0, window, rest + window)).unfold(2, around, rows).permute(0, 2, 1, 4, 3)
        for tensor in (key, value)
    )
    steps = torch.arange(around, device=query.device)
    starts = torch.arange(runs, device=query.device)[:, None] * rows
    query_at, key_at = starts + steps[:rows], starts - window + steps
    near = (query_at[:, :, None] - key_at[:, None]).abs() <= window
    # Queries behind the sequence may see anything: a row without any key would be NaN.
    near &= ((key_at >= 0) & (key_at < length))[:, None] | (query_at >= length)[:, :, None]
    mask = near[None, :, None].expand(count, -1, -1, -1, -1).flatten(0, 1)
    queries, keys, values = (tensor.flatten(0, 1) for tensor in (queries, keys, values))
    if _blocks_are_faster(queries, count * runs * heads * rows * around, dropout):
        bias = queries.new_zeros(mask.shape).masked_fill_(~mask, float("-inf"))
        attended = blocked(queries, keys, values, dropout, bias)
    else:
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, dropout_p=dropout)
    joined = attended.view(count, runs, heads, rows, size).transpose(1, 2).reshape(count, heads, -1, size)
    return joined[:, :, :length]


def _attend_on_gpu(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float, window: int | None, causal: bool
) -> Tensor:
    if dropout == 0.0 and query.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        bounds, max_length = layout.cu_seqlens, layout.max_seqlen
        sides = (-1, 0 if causal else -1) if window is None else (window, window)
        return varlen_attn(query, key, value, bounds, bounds, max_length, max_length, window_size=sides)  # type: ignore[return-value]
    rows, columns, values = (layout.padded(tokens).transpose(1, 2) for tokens in (query, key, value))
    # Padding stands behind the tokens, so a causal mask hides it from all of them.
    mask = None if layout.equal or causal else layout.mask()[:, None, None]
    if window is not None:
        positions = torch.arange(layout.max_seqlen, device=query.device)
        near = (positions[:, None] - positions).abs() <= window
        # A query of padding must have a key, or its row is NaN.
        mask = near if mask is None else near & mask | near.diag().diag()
    attended = functional.scaled_dot_product_attention(
        rows, columns, values, attn_mask=mask, dropout_p=dropout, is_causal=causal
    )
    return layout.packed(attended.transpose(1, 2))


def _blocks_are_faster(query: Tensor, weights: int, dropout: float) -> bool:
    """For (count, num_heads, length, head_size), in a batch that has so many attention weights in all."""
    if query.device.type != "cpu":
        return False
    if dropout:  # which the fused kernel does not know: PyTorch would keep several times as much
        return True
    few = query.shape[2] <= MAX_KEPT_LENGTH or (query.element_size() == 2 and weights <= MOST_WEIGHTS)
    return query.requires_grad and few


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2) with one matrix for queries, keys and values.

    window, causal   see `attend`

    Input   hidden (T, hidden_size), layout, rotation of the tokens' positions (see rotary.py) or None
    Output  (T, hidden_size)
    """

    attend: Callable[..., Tensor] = staticmethod(attend)

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        head_size: int,
        dropout: float,
        bias: bool = True,
        window: int | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads, self.head_size = num_heads, head_size
        self.dropout, self.window, self.causal = dropout, window, causal
        self.project = nn.Linear(hidden_size, 3 * num_heads * head_size, bias=bias)
        self.output = nn.Linear(num_heads * head_size, hidden_size, bias=bias)

    def forward(self, hidden: Tensor, layout: Layout, rotation: Rotation | None = None) -> Tensor:
        projected = self.project(hidden).view(len(hidden), 3, self.num_heads, self.head_size)
        if rotation is None:
            query, key, value = projected.unbind(1)
        else:
            query, key = rotated(projected[:, :2], rotation).unbind(1)
            value = projected[:, 2]
        dropout = self.dropout if self.training else 0.0
        attended = self.attend(query, key, value, layout, dropout, self.window, self.causal)
        return self.output(attended.flatten(1))  # type: ignore[no-any-return]

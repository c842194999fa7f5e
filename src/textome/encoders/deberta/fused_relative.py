"""Disentangled attention in PyTorch's fused kernel, `flex_attention`, over a whole packed batch at once.

What eq. 4 of He et al. 2021 adds to the product of query and key depends on a token and a row of the relative embeddings:
(num_heads, T, rows) for all of it, and there are at most `2 * position_buckets` rows however long a sequence is. The kernel
reads what it needs of these products while it computes a tile of scores; the scores themselves are never in memory, so that
memory grows with the number of tokens and not with the square of the length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from textome.encoders.deberta.relative import distance_buckets
from textome.encoders.layers.packing import Layout

TILE = 128  # tokens of a tile of the kernel's mask
ALIGNMENT = 64  # the rows are filled up to a multiple, which matrix products like and which keeps shapes few


def runs_fused(layout: Layout) -> bool:
    """Whether the attention of a batch is to run here. Only for CUDA is the kernel compiled, and a batch of a single tile
    would be compiled on its own."""
    return layout.position_ids.device.type == "cuda" and layout.num_tokens > TILE


@dataclass(frozen=True, slots=True)
class Tiles:
    """What the kernel needs to know of a batch, the same for every layer.

    mask   a `BlockMask`: which tiles of 128 x 128 scores lie within sequences, wholly or in part
    rows   (2 reach + 1,) int32: the row at each distance from `reach` down, farther ones have those of the ends
    """

    mask: Any
    rows: Tensor

    @classmethod
    def of(cls, layout: Layout, first: int, count: int, buckets: int, max_relative_position: int) -> Tiles:
        """For the relative embeddings from row `first` on, `count` of them."""
        return cls(packed_mask(layout), _rows(first, count, buckets, max_relative_position, layout.position_ids.device))


@cache
def _rows(first: int, count: int, buckets: int, max_relative_position: int, device: torch.device) -> Tensor:
    # All distances from `max_relative_position` on share a row, so these are enough for sequences of any length. Rows that
    # the batch lacks belong to distances between tokens of two sequences, whose scores are masked.
    rows = distance_buckets(max_relative_position + 2, buckets, max_relative_position, torch.device("cpu"))
    return (rows - first).clamp(0, count - 1).to(device, torch.int32)


def packed_mask(layout: Layout) -> Any:
    """The `BlockMask` in which a token sees those of its own sequence.

    `create_block_mask` would look at every pair of tokens; a tile is known from its first and last tokens.
    """
    from torch.nn.attention.flex_attention import BlockMask

    sequence = (layout.position_ids == 0).cumsum(0, dtype=torch.int32)
    tokens = layout.num_tokens
    first = sequence[::TILE]
    last = functional.pad(sequence, (0, -tokens % TILE), value=-1).view(-1, TILE)[:, -1]
    one = first == last  # never the last tile where it is not full
    whole = one[:, None] & one & (first[:, None] == first)
    last = torch.where(last < 0, sequence[-1], last)
    seen = (first[:, None] <= last) & (last[:, None] >= first)
    partly = _listed(seen & ~whole)
    wholly = _listed(whole)
    return BlockMask.from_kv_blocks(
        *partly,
        *wholly,
        BLOCK_SIZE=TILE,
        mask_mod=lambda batch, head, query, key: sequence[query] == sequence[key],
        seq_lengths=(tokens, tokens),
    )


def _listed(tiles: Tensor) -> tuple[Tensor, Tensor]:
    """For each row of tiles how many are there, and their numbers, those that are not behind; (1, 1, ..) each."""
    numbers = torch.argsort(tiles.to(torch.int8), dim=-1, descending=True, stable=True)
    return tiles.sum(-1, dtype=torch.int32)[None, None], numbers.to(torch.int32).contiguous()[None, None]


def fused(
    query: Tensor, key: Tensor, value: Tensor, tables: tuple[Tensor | None, Tensor | None], tiles: Tiles, dropout: float
) -> Tensor:
    """softmax(scores) value with the scores of eq. 4, within each sequence of the packed batch.

    Input   query, scaled, key, value (num_heads, T, head_size)
            tables    keys and scaled queries of the relative embeddings, (num_heads, rows, head_size) each, or None
            dropout   probability that an attention weight is dropped
    Output  (num_heads, T, head_size)
    """
    by_query, by_key = (
        None if table is None else torch.bmm(token, _filled_up(table).transpose(1, 2))
        for token, table in zip((query, key), tables, strict=True)
    )
    attend = _compiled() if query.device.type == "cuda" else _attend
    parts = query[None], key[None], value[None], by_query, by_key, tiles.rows, tiles.mask
    if not dropout:
        return attend(*parts)[0]  # type: ignore[no-any-return]
    # The kernel knows no dropout. Where scores are hidden instead of weights dropped, the softmax is over those that are
    # left; the sums of both tell how far it is off.
    seeds = torch.randint(-(2**31), 2**31, query.shape[:1], dtype=torch.int64, device=query.device).to(torch.int32)
    # A tensor, since a number would be compiled in.
    threshold = torch.full_like(seeds, round(dropout * 2**24))
    attended, left = attend(*parts, True, seeds, threshold)
    _, everything = attend(*parts, True)
    share = torch.exp(left - everything) / (1 - dropout)
    return (attended * share[..., None].to(attended.dtype))[0]  # type: ignore[no-any-return]


def _filled_up(table: Tensor) -> Tensor:
    return functional.pad(table, (0, 0, 0, -table.shape[1] % ALIGNMENT))


@cache
def _compiled() -> Callable[..., Any]:
    # Compiled for each combination of precision, training and dropout, first for one number of tokens and then for any.
    # Past the limit PyTorch would compute the scores in memory.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
    return torch.compile(_attend)


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    by_query: Tensor | None,
    by_key: Tensor | None,
    rows: Tensor,
    mask: Any,
    sums: bool = False,
    seeds: Tensor | None = None,
    threshold: Tensor | None = None,
) -> Any:
    """Attention (1, num_heads, T, head_size), and with `sums` the logarithm of the sum in each softmax (1, num_heads, T).

    by_query, by_key   (num_heads, T, rows): what the row of a distance adds to the scores of a query and of a key
    seeds, threshold   (num_heads,) int32: with them scores are hidden with the probability `threshold / 2**24`
    """
    from torch.nn.attention.flex_attention import AuxRequest, flex_attention

    reach = (rows.shape[0] - 1) // 2

    def scores(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        row = rows[(key - query + reach).clamp(0, 2 * reach)]
        if by_query is not None:
            score = score + by_query[head, query, row]
        if by_key is not None:
            score = score + by_key[head, key, row]
        if seeds is not None and threshold is not None:
            score = torch.where(_mixed(seeds[head], query, key) < threshold[head], float("-inf"), score)
        return score

    if not sums:
        return flex_attention(query, key, value, score_mod=scores, block_mask=mask, scale=1.0)
    attended, extra = flex_attention(
        query, key, value, score_mod=scores, block_mask=mask, scale=1.0, return_aux=AuxRequest(lse=True)
    )
    return attended, extra.lse


def _mixed(seed: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """24 random bits for each score: its place and the seed through the finaliser of MurmurHash3 (Appleby), in int32."""
    bits = seed ^ (query * 374761393 + key * -1640531535)
    bits = (bits ^ ((bits >> 16) & 0xFFFF)) * -2048144789
    bits = (bits ^ ((bits >> 13) & 0x7FFFF)) * -1028477387
    return (bits ^ ((bits >> 16) & 0xFFFF)) & 0xFFFFFF

"""Tokens hidden at random while training, so that a model learns to read the words around them."""

from __future__ import annotations

import torch
from torch import Tensor

from textome.encoders.layers.packing import Layout


def mask_tokens(ids: Tensor, layout: Layout, share: float, mask_id: int) -> Tensor:
    """Ids (T,) of a packed batch, each replaced by the mask with probability `share`, by PyTorch's random numbers; the
    first and last token of each sequence, [CLS] and [SEP], stay."""
    chosen = torch.rand(len(ids)) < share
    ends = layout.cu_seqlens.long().cpu()
    chosen[ends[:-1]] = chosen[ends[1:] - 1] = False
    return ids.masked_fill(chosen.to(ids.device), mask_id)

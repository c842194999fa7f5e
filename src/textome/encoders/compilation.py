"""Layers compiled by PyTorch's own compiler, which joins the many small operations between matrix products."""

from __future__ import annotations

import torch
from torch import nn

from textome.encoders.layers.attention import SelfAttention, attend


def compile_layers(encoder: nn.Module) -> None:
    """Compile each of `encoder.layers`, for any number of tokens at once. Equal layers share what was compiled; names of
    weights stay. The first step takes tens of seconds longer."""
    for module in encoder.modules():
        if isinstance(module, SelfAttention):
            # A compiler would compile what depends on the lengths again for each batch.
            module.attend = torch.compiler.disable(attend)
    for layer in encoder.get_submodule("layers").children():
        layer.compile(dynamic=True)

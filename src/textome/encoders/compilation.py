"""Layers compiled by PyTorch's own compiler, which joins the many small operations between matrix products."""

from __future__ import annotations

from torch import nn


def compile_layers(encoder: nn.Module) -> None:
    """Compile each of `encoder.layers`, for any number of tokens at once. Equal layers share what was compiled; names of
    weights stay. The first step takes tens of seconds longer."""
    for layer in encoder.get_submodule("layers").children():
        layer.compile(dynamic=True)

"""Layers whose inner values are computed again in the backward pass instead of kept (Chen et al. 2016, "Training deep nets
with sublinear memory cost"): about a third more work for memory of one layer instead of all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(encoder: nn.Module) -> None:
    """Make each of `encoder.layers` keep only its input while training. Gradients stay bit for bit what they were: the
    random numbers of dropout are drawn again as the first time."""
    layers = encoder.get_submodule("layers")
    for layer in layers.children():
        # From outside, so that the models stay plain: `nn.Module` calls the attribute `forward` of the instance.
        object.__setattr__(layer, "forward", partial(_recomputed, layer, layer.forward))


def _recomputed(layer: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if layer.training and torch.is_grad_enabled():
        return checkpoint(forward, *inputs, use_reentrant=False)
    return forward(*inputs)

"""The values that fresh weights begin with."""

from __future__ import annotations

from torch import nn


def initialise_weights(module: nn.Module, standard_deviation: float) -> None:
    """BERT's initialisation: normal weights, zero biases (the original code's truncation is left out, as in HF)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=standard_deviation)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)

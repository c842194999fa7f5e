"""How much of a device a training run uses: floating-point operations of a step against the device's measured ceiling."""

from __future__ import annotations

import time

import torch

from textome.encoders.interface import EncoderConfig, MaskedLM
from textome.encoders.layers.packing import Layout
from textome.training.devices import product_type, wait_for

_ROWS = 4096
_SECONDS = 0.3


def training_operations(model: MaskedLM, layout: Layout, scored: int) -> int:
    """Operations of a forward and backward pass over a packed batch, `scored` of whose tokens are scored.

    A multiplication and an addition count as two; the backward pass costs twice the forward pass (Kaplan et al. 2020,
    section 2.1). Norms, activations and the optimiser are left out, as is usual for model FLOPs utilisation; so are the
    products with relative positions.
    """
    config = model.encoder.config
    head = (config.hidden_size**2 + config.hidden_size * config.vocab_size) * scored
    return 6 * (model.multiplications(layout) + head)


def matrix_product_speed(device: torch.device, precision: str, config: EncoderConfig) -> float:
    """Operations a second of this device in the products of a feed-forward layer, measured for a moment."""
    kind = product_type(precision)
    left = torch.randn(_ROWS, config.hidden_size, device=device, dtype=kind)
    right = torch.randn(config.intermediate_size, config.hidden_size, device=device, dtype=kind)

    def work(times: int) -> float:
        started = time.perf_counter()
        for _ in range(times):
            torch.nn.functional.linear(left, right)
        wait_for(device)
        return time.perf_counter() - started

    work(3)
    times = max(3, int(_SECONDS / max(work(3) / 3, 1e-6)))
    return 2 * _ROWS * config.hidden_size * config.intermediate_size * times / work(times)

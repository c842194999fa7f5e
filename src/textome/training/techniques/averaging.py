"""The running mean of a run's weights (Polyak and Juditsky 1992): less noise than the last step's, at no cost in speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.no_grad()
def move(average: Mapping[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Move the mean, where there is one, towards the model's weights after `step` steps.

    In the first steps the decay is smaller, so that the weights at the start do not linger: (1 + n) / (10 + n).
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    for name, tensor in model.state_dict().items():
        if name in average:
            average[name].lerp_(tensor, weight)


@contextmanager
def holding(model: nn.Module, average: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with the mean as its weights, which are put back afterwards; nothing changes where there is no mean."""
    if not average:
        yield
        return
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(average)
    try:
        yield
    finally:
        model.load_state_dict(own)

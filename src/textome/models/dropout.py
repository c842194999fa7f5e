"""Dropout (Srivastava et al. 2014) that is cheap on a CPU, where random numbers take a tenth of a training step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def drop(values: Tensor, probability: float) -> Tensor:
    """`values` with a share of them set to zero and the rest scaled up, so that the mean stays; shape as given.

    On a CPU one random byte decides for each value, an eighth of the random numbers that PyTorch's own dropout draws;
    the probability is rounded to a multiple of 1/256 and the scale is exact for the rounded one.
    """
    if probability == 0.0:
        return values
    if values.device.type != "cpu":
        return functional.dropout(values, probability)
    threshold = max(1, round(probability * 256))
    count = values.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    keep = words.view(torch.uint8)[:count].view(values.shape) >= threshold
    return values * (keep.to(values.dtype) * (256 / (256 - threshold)))


class Dropout(nn.Module):
    """`drop` in training, nothing in evaluation."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, values: Tensor) -> Tensor:
        return drop(values, self.probability) if self.training else values

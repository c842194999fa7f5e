"""Dropout (Srivastava et al. 2014) that is cheap on a CPU, where random numbers take a tenth of a training step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Whole numbers as wide as values of so many bytes. Processors compute with them many times faster than with bool.
WHOLE = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def dropped_of_256(probability: float) -> int:
    """The probability in 256ths, at least one of them where there is any, since a random byte decides."""
    return max(1, round(probability * 256)) if probability else 0


def keep_bits(like: Tensor, dropped: int, out: Tensor | None = None) -> Tensor:
    """For each value of `like` all bits set but with probability `dropped` / 256 none; one random byte each.

    Output  whole numbers (`WHOLE`) in the shape of `like`: in `out` where that is given, as it is or as other values
    """
    whole, count = WHOLE[like.element_size()], like.numel()
    bits = torch.empty(like.shape, dtype=whole, device=like.device) if out is None else out.view(whole)
    words = torch.empty((count + 7) // 8, dtype=torch.int64, device=like.device).random_(-(2**63), None)
    bits.copy_(words.view(torch.uint8)[:count].view(like.shape)).neg_().add_(dropped - 1)
    return all_sign_bits(bits, out=bits)


def all_sign_bits(values: Tensor, out: Tensor) -> Tensor:
    """All bits set where a value's sign is, else none; `out` of the same width, both seen as whole numbers."""
    whole = WHOLE[values.element_size()]
    return torch.bitwise_right_shift(values.view(whole), 8 * values.element_size() - 1, out=out.view(whole))


def hide(values: Tensor, bits: Tensor, out: Tensor) -> Tensor:
    """`values` where the bits are set, else zero, in `out` of the same type, which may be `values`."""
    torch.bitwise_and(values.view(bits.dtype), bits, out=out.view(bits.dtype))
    return out


def drop(values: Tensor, probability: float) -> Tensor:
    """`values` with a share of them set to zero and the rest scaled up, so that the mean stays; shape as given.

    On a CPU one random byte decides for each value, an eighth of the random numbers that PyTorch's own dropout draws;
    the probability is rounded to a multiple of 1/256 and the scale is exact for the rounded one.
    """
    if probability == 0.0:
        return values
    if values.device.type != "cpu":
        return functional.dropout(values, probability)
    return _Drop.apply(values, dropped_of_256(probability))  # type: ignore[no-any-return, no-untyped-call]


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dropped: int) -> Tensor:
        bits = keep_bits(values, dropped)
        ctx.save_for_backward(bits)
        ctx.scale = 256 / (256 - dropped)
        return hide(values, bits, torch.empty_like(values)).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (bits,) = ctx.saved_tensors
        return hide(gradient, bits, torch.empty_like(gradient)).mul_(ctx.scale), None


class Dropout(nn.Module):
    """`drop` in training, nothing in evaluation."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, values: Tensor) -> Tensor:
        return drop(values, self.probability) if self.training else values

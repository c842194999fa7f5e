"""Training that sees what int8 will do to a model (Jacob et al. 2018, section 3): weights and activations are rounded in
the forward pass as `runtime.export` and the graph round them, and the backward pass takes the rounding for the identity
(straight-through, Bengio et al. 2013).

As in the graph: the weights of an encoder's linear layers have 7 bits with a scale for each output, what goes into them has
unsigned 8 bits with a scale and zero point of its own in each pass, word embeddings 8 bits with a scale for each row. All
else, the head too, is not rounded. In the graph the range of activations was measured at export, here it is that of each
packed batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from textome.encoders import ENCODERS, encoder_of_folder
from textome.encoders.build import architecture
from textome.encoders.graph import EMBEDDING_BITS, WEIGHT_BITS
from textome.encoders.interface import EncoderModel
from textome.errors import InputError


def rounded_rows(matrix: Tensor, bits: int) -> Tensor:
    """`matrix` (rows, columns) as symmetric integers and a scale for each row can hold it: graph_nodes.quantise_rows."""
    limit = 2 ** (bits - 1) - 1
    scales = matrix.detach().abs().amax(-1, keepdim=True).clamp_min(1e-12) / limit
    return _through(matrix, (matrix.detach() / scales).round() * scales)


def rounded(values: Tensor) -> Tensor:
    """`values` of any shape as 256 even steps from their least to their greatest can hold them, where 0 is one of them; as
    ONNX's DynamicQuantizeLinear does it."""
    detached = values.detach().float()
    low, high = (bound.float() for bound in torch.aminmax(detached))
    low, high = low.clamp_max(0), high.clamp_min(0)
    scale = ((high - low) / 255).clamp_min(torch.finfo(torch.float32).tiny)
    zero = (-low / scale).round().clamp(0, 255)
    steps = ((detached / scale).round() + zero).clamp(0, 255)
    return _through(values, ((steps - zero) * scale).to(values.dtype))


def _through(values: Tensor, rounded_values: Tensor) -> Tensor:
    """`found`, whose gradient goes to `values` as it is."""
    return _Straight.apply(values, rounded_values)  # type: ignore[no-any-return, no-untyped-call]


class _Straight(torch.autograd.Function):
    """The second input, with the gradient of the output for the first; `values + (found - values)` would round again."""

    @staticmethod
    def forward(context: Any, values: Tensor, rounded_values: Tensor) -> Tensor:
        return rounded_values.view_as(rounded_values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class RoundedWeight(nn.Module):
    """A weight (out, in) as the graph will hold it."""

    def forward(self, weight: Tensor) -> Tensor:
        return rounded_rows(weight, WEIGHT_BITS)


def add_fake_int8(encoder: nn.Module) -> Callable[[], None]:
    """Make an encoder compute as its int8 graph will; returns what gives it its own weights and names back.

    Raises InputError for an architecture whose graph rounds more than that.
    """
    if not isinstance(encoder, EncoderModel) or not architecture(encoder.config).int8_aware:
        able = ", ".join(kind for kind, folder in ENCODERS.items() if encoder_of_folder(folder).int8_aware)
        raise InputError(f"training.int8_aware is for encoders of texts of these kinds: {able}; leave it out")
    linear = [layer for layer in encoder.layers.modules() if isinstance(layer, nn.Linear)]
    for layer in linear:
        parametrize.register_parametrization(layer, "weight", RoundedWeight())
    hooks = [layer.register_forward_pre_hook(_round_inputs) for layer in linear]
    hooks.append(encoder.word_embeddings.register_forward_hook(_round_rows))

    def remove() -> None:
        for layer in linear:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        for hook in hooks:
            hook.remove()

    return remove


def _round_inputs(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (rounded(inputs[0]),)


def _round_rows(table: nn.Module, inputs: Any, rows: Tensor) -> Tensor:
    return rounded_rows(rows, EMBEDDING_BITS)

"""Low-rank adaptation (Hu et al. 2022): the encoder's weights stay, and each matrix W of its layers learns a product of two
thin ones that is added to it: W + (alpha / rank) B A, with A (rank, in), B (out, rank), and B zero at the start.

The sum is taken before the layer multiplies, so models stay plain, whatever they do with a matrix (DeBERTa takes slices),
and merging changes no output by a single bit. What is saved is the optimiser's memory, and what is kept is the encoder.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """The learnt product beside a matrix.

    Input   weight (out_features, in_features)
    Output  as the input
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, weight.shape[1], device=weight.device))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))  # as PyTorch begins a linear layer

    def forward(self, weight: Tensor) -> Tensor:
        return torch.addmm(weight, self.up, self.down, alpha=self.scale)


def add_low_rank(encoder: nn.Module, rank: int, alpha: float) -> None:
    """Freeze an encoder, and put a product of this rank beside the matrix of every linear layer in its `layers`.

    Queries, keys and values are one matrix here and share one product.
    """
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    linear = [layer for layer in encoder.get_submodule("layers").modules() if isinstance(layer, nn.Linear)]
    for layer in linear:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, alpha))


def merge_low_rank(encoder: nn.Module) -> None:
    """Put each product into its matrix: the encoder has its own names, size and speed again, and all of it may learn.

    Nothing happens where there is none.
    """
    for layer in list(encoder.modules()):
        if isinstance(layer, nn.Linear) and parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    for parameter in encoder.parameters():
        parameter.requires_grad_(True)

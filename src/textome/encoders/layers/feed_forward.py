"""The position-wise layers of a Transformer and their activations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

# Rows of a feed-forward layer that a CPU computes at once in inference.
ROWS = 512

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
}


class FeedForwardSizes(Protocol):
    """What a feed-forward layer needs of an encoder's configuration."""

    @property
    def hidden_size(self) -> int: ...

    @property
    def intermediate_size(self) -> int: ...

    @property
    def hidden_act(self) -> str: ...


class FeedForward(nn.Module):
    """Two linear layers with an activation between (Vaswani et al. 2017, eq. 2; GELU as in BERT).

    Input   (T, hidden_size)
    Output  (T, hidden_size)

    Where no gradient is wanted, a CPU computes some rows at a time: what lies between the layers then stays in the
    processor's cache, and its memory is used again instead of being asked for afresh.
    """

    def __init__(self, config: FeedForwardSizes) -> None:
        super().__init__()
        self.expand = nn.Linear(config.hidden_size, config.intermediate_size)
        self.contract = nn.Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, hidden: Tensor) -> Tensor:
        return in_rows(self._rows, hidden)

    def _rows(self, hidden: Tensor) -> Tensor:
        return self.contract(self.activation(self.expand(hidden)))  # type: ignore[no-any-return]


def in_rows(function: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """`function` of each token of hidden (T, hidden_size) by itself: a few rows at a time where that is faster."""
    if torch.is_grad_enabled() or hidden.device.type != "cpu" or torch.compiler.is_compiling():
        return function(hidden)
    return torch.cat([function(rows) for rows in torch.split(hidden, ROWS)])

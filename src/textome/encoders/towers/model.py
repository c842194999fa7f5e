"""Two towers, one for each of the two things of a pair, and a head over both.

A thing passes its tower once, however many pairs it is in: what is computed for a pair is small, so that a library of
molecules against a protein, or a table of measurements, costs little more than its distinct things.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.interface import CheckpointModel, TensorNames
from textome.encoders.layers.dropout import Dropout
from textome.encoders.towers import TowersConfig


class Tower(nn.Module):
    """A thing's vector (A, input_size) to (A, hidden_size): a linear layer, a norm, GELU, and another linear layer."""

    def __init__(self, input_size: int, config: TowersConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(input_size, config.intermediate_size)
        self.norm = nn.LayerNorm(config.intermediate_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.output = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, values: Tensor) -> Tensor:
        return self.output(self.dropout(functional.gelu(self.norm(self.dense(values)))))  # type: ignore[no-any-return]


class Towers(nn.Module):
    """Both towers: (A, F) and (B, G) to (A, hidden_size) and (B, hidden_size)."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Tower(size, config) for size in config.input_sizes)

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        return tuple(tower(item) for tower, item in zip(self.layers, values, strict=True))


class Head(nn.Module):
    """Scores pairs of what the towers give.

    Input   first (A, hidden_size), second (B, hidden_size), and which of them the N pairs are of, (N,) int64 each
    Output  (N, num_outputs), linear in GELU(U first + V second) and in the elementwise product of P first and second:
            a layer that sees both, and the bilinear form of matrix factorisation (Koren et al. 2009)
    """

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.first = nn.Linear(config.hidden_size, config.joint_size)
        self.second = nn.Linear(config.hidden_size, config.joint_size, bias=False)
        self.factors = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.joint = nn.Linear(config.joint_size, config.num_outputs)
        self.product = nn.Linear(config.hidden_size, config.num_outputs, bias=False)

    def forward(self, first: Tensor, second: Tensor, first_index: Tensor, second_index: Tensor) -> Tensor:
        # Each thing's share of the layer is computed once, and added for each pair.
        joint = functional.gelu(self.first(first)[first_index] + self.second(second)[second_index])
        product = self.factors(first)[first_index] * second[second_index]
        return self.joint(self.dropout(joint)) + self.product(product)  # type: ignore[no-any-return]


class PairModel(CheckpointModel):
    """Both towers and the head.

    Input   first (A, F), second (B, G) float32, and the rows of them that the N pairs are of, (N,) int64 each
    Output  (N, num_outputs)
    """

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Towers(config)
        self.head = Head(config)

    def forward(self, first: Tensor, second: Tensor, first_index: Tensor, second_index: Tensor) -> Tensor:
        return self.head(*self.encoder(first, second), first_index, second_index)  # type: ignore[no-any-return]

    def tensor_names(self) -> TensorNames:
        return TensorNames({name: (name,) for name, _ in self.named_parameters()}, "encoder.", "$^")

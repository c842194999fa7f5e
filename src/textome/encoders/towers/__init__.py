"""Two towers and a head over both: how strongly two things bind, from a vector of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MODEL_TYPE = "textome-pairs"


@dataclass(frozen=True, slots=True)
class TowersConfig:
    """The sizes of a model of pairs.

    input_sizes      of the vectors of the first and the second thing
    intermediate_size, hidden_size   of a tower's middle layer, and of what it makes of a thing
    joint_size       of the layer that sees both
    num_outputs      numbers for each pair
    hidden_dropout_prob   in the towers and above them
    """

    input_sizes: Sequence[int]
    intermediate_size: int
    hidden_size: int
    joint_size: int
    num_outputs: int
    hidden_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-5

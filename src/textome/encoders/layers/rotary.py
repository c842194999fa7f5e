"""Rotary positions (Su et al. 2021, "RoFormer", section 3.2): queries and keys are turned by angles that grow with their
positions, so that their products depend on the distance between them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rotation(NamedTuple):
    """The cosines and sines of the angles of T tokens, (T, head_size / 2) each, in float32."""

    cosine: Tensor
    sine: Tensor

    @classmethod
    def of(cls, position_ids: Tensor, head_size: int, theta: float) -> Rotation:
        """Angles p / theta^(2 i / head_size) of the positions p, (T,), and the pairs of dimensions i."""
        exponents = torch.arange(0, head_size, 2, dtype=torch.float32, device=position_ids.device) / head_size
        angles = position_ids[:, None].float() * (1.0 / theta**exponents)
        return cls(angles.cos(), angles.sin())


def rotated(vectors: Tensor, rotation: Rotation) -> Tensor:
    """Each vector turned by the angles of its token; dimension i is turned with dimension i + head_size / 2.

    Input   vectors (T, .., head_size)
    Output  as the input, in its type; computed in float32
    """
    cosine, sine = (table.view(len(table), *[1] * (vectors.ndim - 2), -1) for table in rotation)
    left, right = vectors.float().chunk(2, dim=-1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], -1).to(vectors.dtype)

"""Smaller encoders made of parts of larger ones: some of the layers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

_LAYER = re.compile(r"(^|.*\.)encoder\.layer\.(\d+)\.(.*)")


def spread(layers: int, kept: int) -> tuple[int, ...]:
    """Which of so many layers are kept: the last, and the others evenly below it (Sanh et al. 2019, section 3).

    Raises ValueError where more are wanted than there are.
    """
    if not 1 <= kept <= layers:
        raise ValueError(f"{kept} of {layers} layers cannot be kept")
    return tuple((number + 1) * layers // kept - 1 for number in range(kept))


def keep_layers(tensors: Mapping[str, Tensor], kept: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of a checkpoint in the Hugging Face layout with only these layers, numbered anew in this order."""
    places = {old: new for new, old in enumerate(kept)}
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            found[name] = tensor
        elif int(match[2]) in places:
            found[f"{match[1]}encoder.layer.{places[int(match[2])]}.{match[3]}"] = tensor
    return found

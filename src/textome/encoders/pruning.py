"""Smaller encoders made of parts of larger ones: some of the layers, of the heads, of the neurons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_LAYER = re.compile(r"(^|.*\.)encoder\.layer\.(\d+)\.(.*)")

_EXPAND = ".intermediate.dense.weight"
_VALUE = ".attention.self.value.weight"


def spread(layers: int, kept: int) -> tuple[int, ...]:
    """Which of so many layers are kept: the last, and the others evenly below it (Sanh et al. 2019, section 3).

    Raises ValueError where more are wanted than there are.
    """
    if not 1 <= kept <= layers:
        raise ValueError(f"{kept} of {layers} layers cannot be kept")
    return tuple((number + 1) * layers // kept - 1 for number in range(kept))


def keep_layers(tensors: Mapping[str, Tensor], kept: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of a checkpoint in the Hugging Face layout with only these layers, numbered anew in this order."""
    new_numbers = {old: new for new, old in enumerate(kept)}
    smaller: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            smaller[name] = tensor
        elif int(match[2]) in new_numbers:
            smaller[f"{match[1]}encoder.layer.{new_numbers[int(match[2])]}.{match[3]}"] = tensor
    return smaller


def keep_heads(tensors: Mapping[str, Tensor], count: int, head_size: int) -> dict[str, Tensor]:
    """The tensors of a BERT in the Hugging Face layout with only so many attention heads in each layer, in their order:
    those for which the norm of what makes their values times the norm of what goes out is largest.

    Which heads can go depends on the layer (Michel et al. 2019); all layers keep as many, so two numbers tell the shapes,
    `num_attention_heads` and `head_dim`.
    """
    smaller = dict(tensors)
    for name in tensors:
        if not name.endswith(_VALUE):
            continue
        layer = name.removesuffix(".self.value.weight")
        out = f"{layer}.output.dense.weight"
        size = tensors[name].float().view(-1, head_size, tensors[name].shape[1]).norm(dim=(1, 2))
        size *= tensors[out].float().view(len(tensors[out]), -1, head_size).norm(dim=(0, 2))
        heads = size.topk(count).indices.sort().values
        kept = (heads[:, None] * head_size + torch.arange(head_size)).flatten()
        for part in ("query", "key", "value"):
            for kind in ("weight", "bias"):
                smaller[f"{layer}.self.{part}.{kind}"] = tensors[f"{layer}.self.{part}.{kind}"][kept]
        smaller[out] = tensors[out][:, kept].contiguous()
    return smaller


def keep_neurons(tensors: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """The tensors of a checkpoint in the Hugging Face layout with only so many neurons in each feed-forward part,
    in their order: those for which the norm of what comes in times the norm of what goes out is largest.

    All layers stay equally wide, so the checkpoint is a plain one with another `intermediate_size`.
    """
    smaller = dict(tensors)
    for name in tensors:
        if not name.endswith(_EXPAND):
            continue
        layer = name.removesuffix(_EXPAND)
        bias, out = f"{layer}.intermediate.dense.bias", f"{layer}.output.dense.weight"
        size = tensors[name].float().norm(dim=1) * tensors[out].float().norm(dim=0)
        kept = size.topk(count).indices.sort().values
        smaller |= {name: tensors[name][kept], bias: tensors[bias][kept], out: tensors[out][:, kept].contiguous()}
    return smaller

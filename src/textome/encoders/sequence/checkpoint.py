"""The tensor names of a sequence model: those of BERT for the layers, its own for all else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from textome.encoders.bert.checkpoint import layer_names
from textome.encoders.bert.checkpoint import tensor_names as bert_names
from textome.encoders.interface import TensorNames, with_prefix


def tensor_names(parameters: Iterable[str], num_layers: int) -> TensorNames:
    """The names of a model with these parameters and this number of layers."""
    bert = bert_names(num_layers, pooler=False)
    layers = with_prefix(replace(bert, names=layer_names(num_layers)))
    return replace(bert, names=layers | {name: (name,) for name in parameters if name not in layers})

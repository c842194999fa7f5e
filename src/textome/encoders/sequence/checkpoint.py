"""The tensor names of a sequence model: those of BERT for the layers, its own for all else."""

from __future__ import annotations

from collections.abc import Iterable

from textome.encoders.bert import ENCODER
from textome.encoders.bert.checkpoint import LAYER
from textome.encoders.interface import TensorNames, layered_names, with_prefix


def tensor_names(parameters: Iterable[str]) -> TensorNames:
    """The names of a model with these parameters."""
    every = list(parameters)
    inner = (name.removeprefix("encoder.") for name in every if name.startswith("encoder."))
    layers = with_prefix(TensorNames(layered_names(inner, {}, LAYER), ENCODER.prefix, ENCODER.unused))
    return TensorNames({name: (name,) for name in every} | layers, ENCODER.prefix, ENCODER.unused)

"""The encoder that a run starts from, and what the settings of a recipe do to it before it is trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from textome.encoders import encoder_of
from textome.encoders.compilation import compile_layers
from textome.encoders.lora import add_low_rank, merge_low_rank
from textome.encoders.pruning import keep_heads, keep_layers, keep_neurons, spread
from textome.encoders.recompute import recompute
from textome.errors import InputError
from textome.training.bundles import read_config, read_weights
from textome.training.models import Model
from textome.training.recipe import Training


def read_base(model: Model, base: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """`config.json` and the tensors of a checkpoint, with the dropout, layers, heads and neurons that a recipe asks for.

    Raises InputError where the window is longer than the encoder's positions, or it has fewer layers, heads
    or neurons.
    """
    published = read_config(base)
    encoder = encoder_of(published)
    values = encoder.with_dropout(published, model.hidden_dropout, model.attention_dropout)
    for name in ("layers", "attention_heads", "intermediate_size"):
        if getattr(model, name) is not None and name not in encoder.prunable:
            raise InputError(f"model.{name} cannot prune {base}, an encoder of {encoder.transformers}; leave it out")
    if model.window > (max_length := encoder.max_length(values)):
        raise InputError(f"model.window is {model.window}, but {base} has only {max_length} positions")
    tensors = read_weights(base, values)
    tensors = with_layers(model.layers, values, tensors, base)
    if model.attention_heads is not None:
        if model.attention_heads > (there := values.get("num_attention_heads", 12)):
            raise InputError(f"model.attention_heads is {model.attention_heads}, but {base} has only {there} heads")
        size = values.get("head_dim") or values.get("hidden_size", 768) // there
        tensors = keep_heads(tensors, model.attention_heads, size)
        values |= {"num_attention_heads": model.attention_heads, "head_dim": size}
    if model.intermediate_size is not None:
        if model.intermediate_size > (there := values.get("intermediate_size", 3072)):
            raise InputError(
                f"model.intermediate_size is {model.intermediate_size}, but {base} has only {there} neurons"
            )
        tensors = keep_neurons(tensors, model.intermediate_size)
        values["intermediate_size"] = model.intermediate_size
    return values, tensors


def with_layers(
    layers: int | None, values: dict[str, Any], tensors: dict[str, Tensor], base: Path
) -> dict[str, Tensor]:
    """The tensors of as many layers as `model.layers` says, all if it says nothing; `values` is told of it.

    Raises InputError where the base has fewer.
    """
    if layers is None:
        return tensors
    if layers > (there := values.get("num_hidden_layers", 12)):
        raise InputError(f"model.layers is {layers}, but {base} has only {there} layers")
    values["num_hidden_layers"] = layers
    return keep_layers(tensors, spread(there, layers))


def prepare_encoder(encoder: nn.Module, settings: Training) -> Callable[[], None]:
    """Add low-rank products or the rounding of int8, make layers compute twice for memory, and compile them, where the
    recipe asks for it.

    Returns what is to be called after training: it makes the encoder a plain one again, with what it learnt.
    """
    finish: Callable[[], None] = partial(merge_low_rank, encoder)
    if settings.lora_rank:
        add_low_rank(encoder, settings.lora_rank, settings.lora_alpha)
    if settings.int8_aware:  # which never goes with the other
        from textome.training.techniques.fake_int8 import add_fake_int8  # imports the package onnx

        finish = add_fake_int8(encoder)
    if settings.gradient_checkpointing:
        recompute(encoder)
    if settings.compile:
        compile_layers(encoder)
    return finish

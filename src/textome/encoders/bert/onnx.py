"""A BERT encoder as ONNX nodes.

Hidden states run time first, (S, B, hidden_size): seen as (S, B, heads, size) they enter the products of attention as they
lie, without a transposition. Residual + norm, and GELU, are the plain operators behind a linear layer that adds its own
bias: measured with ONNX Runtime 1.32 on one x86 core, the fused SkipLayerNormalization takes five times as long as addition
and norm, BiasGelu half as long again as Gelu, and MultiHeadAttention gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from textome.encoders.graph import (
    Array,
    Builder,
    Shapes,
    attend,
    linear_shape,
    norm_shape,
    padding_scores,
)


def encode(builder: Builder, config: Mapping[str, Any], pairs: bool) -> str:
    """The hidden states (S, B, hidden_size) of `input_ids` under `attention_mask`, and `token_type_ids` with `pairs`."""
    hidden = _embed(builder, float(config.get("layer_norm_eps", 1e-12)), pairs)
    return layers(builder, config, hidden, padding_scores(builder))


def layers(builder: Builder, config: Mapping[str, Any], hidden: str, padding: str) -> str:
    """The encoder's layers over embeddings (S, B, hidden_size), which stays the shape; `padding` as of padding_scores."""
    act, epsilon = str(config.get("hidden_act", "gelu")), float(config.get("layer_norm_eps", 1e-12))
    heads = int(config["num_attention_heads"])
    head_size = head_size_of(config)
    by_head = builder.constant("shape.by_head", np.array([0, 0, heads, head_size], np.int64))
    joined = builder.constant("shape.joined", np.array([0, 0, heads * head_size], np.int64))
    for number in range(int(config["num_hidden_layers"])):
        name = f"bert.encoder.layer.{number}"
        query, key, value = (
            builder.node(
                "Reshape",
                [builder.linear(hidden, f"{name}.attention.self.{part}"), by_head],
                f"{name}.attention.self.{part}.heads",
            )
            for part in ("query", "key", "value")
        )
        context = attend(builder, query, key, value, padding, f"{name}.attention", head_size)
        context = builder.node("Reshape", [context, joined], f"{name}.attention.context")
        hidden = builder.residual(context, hidden, f"{name}.attention.output", epsilon)
        hidden = builder.feed_forward(hidden, name, act, epsilon)
    return hidden


def head_size_of(config: Mapping[str, Any]) -> int:
    """A head's share of the hidden size, or `head_dim` where heads were pruned."""
    return int(config.get("head_dim") or int(config["hidden_size"]) // int(config["num_attention_heads"]))


def shapes(config: Mapping[str, Any]) -> Shapes:
    """The encoder's tensors under their Hugging Face names."""
    hidden = int(config["hidden_size"])
    tensors: Shapes = norm_shape("bert.embeddings.LayerNorm", hidden)
    for kind, rows in (
        ("word", "vocab_size"),
        ("position", "max_position_embeddings"),
        ("token_type", "type_vocab_size"),
    ):
        tensors[f"bert.embeddings.{kind}_embeddings.weight"] = (int(config[rows]), hidden)
    return tensors | layer_shapes(config)


def restored(name: str, shape: tuple[int, ...], constants: Mapping[str, Array]) -> Array | None:
    """Positions have the embedding of the first token type in them, so token types come back as zeros."""
    if name.endswith("token_type_embeddings.weight"):
        return np.zeros(shape, np.float32)
    positions = constants.get("bert.embeddings.positions")
    return positions[:, 0] if positions is not None and name.endswith("position_embeddings.weight") else None


def layer_shapes(config: Mapping[str, Any]) -> Shapes:
    """The tensors of the layers alone."""
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    attended = int(config["num_attention_heads"]) * head_size_of(config)
    tensors: Shapes = {}
    for number in range(int(config["num_hidden_layers"])):
        name = f"bert.encoder.layer.{number}"
        for part in ("query", "key", "value"):
            tensors |= linear_shape(f"{name}.attention.self.{part}", attended, hidden)
        tensors |= linear_shape(f"{name}.attention.output.dense", hidden, attended)
        tensors |= linear_shape(f"{name}.intermediate.dense", inner, hidden)
        tensors |= linear_shape(f"{name}.output.dense", hidden, inner)
        tensors |= norm_shape(f"{name}.attention.output.LayerNorm", hidden)
        tensors |= norm_shape(f"{name}.output.LayerNorm", hidden)
    return tensors


def _embed(builder: Builder, epsilon: float, pairs: bool) -> str:
    name = "bert.embeddings"
    ids = builder.node("Transpose", ["input_ids"], f"{name}.ids", perm=[1, 0])
    words = builder.lookup(ids, f"{name}.word_embeddings", builder.weight(f"{name}.word_embeddings.weight"))
    positions, types = (
        builder.weight(f"{name}.position_embeddings.weight"),
        builder.weight(f"{name}.token_type_embeddings.weight"),
    )
    if pairs:
        kinds = builder.node("Transpose", ["token_type_ids"], f"{name}.kinds", perm=[1, 0])
        kinds = builder.node("Gather", [builder.constant(f"{name}.types", types), kinds], f"{name}.type_rows")
        words = builder.node("Add", [words, kinds], f"{name}.words_and_types")
    else:
        # Every token is of the first type, so its embedding is added to the positions once and for all.
        positions = positions + types[0]
    shape = builder.node("Shape", ["input_ids"], f"{name}.length", start=1, end=2)
    zero, axis = (builder.constant(f"{name}.{key}", np.array([0], np.int64)) for key in ("zero", "axis"))
    rows = builder.node(
        "Slice", [builder.constant(f"{name}.positions", positions[:, None]), zero, shape, axis], f"{name}.position_rows"
    )
    total = builder.node("Add", [words, rows], f"{name}.total")
    return builder.norm(total, f"{name}.LayerNorm", f"{name}.hidden", epsilon)

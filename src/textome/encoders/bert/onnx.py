"""A BERT encoder as ONNX nodes.

Hidden states run time first, (S, B, hidden_size): seen as (S, B, heads, size) they enter the products of attention as they
lie, without a transposition. Residual + norm, and GELU, are the plain operators behind a linear layer that adds its own
bias: measured with ONNX Runtime 1.32 on one x86 core, the fused SkipLayerNormalization takes five times as long as addition
and norm, BiasGelu half as long again as Gelu, and MultiHeadAttention gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from textome.encoders.early_exit import (
    EarlyExit,
    Staying,
    gather_context,
    give_back,
    leave,
    spread_queries,
    update_all,
)
from textome.encoders.graph import (
    Array,
    Builder,
    Shapes,
    attend,
    linear_shape,
    norm_shape,
    padding_scores,
)

# Taken from the scores of padding. Beside a token of the same score exp(-60) is nothing in float32, but not subnormal:
# where subnormal numbers appear, ONNX Runtime's softmax with AVX-512 takes four times as long. Padding would begin to count
# where it scores 43 more than every token; of the bundled models it scores 10 more at most.
BERT_PADDING_SCORE = 60.0


def encode(builder: Builder, config: Mapping[str, Any], pairs: bool) -> str:
    """The hidden states (S, B, hidden_size) of `input_ids` under `attention_mask`, and `token_type_ids` with `pairs`."""
    hidden = _embed(builder, float(config.get("layer_norm_eps", 1e-12)), pairs)
    return layers(builder, config, hidden, padding_scores(builder, score=BERT_PADDING_SCORE))


def layers(builder: Builder, config: Mapping[str, Any], hidden: str, padding: str) -> str:
    """The encoder's layers over embeddings (S, B, hidden_size), which stays the shape; `padding` as of padding_scores."""
    for number in range(int(config["num_hidden_layers"])):
        hidden = _layer(builder, config, number, hidden, padding)
    return hidden


def encode_with_exit(builder: Builder, config: Mapping[str, Any], exit_: EarlyExit) -> tuple[str, Staying]:
    """The hidden states (S, B, hidden_size) of all tokens, for those that left as they left, and what stays to the end."""
    hidden = _embed(builder, float(config.get("layer_norm_eps", 1e-12)), False)
    padding = padding_scores(builder, score=BERT_PADDING_SCORE)
    size, num_layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
    for number in range(exit_.depth):
        hidden = _layer(builder, config, number, hidden, padding)
    staying = leave(builder, exit_, hidden, padding, int(config["num_attention_heads"]), head_size_of(config))
    for number in range(exit_.depth, num_layers):
        output = _layer(builder, config, number, staying.hidden, staying.padding, staying)
        more = number + 1 < num_layers
        updated = update_all(builder, staying, output, size) if more else staying.all_hidden
        staying = replace(staying, hidden=output, all_hidden=updated)
    last = builder.rename(staying.hidden, f"{staying.hidden}.staying")
    return give_back(builder, last, staying, hidden, staying.hidden), replace(staying, hidden=last)


def _layer(
    builder: Builder, config: Mapping[str, Any], number: int, hidden: str, padding: str, staying: Staying | None = None
) -> str:
    """One layer over (S, B, hidden_size); or over (N, hidden_size) of the tokens that stay, which attend to all."""
    act, epsilon = str(config.get("hidden_act", "gelu")), float(config.get("layer_norm_eps", 1e-12))
    heads, head_size = int(config["num_attention_heads"]), head_size_of(config)
    by_head = builder.constant("shape.by_head", np.array([0, 0, heads, head_size], np.int64))
    name = f"bert.encoder.layer.{number}"
    attention, attended = f"{name}.attention", hidden if staying is None else staying.all_hidden
    query = builder.linear(hidden, f"{attention}.self.query")
    if staying is None:
        query = builder.node("Reshape", [query, by_head], f"{attention}.self.query.heads")
    else:
        query = spread_queries(builder, query, staying, f"{attention}.self.query.heads")
    key, value = (
        builder.node(
            "Reshape", [builder.linear(attended, f"{attention}.self.{part}"), by_head], f"{attention}.self.{part}.heads"
        )
        for part in ("key", "value")
    )
    context = attend(builder, query, key, value, padding, attention, head_size)
    if staying is None:
        joined = builder.constant("shape.joined", np.array([0, 0, heads * head_size], np.int64))
        context = builder.node("Reshape", [context, joined], f"{attention}.context")
    else:
        context = gather_context(builder, context, staying, heads * head_size, f"{attention}.context")
    hidden = builder.residual(context, hidden, f"{attention}.output", epsilon)
    return builder.feed_forward(hidden, name, act, epsilon)


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
    """Where a graph takes no token types, positions hold the embedding of the first one, and types come back as zeros."""
    if name.endswith("token_type_embeddings.weight"):
        return constants.get("bert.embeddings.types", np.zeros(shape, np.float32))
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

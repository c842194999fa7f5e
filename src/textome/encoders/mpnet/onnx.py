"""An MPNet encoder as ONNX nodes: BERT's graph, with the bias of each distance added to the scores of padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from textome.encoders.distances import bucket_of_distance
from textome.encoders.graph import Array, Builder, Shapes, attend, linear_shape, norm_shape, padding_scores
from textome.encoders.mpnet import BUCKETS, ENCODER

_TABLE, _POSITIONS = "mpnet.encoder.relative_attention_bias.weight", "mpnet.embeddings.position_embeddings.weight"


def encode(builder: Builder, config: Mapping[str, Any], pairs: bool) -> str:
    """The hidden states (S, B, hidden_size) of `input_ids` under `attention_mask`; there are no token types.

    Raises ModelError for a setting that cannot be exported.
    """
    epsilon, heads = float(config.get("layer_norm_eps", 1e-12)), int(config["num_attention_heads"])
    head_size = int(config["hidden_size"]) // heads
    length = builder.node("Shape", ["input_ids"], "mpnet.length", start=1, end=2)
    hidden = _embed(builder, length, epsilon)
    scores = _biases(builder, length, ENCODER.max_length(config))
    builder.integers("shape.by_head", 0, 0, heads, head_size)
    builder.integers("shape.joined", 0, 0, heads * head_size)
    for number in range(int(config["num_hidden_layers"])):
        name = f"mpnet.encoder.layer.{number}"
        query, key, value = (
            builder.node(
                "Reshape",
                [builder.linear(hidden, f"{name}.attention.attn.{part}"), "shape.by_head"],
                f"{name}.attention.{part}.heads",
            )
            for part in ("q", "k", "v")
        )
        context = attend(builder, query, key, value, scores, f"{name}.attention", head_size)
        context = builder.node("Reshape", [context, "shape.joined"], f"{name}.attention.context")
        attended = builder.linear(context, f"{name}.attention.attn.o")
        total = builder.node("Add", [attended, hidden], f"{name}.attention.total")
        hidden = builder.norm(total, f"{name}.attention.LayerNorm", f"{name}.attention.hidden", epsilon)
        hidden = builder.feed_forward(hidden, name, str(config.get("hidden_act", "gelu")), epsilon)
    return hidden


def shapes(config: Mapping[str, Any]) -> Shapes:
    """The encoder's tensors under their Hugging Face names."""
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    tensors: Shapes = norm_shape("mpnet.embeddings.LayerNorm", hidden)
    tensors["mpnet.embeddings.word_embeddings.weight"] = (int(config["vocab_size"]), hidden)
    tensors[_POSITIONS] = (int(config["max_position_embeddings"]), hidden)
    tensors[_TABLE] = (BUCKETS, int(config["num_attention_heads"]))
    for number in range(int(config["num_hidden_layers"])):
        name = f"mpnet.encoder.layer.{number}"
        for part in ("q", "k", "v", "o"):
            tensors |= linear_shape(f"{name}.attention.attn.{part}", hidden, hidden)
        tensors |= linear_shape(f"{name}.intermediate.dense", inner, hidden)
        tensors |= linear_shape(f"{name}.output.dense", hidden, inner)
        tensors |= norm_shape(f"{name}.attention.LayerNorm", hidden) | norm_shape(f"{name}.output.LayerNorm", hidden)
    return tensors


def restored(name: str, shape: tuple[int, ...], constants: Mapping[str, Array]) -> Array | None:
    """The tables of positions and biases have names of their own; rows of positions that no token takes are zeros."""
    if name == _POSITIONS and "mpnet.embeddings.positions" in constants:
        return np.pad(constants["mpnet.embeddings.positions"][:, 0], ((ENCODER.unused_positions, 0), (0, 0)))
    return constants.get("mpnet.biases.table") if name == _TABLE else None


def _embed(builder: Builder, length: str, epsilon: float) -> str:
    name = "mpnet.embeddings"
    ids = builder.node("Transpose", ["input_ids"], f"{name}.ids", perm=[1, 0])
    words = builder.lookup(ids, f"{name}.word_embeddings", builder.weight(f"{name}.word_embeddings.weight"))
    table = builder.weight(_POSITIONS)[ENCODER.unused_positions :, None]
    bounds = [builder.number(0), length, builder.number(0)]
    rows = builder.node("Slice", [builder.constant(f"{name}.positions", table), *bounds], f"{name}.position_rows")
    return builder.norm(
        builder.node("Add", [words, rows], f"{name}.total"), f"{name}.LayerNorm", f"{name}.hidden", epsilon
    )


def _biases(builder: Builder, length: str, max_length: int) -> str:
    """What is added to the scores of attention, (B, heads, S, S)."""
    name = "mpnet.biases"
    buckets = bucket_of_distance(np.arange(1 - max_length, max_length))
    zero, one, first = (
        builder.constant(f"{name}.{value}", np.array(value, np.int64)) for value in (0, 1, max_length - 1)
    )
    count = builder.node("Squeeze", [length, builder.number(0)], f"{name}.count")
    positions = builder.node("Range", [zero, count, one], f"{name}.positions")
    column = builder.node("Unsqueeze", [positions, builder.number(1)], f"{name}.column")
    distance = builder.node("Sub", [positions, column], f"{name}.distance")
    distance = builder.node("Add", [distance, first], f"{name}.from_first")
    chosen = builder.node("Gather", [builder.constant(f"{name}.buckets", buckets), distance], f"{name}.chosen")
    rows = builder.node("Gather", [builder.constant(f"{name}.table", builder.weight(_TABLE)), chosen], f"{name}.rows")
    by_head = builder.node("Transpose", [rows], f"{name}.by_head", perm=[2, 0, 1])
    return builder.node("Add", [by_head, padding_scores(builder)], f"{name}.with_padding")

"""A DeBERTa v2 or v3 encoder as ONNX nodes (see encoders.deberta.model for the equations).

Attention runs heads first, (heads, B, S, size). The projections of the relative embeddings do not depend on the text, so
they are computed here, once, and are constants of the graph. A query's products with the embeddings of all distances that a
batch can have are laid out so that those wanted follow one another: a reshape and a slice pick them, nothing is gathered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from textome.encoders.graph import (
    CONTRIB,
    Array,
    Builder,
    Shapes,
    linear_shape,
    norm_shape,
    padding_scores,
)
from textome.errors import ModelError


def encode(builder: Builder, config: Mapping[str, Any], pairs: bool) -> str:
    """The hidden states (S, B, hidden_size) of `input_ids` under `attention_mask`, and `token_type_ids` with `pairs`.

    Raises ModelError for an activation that has no operator here.
    """
    act, epsilon = str(config.get("hidden_act", "gelu")), float(config.get("layer_norm_eps", 1e-7))
    heads, size = int(config["num_attention_heads"]), _head_size(config)
    embedded = hidden = _embed(builder, config, epsilon, pairs)
    padding = builder.node("Transpose", [padding_scores(builder)], "padding.by_head", perm=[1, 0, 2, 3])
    builder.integers("shape.by_head", 0, 0, heads, size)
    builder.integers("shape.joined", 0, 0, heads * size)
    relative = _relative(builder, config, epsilon) if config.get("relative_attention") else None
    if relative is not None:
        _distances(builder, config)
    for number in range(int(config["num_hidden_layers"])):
        name = f"deberta.encoder.layer.{number}"
        context = _attend(builder, config, hidden, f"{name}.attention", padding, relative)
        hidden = builder.residual(context, hidden, f"{name}.attention.output", epsilon)
        hidden = builder.feed_forward(hidden, name, act, epsilon)
        if number == 0 and int(config.get("conv_kernel_size") or 0) > 0:
            hidden = _convolve(builder, config, embedded, hidden, epsilon)
    return builder.node("Transpose", [hidden], "deberta.hidden", perm=[1, 0, 2])


def shapes(config: Mapping[str, Any]) -> Shapes:
    """The encoder's tensors under their Hugging Face names."""
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    narrow, width = int(config.get("embedding_size") or hidden), int(config["num_attention_heads"]) * _head_size(config)
    kinds = _kinds(config)
    tensors: Shapes = norm_shape("deberta.embeddings.LayerNorm", hidden)
    tensors["deberta.embeddings.word_embeddings.weight"] = (int(config["vocab_size"]), narrow)
    if config.get("position_biased_input", True):
        tensors["deberta.embeddings.position_embeddings.weight"] = (int(config["max_position_embeddings"]), narrow)
    if types := int(config.get("type_vocab_size", 0)):
        tensors["deberta.embeddings.token_type_embeddings.weight"] = (types, narrow)
    if narrow != hidden:
        tensors["deberta.embeddings.embed_proj.weight"] = (hidden, narrow)
    if config.get("relative_attention"):
        span, _ = _spans(config)
        tensors["deberta.encoder.rel_embeddings.weight"] = (2 * span, hidden)
        if _normed(config):
            tensors |= norm_shape("deberta.encoder.LayerNorm", hidden)
    if kernel := int(config.get("conv_kernel_size") or 0):
        columns = hidden // int(config.get("conv_groups", 1))
        tensors["deberta.encoder.conv.conv.weight"] = (hidden, columns, kernel)
        tensors["deberta.encoder.conv.conv.bias"] = (hidden,)
        tensors |= norm_shape("deberta.encoder.conv.LayerNorm", hidden)
    own = {"c2p": "pos_key_proj", "p2c": "pos_query_proj"}
    positions = [own[kind] for kind in kinds] if config.get("relative_attention") else []
    for number in range(int(config["num_hidden_layers"])):
        name = f"deberta.encoder.layer.{number}"
        for part in ("query_proj", "key_proj", "value_proj", *([] if config.get("share_att_key") else positions)):
            tensors |= linear_shape(f"{name}.attention.self.{part}", width, hidden)
        tensors |= linear_shape(f"{name}.attention.output.dense", hidden, width)
        tensors |= linear_shape(f"{name}.intermediate.dense", inner, hidden)
        tensors |= linear_shape(f"{name}.output.dense", hidden, inner)
        tensors |= norm_shape(f"{name}.attention.output.LayerNorm", hidden)
        tensors |= norm_shape(f"{name}.output.LayerNorm", hidden)
    return tensors


def restored(name: str, shape: tuple[int, ...], constants: Mapping[str, Array]) -> Array | None:
    """Raises ModelError: of the relative embeddings a graph has only their projections."""
    raise ModelError(f"weights are not read back from graphs of DeBERTa, which have no {name}")


def distance_rows(max_length: int, buckets: int, max_relative_position: int) -> Array:
    """The row of the relative embeddings for each distance from `longest - 1` down; as relative.distance_buckets."""
    distance = np.arange(max_length - 1, -max_length, -1)
    span = buckets or max_relative_position
    if buckets:
        middle = buckets // 2
        size = np.maximum(np.abs(distance), max(1, middle - 1)).astype(np.float32)
        share = np.log(size / np.float32(middle)) / np.log(np.float32((max_relative_position - 1) / middle))
        logarithmic = (np.ceil(share * np.float32(middle - 1)) + middle).astype(np.int64)
        distance = np.where(np.abs(distance) <= middle, distance, logarithmic * np.sign(distance))
    return np.clip(distance + span, 0, 2 * span - 1).astype(np.int64)


def _head_size(config: Mapping[str, Any]) -> int:
    return int(config.get("attention_head_size") or int(config["hidden_size"]) // int(config["num_attention_heads"]))


def _kinds(config: Mapping[str, Any]) -> list[str]:
    kinds = config.get("pos_att_type") or ()
    names = kinds.lower().split("|") if isinstance(kinds, str) else list(kinds)
    return [kind for kind in ("c2p", "p2c") if kind in names]


def _spans(config: Mapping[str, Any]) -> tuple[int, int]:
    """Half the number of relative embeddings, and the largest distance that is told apart."""
    max_relative_position = int(config.get("max_relative_positions", -1))
    max_relative_position = (
        max_relative_position if max_relative_position > 0 else int(config["max_position_embeddings"])
    )
    return max(0, int(config.get("position_buckets", -1))) or max_relative_position, max_relative_position


def _normed(config: Mapping[str, Any]) -> bool:
    return "layer_norm" in str(config.get("norm_rel_ebd", "none")).lower()


def _embed(builder: Builder, config: Mapping[str, Any], epsilon: float, pairs: bool) -> str:
    """Embeddings (B, S, hidden_size)."""
    name = "deberta.embeddings"
    total = builder.lookup("input_ids", f"{name}.word_embeddings", builder.weight(f"{name}.word_embeddings.weight"))
    length = builder.node("Shape", ["input_ids"], "distances.length", start=1, end=2)
    if config.get("position_biased_input", True):
        table = builder.constant(f"{name}.positions", builder.weight(f"{name}.position_embeddings.weight")[None])
        rows = builder.node("Slice", [table, builder.number(0), length, builder.number(1)], f"{name}.rows")
        total = builder.node("Add", [total, rows], f"{name}.words_and_positions")
    if int(config.get("type_vocab_size", 0)):
        types = builder.weight(f"{name}.token_type_embeddings.weight")
        if pairs:
            kinds = builder.node(
                "Gather", [builder.constant(f"{name}.types", types), "token_type_ids"], f"{name}.type_rows"
            )
        else:
            kinds = builder.constant(f"{name}.types", types[0])
        total = builder.node("Add", [total, kinds], f"{name}.with_types")
    if f"{name}.embed_proj.weight" in builder.tensors:
        matrix = builder.constant(f"{name}.embed_proj.weight", builder.weight(f"{name}.embed_proj.weight").T)
        total = builder.node("MatMul", [total, matrix], f"{name}.projected")
    return builder.norm(total, f"{name}.LayerNorm", f"{name}.hidden", epsilon)


def _relative(builder: Builder, config: Mapping[str, Any], epsilon: float) -> Array:
    """The relative embeddings (R, hidden_size), normalised where the model does so."""
    rows = builder.weight("deberta.encoder.rel_embeddings.weight").astype(np.float64)
    if _normed(config):
        weight, bias = (builder.weight(f"deberta.encoder.LayerNorm.{kind}") for kind in ("weight", "bias"))
        rows = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + epsilon) * weight + bias
    return rows


def _distances(builder: Builder, config: Mapping[str, Any]) -> None:
    """What all layers need of a batch's length: for each kind the rows of the relative embeddings at its distances,
    (2 S - 1,), and the shapes and places with which `_skewed` picks scores."""
    span, max_relative_position = _spans(config)
    max_length = int(config["max_position_embeddings"])
    rows = distance_rows(max_length, span if int(config.get("position_buckets", -1)) > 0 else 0, max_relative_position)
    length, zero, one = "distances.length", builder.number(0), builder.number(1)
    middle = builder.number(max_length)
    builder.node("Sub", [length, one], "distances.first")
    start = builder.node("Sub", [middle, length], "distances.start")
    end = builder.node("Add", [middle, "distances.first"], "distances.end")
    # The keys of c2p stand at distances from S - 1 down, the queries of p2c from -(S - 1) up.
    for kind, table in (("c2p", rows), ("p2c", rows[::-1])):
        builder.node(
            "Slice", [builder.constant(f"distances.{kind}.rows", table), start, end, zero], f"distances.{kind}"
        )
    heads, rest = builder.number(int(config["num_attention_heads"])), builder.number(-1)
    batch = builder.node("Shape", ["input_ids"], "distances.batch", start=0, end=1)
    builder.node("Concat", [heads, batch, rest], "skew.line", axis=0)
    builder.node("Concat", [heads, batch, length, rest], "skew.wide", axis=0)
    builder.integers("skew.flat", 0, -1, _head_size(config))


def _attend(
    builder: Builder, config: Mapping[str, Any], hidden: str, name: str, padding: str, relative: Array | None
) -> str:
    """Disentangled attention (He et al. 2021, equation 4) of (B, S, hidden_size), before its output layer."""
    query, key, value = (
        builder.node(
            "Transpose",
            [
                builder.node(
                    "Reshape",
                    [builder.linear(hidden, f"{name}.self.{part}_proj"), "shape.by_head"],
                    f"{name}.{part}.split",
                )
            ],
            f"{name}.{part}",
            perm=[2, 0, 1, 3],
        )
        for part in ("query", "key", "value")
    )
    scores = builder.node("FusedMatMul", [query, key], f"{name}.products", CONTRIB, transB=1, alpha=_scale(config))
    for kind in _kinds(config) if relative is not None else ():
        assert relative is not None
        table = _table(builder, config, name, kind, relative)
        part = _skewed(builder, query if kind == "c2p" else key, table, f"{name}.{kind}")
        if kind == "p2c":
            part = builder.node("Transpose", [part], f"{name}.{kind}.by_query", perm=[0, 1, 3, 2])
        scores = builder.node("Add", [scores, part], f"{name}.with_{kind}")
    scores = builder.node("Add", [scores, padding], f"{name}.scores")
    shares = builder.node("Softmax", [scores], f"{name}.shares", axis=-1)
    mixed = builder.node("MatMul", [shares, value], f"{name}.mixed")
    mixed = builder.node("Transpose", [mixed], f"{name}.by_token", perm=[1, 2, 0, 3])
    return builder.node("Reshape", [mixed, "shape.joined"], f"{name}.context")


def _scale(config: Mapping[str, Any]) -> float:
    """What every part of the scores is multiplied with; it counts the kinds that the configuration names."""
    return 1 / math.sqrt(_head_size(config) * (1 + len(_kinds(config))))


def _table(builder: Builder, config: Mapping[str, Any], name: str, kind: str, relative: Array) -> str:
    """The scaled keys (c2p) or queries (p2c) at a batch's distances, (heads, 2 S - 1, size)."""
    shared = {"c2p": "key_proj", "p2c": "query_proj"}
    own = {"c2p": "pos_key_proj", "p2c": "pos_query_proj"}
    layer = f"{name}.self.{(shared if config.get('share_att_key') else own)[kind]}"
    heads = int(config["num_attention_heads"])
    rows = _scale(config) * (relative @ builder.weight(f"{layer}.weight").T + builder.weight(f"{layer}.bias"))
    by_head = rows.reshape(len(rows), heads, -1).transpose(1, 0, 2)
    return builder.lookup(f"distances.{kind}", f"{name}.{kind}.table", by_head.astype(np.float32))


def _skewed(builder: Builder, rows: str, table: str, name: str) -> str:
    """scores[.., i, j] = rows[.., i] . table[S - 1 - i + j], (heads, B, S, S), of rows (heads, B, S, size).

    Of the 2 S - 1 products of row i those from S - 1 - i on are wanted. Cut from S - 1 on and laid in rows of 2 S - 2, each
    row begins with what is wanted of it.
    """
    flat = builder.node("Reshape", [rows, "skew.flat"], f"{name}.rows")
    products = builder.node("FusedMatMul", [flat, table], f"{name}.products", CONTRIB, transB=1)
    line = builder.node("Reshape", [products, "skew.line"], f"{name}.line")
    two, three = builder.number(2), builder.number(3)
    line = builder.node("Slice", [line, "distances.first", builder.number(-1), two], f"{name}.from_first")
    wide = builder.node("Reshape", [line, "skew.wide"], f"{name}.wide")
    return builder.node("Slice", [wide, builder.number(0), "distances.length", three], f"{name}.skewed")


def _convolve(builder: Builder, config: Mapping[str, Any], embedded: str, hidden: str, epsilon: float) -> str:
    """The convolution of v2 over the embeddings, added to what the first layer gives; padding counts as zeros."""
    name = "deberta.encoder.conv"
    mask = builder.node("Unsqueeze", ["padding.mask", builder.number(2)], f"{name}.mask")
    source = builder.node(
        "Transpose", [builder.node("Mul", [embedded, mask], f"{name}.masked")], f"{name}.in", perm=[0, 2, 1]
    )
    weights = [
        builder.constant(f"{name}.conv.{kind}", builder.weight(f"{name}.conv.{kind}")) for kind in ("weight", "bias")
    ]
    reach, groups = (int(config["conv_kernel_size"]) - 1) // 2, int(config.get("conv_groups", 1))
    convolved = builder.node("Conv", [source, *weights], f"{name}.out", pads=[reach, reach], group=groups)
    convolved = builder.node("Transpose", [convolved], f"{name}.by_token", perm=[0, 2, 1])
    activated = builder.activate(str(config.get("conv_act", "tanh")), convolved, f"{name}.activated")
    total = builder.node("Add", [hidden, activated], f"{name}.total")
    return builder.norm(total, f"{name}.LayerNorm", f"{name}.hidden", epsilon)

"""A ModernBERT encoder as ONNX nodes.

Hidden states run time first, (S, B, hidden_size), as in the graph of BERT. Queries and keys are turned together, as the
first two thirds of one projection. In layers with a window, keys that are farther away get the score of padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from textome.encoders.graph import (
    PADDING_SCORE,
    Array,
    Builder,
    Shapes,
    attend,
    linear_shape,
    norm_shape,
    padding_scores,
)
from textome.encoders.modernbert import ModernBertConfig
from textome.errors import ModelError


def encode(builder: Builder, config: Mapping[str, Any], pairs: bool) -> str:
    """The hidden states (S, B, hidden_size) of `input_ids` under `attention_mask`; there are no token types.

    Raises ModelError for a setting that cannot be exported.
    """
    sizes = _sizes(config)
    embeddings = "model.embeddings"
    ids = builder.node("Transpose", ["input_ids"], f"{embeddings}.ids", perm=[1, 0])
    table = builder.weight(f"{embeddings}.tok_embeddings.weight")
    words = builder.lookup(ids, f"{embeddings}.tok_embeddings", table)
    hidden = builder.norm(words, f"{embeddings}.norm", f"{embeddings}.hidden", sizes.norm_eps)
    builder.integers("shape.by_head", 0, 0, 2 * sizes.num_attention_heads, sizes.head_size)
    builder.integers("shape.values", 0, 0, sizes.num_attention_heads, sizes.head_size)
    builder.integers("shape.joined", 0, 0, sizes.hidden_size)
    builder.integers("parts.projected", 2 * sizes.hidden_size, sizes.hidden_size)
    positions = _positions(builder)
    padding = padding_scores(builder)
    rotations, scores = {}, {}
    for window in dict.fromkeys(sizes.windows):
        rotations[window] = _rotation(builder, sizes, window, positions)
        scores[window] = padding if window is None else _near(builder, window, positions)
    for number, window in enumerate(sizes.windows):
        name = f"model.layers.{number}"
        source = builder.norm(hidden, f"{name}.attn_norm", f"{name}.normed", sizes.norm_eps) if number else hidden
        projected = builder.linear(source, f"{name}.attn.Wqkv")
        context = _attend(builder, projected, rotations[window], scores[window], f"{name}.attn", sizes.head_size)
        attended = builder.linear(context, f"{name}.attn.Wo")
        hidden = builder.node("Add", [hidden, attended], f"{name}.attended")
        source = builder.norm(hidden, f"{name}.mlp_norm", f"{name}.mlp.normed", sizes.norm_eps)
        inner, gate = _split(builder, builder.linear(source, f"{name}.mlp.Wi"), f"{name}.mlp", ("inner", "gate"))
        activated = builder.activate(sizes.hidden_activation, inner, f"{name}.mlp.activated")
        gated = builder.node("Mul", [activated, gate], f"{name}.mlp.gated")
        hidden = builder.node("Add", [hidden, builder.linear(gated, f"{name}.mlp.Wo")], f"{name}.hidden")
    return builder.norm(hidden, "model.final_norm", "modernbert.hidden", sizes.norm_eps)


def shapes(config: Mapping[str, Any]) -> Shapes:
    """The encoder's tensors under their Hugging Face names."""
    sizes = _sizes(config)
    hidden, inner, attention, mlp = sizes.hidden_size, sizes.intermediate_size, sizes.attention_bias, sizes.mlp_bias
    tensors: Shapes = {"model.embeddings.tok_embeddings.weight": (sizes.vocab_size, hidden)}
    norms = ["model.embeddings.norm", "model.final_norm"]
    for number in range(sizes.num_hidden_layers):
        name = f"model.layers.{number}"
        norms += [f"{name}.attn_norm"] * bool(number) + [f"{name}.mlp_norm"]
        tensors |= linear_shape(f"{name}.attn.Wqkv", 3 * hidden, hidden, attention)
        tensors |= linear_shape(f"{name}.attn.Wo", hidden, hidden, attention)
        tensors |= linear_shape(f"{name}.mlp.Wi", 2 * inner, hidden, mlp) | linear_shape(
            f"{name}.mlp.Wo", hidden, inner, mlp
        )
    for norm in norms:
        tensors |= norm_shape(norm, hidden, sizes.norm_bias)
    return tensors


def restored(name: str, shape: tuple[int, ...], constants: Mapping[str, Array]) -> Array | None:
    """A graph has all tensors by their own names."""
    return None


def _sizes(config: Mapping[str, Any]) -> ModernBertConfig:
    try:
        return ModernBertConfig.from_dict(config)
    except ValueError as error:
        raise ModelError(str(error)) from error


def _positions(builder: Builder) -> str:
    """The positions of a row, (S,) float."""
    length = builder.node("Shape", ["input_ids"], "positions.shape", start=1, end=2)
    scalar = builder.node("Squeeze", [length, builder.number(0)], "positions.length")
    zero, one = (builder.constant(f"positions.{value}", np.array(value, np.int64)) for value in (0, 1))
    steps = builder.node("Range", [zero, scalar, one], "positions.range")
    return builder.node("Cast", [steps], "positions.floats", to=TensorProto.FLOAT)


def _rotation(builder: Builder, sizes: ModernBertConfig, window: int | None, positions: str) -> tuple[str, str]:
    """Cosines and sines of the positions' angles, (S, 1, 1, head_size / 2) each; see encoders/layers/rotary.py."""
    name = f"rotation.{window}"
    exponents = np.arange(0, sizes.head_size, 2, dtype=np.float32) / np.float32(sizes.head_size)
    rates = (np.float32(1.0) / np.float32(sizes.theta(window)) ** exponents).astype(np.float32)
    column = builder.node("Unsqueeze", [positions, builder.integers("rotation.axes", 1, 2, 3)], f"{name}.positions")
    angles = builder.node("Mul", [column, builder.constant(f"{name}.rates", rates)], f"{name}.angles")
    return builder.node("Cos", [angles], f"{name}.cosine"), builder.node("Sin", [angles], f"{name}.sine")


def _near(builder: Builder, window: int, positions: str) -> str:
    """What is added to the scores of attention within a window, (B, 1, S, S)."""
    name = f"near.{window}"
    rows = builder.node("Unsqueeze", [positions, builder.number(1)], f"{name}.rows")
    distance = builder.node("Abs", [builder.node("Sub", [rows, positions], f"{name}.differences")], f"{name}.distances")
    limit = builder.constant(f"{name}.limit", np.array(window, np.float32))
    far = builder.node("Greater", [distance, limit], f"{name}.far")
    far = builder.node("Cast", [far], f"{name}.far_floats", to=TensorProto.FLOAT)
    far = builder.node(
        "Mul", [far, builder.constant("near.score", np.array(-PADDING_SCORE, np.float32))], f"{name}.scores"
    )
    return builder.node("Add", [far, "padding.by_key"], f"{name}.with_padding")


def _attend(builder: Builder, projected: str, rotation: tuple[str, str], scores: str, name: str, head_size: int) -> str:
    """Attention of queries, keys and values in one projection (S, B, 3 hidden_size), before its output layer."""
    both, values = _split(builder, projected, name, ("both", "value"), parts="parts.projected")
    both = builder.node("Reshape", [both, "shape.by_head"], f"{name}.both.heads")
    value = builder.node("Reshape", [values, "shape.values"], f"{name}.value.heads")
    left, right = _split(builder, both, name, ("left", "right"))
    products = {
        f"{side}_{kind}": builder.node("Mul", [source, table], f"{name}.{side}_{kind}")
        for side, source in (("left", left), ("right", right))
        for kind, table in zip(("cosine", "sine"), rotation, strict=True)
    }
    turned = [
        builder.node("Sub", [products["left_cosine"], products["right_sine"]], f"{name}.turned_left"),
        builder.node("Add", [products["right_cosine"], products["left_sine"]], f"{name}.turned_right"),
    ]
    query, key = _split(
        builder, builder.node("Concat", turned, f"{name}.turned", axis=-1), name, ("query", "key"), axis=2
    )
    context = attend(builder, query, key, value, scores, name, head_size)
    return builder.node("Reshape", [context, "shape.joined"], f"{name}.context")


def _split(
    builder: Builder, source: str, name: str, outputs: tuple[str, str], axis: int = -1, parts: str | None = None
) -> list[str]:
    """Two parts of a tensor along an axis: halves, or of the sizes in the constant `parts`."""
    names = [f"{name}.{output}" for output in outputs]
    inputs = [source] if parts is None else [source, parts]
    builder.nodes.append(helper.make_node("Split", inputs, names, name=f"{names[0]}.split", axis=axis))
    return names

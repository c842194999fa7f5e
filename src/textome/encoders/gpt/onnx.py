"""GPT-2 as an ONNX graph that writes: one pass over new tokens, with the keys and values of those before.

Inputs   input_ids (B, S) int64, the new tokens; attention_mask (B, P + S) int32, 0 for padding, of the P tokens before
         too; positions (M,) int64, the new tokens whose successors are scored; past.N.key and past.N.value
         (B, num_heads, P, head_size) of each layer N
Outputs  logits (B, M, vocab_size); present.N.key and present.N.value (B, num_heads, P + S, head_size)

The position of a token is the number of tokens before it in its row, padding not counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from textome.encoders.gpt import CONV1D, ENCODER, check_config
from textome.encoders.graph import (
    CONTRIB,
    PADDING_SCORE,
    Array,
    Builder,
    Precision,
    Shapes,
    compare_shapes,
    linear_shape,
    norm_shape,
)
from textome.errors import ModelError

_WORDS, _POSITIONS = "transformer.wte", "transformer.wpe"


def encode(builder: Builder, config: Mapping[str, Any], pairs: bool) -> str:
    """Raises ModelError: there are no heads over texts."""
    raise ModelError("this model sees only the tokens before each, so it has no heads over texts; it writes them")


def restored(name: str, shape: tuple[int, ...], constants: Mapping[str, Array]) -> Array | None:
    """Raises ModelError: weights are kept in model.safetensors."""
    raise ModelError("the graph of this model does not give its weights back; keep its model.safetensors")


def shapes(config: Mapping[str, Any]) -> Shapes:
    """The tensors under their Hugging Face names, matrices with a row for each input."""
    hidden = int(config["n_embd"])
    inner = int(config.get("n_inner") or 4 * hidden)
    tensors: Shapes = {f"{_WORDS}.weight": (int(config["vocab_size"]), hidden)} | norm_shape("transformer.ln_f", hidden)
    if config.get("rotary_theta") is None:
        tensors[f"{_POSITIONS}.weight"] = (int(config.get("n_positions", 1024)), hidden)
    for number in range(int(config["n_layer"])):
        name = f"transformer.h.{number}"
        tensors |= norm_shape(f"{name}.ln_1", hidden) | norm_shape(f"{name}.ln_2", hidden)
        tensors |= linear_shape(f"{name}.attn.c_attn", 3 * hidden, hidden)
        tensors |= linear_shape(f"{name}.attn.c_proj", hidden, hidden)
        tensors |= linear_shape(f"{name}.mlp.c_fc", inner, hidden)
        tensors |= linear_shape(f"{name}.mlp.c_proj", hidden, inner)
    return {name: shape[::-1] if name.endswith(CONV1D) else shape for name, shape in tensors.items()}


def build_decoder(tensors: Mapping[str, Array], config: Mapping[str, Any], precision: Precision) -> onnx.ModelProto:
    """The graph from tensors under their Hugging Face names.

    Raises ModelError for tensors that do not fit, and for a setting that is not supported.
    """
    try:
        check_config(config)
    except ValueError as error:
        raise ModelError(str(error)) from error
    whole = {
        name if name.startswith(ENCODER.prefix) else ENCODER.prefix + name: values
        for name, values in tensors.items()
        if not re.match(ENCODER.unused, name)
    }
    compare_shapes(whole, shapes(config))
    weights = {name: values.T if name.endswith(CONV1D) else values for name, values in whole.items()}
    weights["lm_head.weight"] = weights[f"{_WORDS}.weight"]
    builder = Builder(weights, precision)
    epsilon = float(config.get("layer_norm_epsilon", 1e-5))
    hidden, rotation = _embed(builder, config)
    scores = _scores(builder)
    for number in range(int(config["n_layer"])):
        name = f"transformer.h.{number}"
        normed = builder.norm(hidden, f"{name}.ln_1", f"{name}.ln_1.output", epsilon)
        attended = _attend(builder, config, number, normed, rotation, scores)
        hidden = builder.node("Add", [hidden, attended], f"{name}.attended")
        normed = builder.norm(hidden, f"{name}.ln_2", f"{name}.ln_2.output", epsilon)
        inner = builder.linear(normed, f"{name}.mlp.c_fc")
        inner = builder.activate(str(config.get("activation_function", "gelu_new")), inner, f"{name}.mlp.activated")
        hidden = builder.node("Add", [hidden, builder.linear(inner, f"{name}.mlp.c_proj")], f"{name}.hidden")
    hidden = builder.node("Gather", [hidden, "positions"], "transformer.chosen", axis=1)
    hidden = builder.norm(hidden, "transformer.ln_f", ENCODER.hidden_states, epsilon)
    builder.rename(_score(builder, hidden), "logits")
    return _model(builder, config)


def _embed(builder: Builder, config: Mapping[str, Any]) -> tuple[str, tuple[str, str] | None]:
    """Hidden states (B, S, hidden_size) of the new tokens; and cosines and sines (B, 1, S, head_size / 2) if rotary."""
    one = builder.constant("one", np.array(1, np.int64))
    mask = builder.node("Cast", ["attention_mask"], "mask.int64", to=TensorProto.INT64)
    counts = builder.node("CumSum", [mask, one], "mask.counts")
    counts = builder.node(
        "Max", [builder.node("Sub", [counts, one], "mask.before"), builder.number(0)], "mask.positions"
    )
    length = builder.node("Shape", ["input_ids"], "length", start=1, end=2)
    start = builder.node("Neg", [length], "length.negative")
    end = builder.integers("length.end", np.iinfo(np.int64).max)
    ids = builder.node("Slice", [counts, start, end, builder.number(1)], "position_ids")
    words = builder.lookup("input_ids", _WORDS, builder.weight(f"{_WORDS}.weight"))
    if (theta := config.get("rotary_theta")) is None:
        rows = builder.lookup(ids, _POSITIONS, builder.weight(f"{_POSITIONS}.weight"))
        return builder.node("Add", [words, rows], "transformer.embedded"), None
    size = int(config["n_embd"]) // int(config["n_head"])
    exponents = np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    rates = builder.constant("rotation.rates", (1 / np.float32(theta) ** exponents).astype(np.float32))
    floats = builder.node("Cast", [ids], "rotation.positions", to=TensorProto.FLOAT)
    column = builder.node("Unsqueeze", [floats, builder.integers("rotation.axes", 1, 3)], "rotation.column")
    angles = builder.node("Mul", [column, rates], "rotation.angles")
    return words, (
        builder.node("Cos", [angles], "rotation.cosine"),
        builder.node("Sin", [angles], "rotation.sine"),
    )


def _scores(builder: Builder) -> str:
    """What is added to the scores of attention, (B, 1, S, P + S): much below 0 for padding, and for later keys."""
    zero, step = (builder.constant(f"keys.{value}", np.array(value, np.int64)) for value in (0, 1))
    axis = builder.number(0)
    count = builder.node("Shape", ["attention_mask"], "keys.shape", start=1, end=2)
    count = builder.node("Squeeze", [count, axis], "keys.count")
    new = builder.node("Squeeze", ["length", axis], "queries.count")
    keys = builder.node("Range", [zero, count, step], "keys")
    first = builder.node("Sub", [count, new], "queries.first")
    queries = builder.node("Range", [first, count, step], "queries")
    queries = builder.node("Unsqueeze", [queries, builder.number(1)], "queries.column")
    later = builder.node("Greater", [keys, queries], "keys.later")
    later = builder.node("Cast", [later], "keys.later_floats", to=TensorProto.FLOAT)
    floats = builder.node("Cast", ["attention_mask"], "keys.mask", to=TensorProto.FLOAT)
    rows = builder.node("Unsqueeze", [floats, builder.integers("keys.axes", 1, 2)], "keys.mask_rows")
    padding = builder.node("Sub", [builder.constant("keys.one", np.array(1, np.float32)), rows], "keys.padding")
    hidden = builder.node("Max", [padding, later], "keys.hidden")
    scale = builder.constant("keys.score", np.array(-PADDING_SCORE, np.float32))
    return builder.node("Mul", [hidden, scale], "keys.scores")


def _attend(
    builder: Builder,
    config: Mapping[str, Any],
    number: int,
    hidden: str,
    rotation: tuple[str, str] | None,
    scores: str,
) -> str:
    """Attention of the new tokens over all, with its output layer; new keys and values join those of before."""
    name, heads = f"transformer.h.{number}.attn", int(config["n_head"])
    size = int(config["n_embd"]) // heads
    projected = builder.linear(hidden, f"{name}.c_attn")
    projected = builder.node("Reshape", [projected, builder.integers("by_head", 0, 0, 3, heads, size)], f"{name}.heads")
    projected = builder.node("Transpose", [projected], f"{name}.by_kind", perm=[2, 0, 3, 1, 4])
    query, key, value = (
        builder.node(
            "Gather",
            [projected, builder.constant(f"kind.{index}", np.array(index, np.int64))],
            f"{name}.{kind}",
            axis=0,
        )
        for index, kind in enumerate(("query", "key", "value"))
    )
    if rotation is not None:
        query, key = (_turned(builder, vectors, rotation) for vectors in (query, key))
    key, value = (
        builder.node("Concat", [f"past.{number}.{kind}", new], f"present.{number}.{kind}", axis=2)
        for kind, new in (("key", key), ("value", value))
    )
    products = builder.node("FusedMatMul", [query, key], f"{name}.products", CONTRIB, transB=1, alpha=size**-0.5)
    shares = builder.node(
        "Softmax", [builder.node("Add", [products, scores], f"{name}.scores")], f"{name}.shares", axis=-1
    )
    context = builder.node("MatMul", [shares, value], f"{name}.mixed")
    context = builder.node("Transpose", [context], f"{name}.by_token", perm=[0, 2, 1, 3])
    context = builder.node("Reshape", [context, builder.integers("joined", 0, 0, heads * size)], f"{name}.context")
    return builder.linear(context, f"{name}.c_proj")


def _turned(builder: Builder, vectors: str, rotation: tuple[str, str]) -> str:
    """Vectors (B, num_heads, S, head_size) by the angles of their positions; see encoders/layers/rotary.py."""
    cosine, sine = rotation
    left, right = f"{vectors}.left", f"{vectors}.right"
    builder.nodes.append(helper.make_node("Split", [vectors], [left, right], name=f"{vectors}.split", axis=-1))
    turned = []
    for one, other, kind in ((left, right, "Sub"), (right, left, "Add")):
        along = builder.node("Mul", [one, cosine], f"{one}.cosine")
        across = builder.node("Mul", [other, sine], f"{one}.sine")
        turned.append(builder.node(kind, [along, across], f"{one}.turned"))
    return builder.node("Concat", turned, f"{vectors}.turned", axis=-1)


def _score(builder: Builder, hidden: str) -> str:
    """The products with the word embeddings, one table for both in fp32 and bf16."""
    if builder.precision == "int8":
        return builder.linear(hidden, "lm_head")
    table = f"{_WORDS}.weight"
    if builder.precision == "bf16":
        table = builder.node("Cast", [table], "lm_head.floats", to=TensorProto.FLOAT)
    return builder.node("FusedMatMul", [hidden, table], "lm_head.output", CONTRIB, transB=1)


def _model(builder: Builder, config: Mapping[str, Any]) -> onnx.ModelProto:
    value, heads = helper.make_tensor_value_info, int(config["n_head"])
    size = int(config["n_embd"]) // heads
    inputs = [
        value("input_ids", TensorProto.INT64, ["batch", "length"]),
        value("attention_mask", TensorProto.INT32, ["batch", "total"]),
        value("positions", TensorProto.INT64, ["scored"]),
    ]
    outputs = [value("logits", TensorProto.FLOAT, ["batch", "scored", int(config["vocab_size"])])]
    for number in range(int(config["n_layer"])):
        for kind in ("key", "value"):
            inputs.append(value(f"past.{number}.{kind}", TensorProto.FLOAT, ["batch", heads, "before", size]))
            outputs.append(value(f"present.{number}.{kind}", TensorProto.FLOAT, ["batch", heads, "total", size]))
    return builder.model(inputs, outputs)

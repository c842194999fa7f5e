"""The ONNX graph of a sequence model (encoders.sequence.model), built straight from its weights.

Inputs   for each segment NAME: NAME.values (B, F, size) float32 of vectors, (B, F) int64 of tokens; NAME.mask (B, F) int32,
         1 for frames and 0 for padding; NAME.positions (B, S, axes) int64, with S = F, halved (rounded up) for each halving
Output   scores (B, outputs) float32; of a model that guesses tokens (B, 1 + S, vocabulary), the start token first

Padding is anywhere in a row: what a record lacks is all padding. A row is the start token and then all segments in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from textome.encoders.bert import onnx as bert
from textome.encoders.graph import (
    CONTRIB,
    Array,
    Builder,
    Precision,
    Shapes,
    compare_shapes,
    linear_shape,
    norm_shape,
    padding_scores,
)
from textome.encoders.sequence import Shape

OUTPUT = "scores"


def build_sequence_graph(
    tensors: Mapping[str, Array],
    config: Mapping[str, Any],
    shapes: Mapping[str, Shape],
    outputs: int,
    pooling: str,
    precision: Precision,
) -> onnx.ModelProto:
    """The graph from tensors under their names in a checkpoint; `outputs`, `pooling` as for SequenceModel.

    Embedders and heads stay in fp32 in every precision: they are small, and errors there go everywhere.

    Raises ModelError for tensors that do not fit.
    """
    compare_shapes(tensors, _expected(config, shapes, outputs))
    builder = Builder(tensors, precision)
    epsilon, hidden_size = float(config["layer_norm_eps"]), int(config["hidden_size"])
    first = next(iter(shapes))
    batch = builder.node("Shape", [f"{first}.mask"], "start.batch", start=0, end=1)
    size = builder.integers("start.size", 1, hidden_size)
    shape = builder.node("Concat", [batch, size], "start.shape", axis=0)
    parts = [builder.node("Expand", [builder.constant("start.vector", builder.weight("start")), shape], "start.rows")]
    one = builder.node("Concat", [batch, builder.integers("start.one", 1)], "start.mask_shape", axis=0)
    masks = [builder.node("Expand", [builder.constant("start.there", np.array([1], np.int32)), one], "start.mask")]
    for name, kind in shapes.items():
        embedded, mask = _embed(builder, name, kind, epsilon)
        parts.append(embedded)
        masks.append(mask)
    rows = builder.node("Concat", parts, "sequence.rows", axis=1)
    mask = builder.node("Concat", masks, "sequence.mask", axis=1)
    hidden = builder.node("Transpose", [rows], "sequence.by_time", perm=[1, 0, 2])
    hidden = bert.layers(builder, config, hidden, padding_scores(builder, mask))
    hidden = builder.node("Transpose", [hidden], "sequence.hidden", perm=[1, 0, 2])
    if outputs:
        builder.score(_pool(builder, hidden, mask, pooling), "classifier", OUTPUT)
    else:
        _score_tokens(builder, hidden, first, epsilon)
    return _model(builder, shapes, outputs)


def _embed(builder: Builder, name: str, shape: Shape, epsilon: float) -> tuple[str, str]:
    """(B, S, hidden_size) and the mask (B, S) of a segment."""
    prefix, values, mask = f"embedders.{name}", f"{name}.values", f"{name}.mask"
    for number in range(shape.downsamplings):
        values, mask = _halve(builder, f"{prefix}.halvings.{number}", values, mask)
    if shape.kind == "tokens":
        table = builder.constant(f"{prefix}.table.weight", builder.weight(f"{prefix}.table.weight"))
        total = builder.node("Gather", [table, values], f"{prefix}.looked_up")
    else:
        total = builder.score(values, f"{prefix}.project", f"{prefix}.projected")
    for axis in range(len(shape.axes)):
        index = builder.integers(f"{prefix}.axis.{axis}", axis)
        numbers = builder.node("Gather", [f"{name}.positions", index], f"{prefix}.numbers.{axis}", axis=2)
        # `Gather` with one index keeps the axis, of size 1, which is taken away again.
        last = builder.integers("sequence.last_axis", 2)
        numbers = builder.node("Squeeze", [numbers, last], f"{prefix}.places.{axis}")
        weight = f"{prefix}.positions.{axis}.weight"
        rows = builder.node(
            "Gather", [builder.constant(weight, builder.weight(weight)), numbers], f"{prefix}.position_rows.{axis}"
        )
        total = builder.node("Add", [total, rows], f"{prefix}.total.{axis}")
    return builder.norm(total, f"{prefix}.norm", f"{prefix}.hidden", epsilon), mask


def _halve(builder: Builder, name: str, values: str, mask: str) -> tuple[str, str]:
    """encoders.sequence.model.Halving on padded rows: padding is made zero first, as what is outside a sequence is."""
    weight = builder.weight(f"{name}.linear.weight")
    kernel = weight.reshape(len(weight), 3, -1).transpose(0, 2, 1)
    axes = builder.integers("sequence.last_axis", 2)
    there = builder.node("Cast", [mask], f"{name}.there", to=TensorProto.FLOAT)
    there = builder.node("Unsqueeze", [there, axes], f"{name}.there_rows")
    kept = builder.node("Mul", [values, there], f"{name}.kept")
    by_channel = builder.node("Transpose", [kept], f"{name}.by_channel", perm=[0, 2, 1])
    inputs = [by_channel, builder.constant(f"{name}.kernel", kernel)]
    inputs.append(builder.constant(f"{name}.bias", builder.weight(f"{name}.linear.bias")))
    convolved = builder.node("Conv", inputs, f"{name}.convolved", strides=[2], pads=[1, 1], kernel_shape=[3])
    rows = builder.node("Transpose", [convolved], f"{name}.rows", perm=[0, 2, 1])
    ends = [builder.integers(f"sequence.{key}", value) for key, value in (("zero", 0), ("end", 2**31), ("axis", 1))]
    halved = builder.node("Slice", [mask, *ends, builder.integers("sequence.two", 2)], f"{name}.mask")
    return builder.node("Gelu", [rows], f"{name}.output", CONTRIB), halved


def _pool(builder: Builder, hidden: str, mask: str, pooling: str) -> str:
    if pooling == "first":
        return builder.node("Gather", [hidden, builder.constant("pool.first", np.array(0, np.int64))], "pool", axis=1)
    there = builder.node("Cast", [mask], "pool.there", to=TensorProto.FLOAT)
    rows = builder.node("Unsqueeze", [there, builder.integers("sequence.last_axis", 2)], "pool.there_rows")
    kept = builder.node("Mul", [hidden, rows], "pool.kept")
    axis = builder.integers("sequence.axis", 1)
    total = builder.node("ReduceSum", [kept, axis], "pool.total", keepdims=0)
    count = builder.node("ReduceSum", [there, axis], "pool.count", keepdims=1)
    return builder.node("Div", [total, count], "pool.mean")


def _score_tokens(builder: Builder, hidden: str, name: str, epsilon: float) -> None:
    transformed = builder.score(hidden, "token_scores.transform", "token_scores.transformed")
    activated = builder.node("Gelu", [transformed], "token_scores.activated", CONTRIB)
    normed = builder.norm(activated, "token_scores.norm", "token_scores.hidden", epsilon)
    table = builder.constant("token_scores.table", builder.weight(f"embedders.{name}.table.weight").T)
    product = builder.node("MatMul", [normed, table], "token_scores.product")
    bias = builder.constant("token_scores.bias", builder.weight("token_scores.bias"))
    builder.node("Add", [product, bias], OUTPUT)


def _expected(config: Mapping[str, Any], shapes: Mapping[str, Shape], outputs: int) -> Shapes:
    hidden = int(config["hidden_size"])
    tensors: Shapes = {"start": (hidden,)} | bert.layer_shapes(config)
    for name, shape in shapes.items():
        prefix = f"embedders.{name}"
        sizes = [shape.size, *[hidden] * shape.downsamplings]
        for number, size in enumerate(sizes[:-1]):
            tensors |= linear_shape(f"{prefix}.halvings.{number}.linear", hidden, 3 * size)
        if shape.kind == "tokens":
            tensors[f"{prefix}.table.weight"] = (shape.size, hidden)
        else:
            tensors |= linear_shape(f"{prefix}.project", hidden, sizes[-1])
        tensors |= {f"{prefix}.positions.{axis}.weight": (count, hidden) for axis, count in enumerate(shape.axes)}
        tensors |= norm_shape(f"{prefix}.norm", hidden)
    if outputs:
        return tensors | linear_shape("classifier", outputs, hidden)
    (shape,) = shapes.values()
    tensors |= linear_shape("token_scores.transform", hidden, hidden) | norm_shape("token_scores.norm", hidden)
    return tensors | {"token_scores.bias": (shape.size,)}


def _model(builder: Builder, shapes: Mapping[str, Shape], outputs: int) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    inputs = []
    for name, shape in shapes.items():
        rows: list[str | int] = ["batch", f"{name}_frames"]
        if shape.kind == "tokens":
            inputs.append(value(f"{name}.values", TensorProto.INT64, rows))
        else:
            inputs.append(value(f"{name}.values", TensorProto.FLOAT, [*rows, shape.size]))
        inputs.append(value(f"{name}.mask", TensorProto.INT32, rows))
        inputs.append(value(f"{name}.positions", TensorProto.INT64, ["batch", f"{name}_tokens", len(shape.axes)]))
    (first, *_) = shapes.values()
    scored = ["batch", outputs] if outputs else ["batch", "length", first.size]
    return builder.model(inputs, [value(OUTPUT, TensorProto.FLOAT, scored)])

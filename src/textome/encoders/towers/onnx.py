"""The ONNX graph of a model of pairs (encoders.towers.model), built straight from its weights.

Inputs   first.values (A, F) and second.values (B, G) float32; first.index and second.index (N,) int64, the rows that pairs
         are of
Output   scores (N, num_outputs)

In int8 the towers' layers are rounded; the head stays in fp32, since it is small and decides everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import TensorProto, helper

from textome.encoders.graph import (
    CONTRIB,
    Array,
    Builder,
    Precision,
    Shapes,
    compare_shapes,
    linear_shape,
    norm_shape,
)

OUTPUT = "scores"
SIDES = ("first", "second")


def build_pair_graph(tensors: Mapping[str, Array], config: Mapping[str, Any], precision: Precision) -> onnx.ModelProto:
    """The graph from tensors under their names in a checkpoint. Raises ModelError for tensors that do not fit."""
    compare_shapes(tensors, _expected(config))
    builder = Builder(tensors, precision)
    towers = [_tower(builder, number, side, float(config["layer_norm_eps"])) for number, side in enumerate(SIDES)]
    shares = [
        builder.node(
            "Gather", [builder.score(tower, f"head.{side}", f"{side}.share"), f"{side}.index"], f"{side}.shares"
        )
        for tower, side in zip(towers, SIDES, strict=True)
    ]
    joint = builder.node("Gelu", [builder.node("Add", shares, "joint.sum")], "joint.activated", CONTRIB)
    factors = builder.score(towers[0], "head.factors", "factors.all")
    rows = [
        builder.node("Gather", [values, f"{side}.index"], f"{side}.factors")
        for values, side in zip((factors, towers[1]), SIDES, strict=True)
    ]
    product = builder.node("Mul", rows, "product.rows")
    scores = [
        builder.score(joint, "head.joint", "joint.scores"),
        builder.score(product, "head.product", "product.scores"),
    ]
    builder.node("Add", scores, OUTPUT)
    return _model(builder, config)


def _tower(builder: Builder, number: int, side: str, epsilon: float) -> str:
    name = f"encoder.layers.{number}"
    hidden = builder.norm(builder.linear(f"{side}.values", f"{name}.dense"), f"{name}.norm", f"{name}.hidden", epsilon)
    return builder.linear(builder.activate("gelu", hidden, f"{name}.activated"), f"{name}.output")


def _expected(config: Mapping[str, Any]) -> Shapes:
    middle, hidden, joint = (int(config[name]) for name in ("intermediate_size", "hidden_size", "joint_size"))
    outputs = int(config["num_outputs"])
    shapes: Shapes = {}
    for number, size in enumerate(config["input_sizes"]):
        name = f"encoder.layers.{number}"
        shapes |= linear_shape(f"{name}.dense", middle, int(size)) | norm_shape(f"{name}.norm", middle)
        shapes |= linear_shape(f"{name}.output", hidden, middle)
    shapes |= linear_shape("head.first", joint, hidden) | linear_shape("head.second", joint, hidden, bias=False)
    shapes |= linear_shape("head.factors", hidden, hidden, bias=False) | linear_shape("head.joint", outputs, joint)
    return shapes | linear_shape("head.product", outputs, hidden, bias=False)


def _model(builder: Builder, config: Mapping[str, Any]) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    inputs = []
    for side, size in zip(SIDES, config["input_sizes"], strict=True):
        inputs.append(value(f"{side}.values", TensorProto.FLOAT, [f"{side}_things", int(size)]))
        inputs.append(value(f"{side}.index", TensorProto.INT64, ["pairs"]))
    output = value(OUTPUT, TensorProto.FLOAT, ["pairs", int(config["num_outputs"])])
    return builder.model(inputs, [output])

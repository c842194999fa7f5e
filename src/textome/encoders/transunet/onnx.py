"""The ONNX graph of a TransUNet (encoders.transunet.model), built straight from its weights.

Input    image (B, channels, tile, tile) float32
Output   maps (B, num_maps, tile / stride, tile / stride) float32

In int8 the Transformer's layers are rounded; convolutions stay in fp32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from textome.encoders.bert import onnx as bert
from textome.encoders.graph import Array, Builder, Precision, Shapes, compare_shapes, norm_shape
from textome.encoders.transunet import EPSILON, GROUPS, PATCH

INPUT, OUTPUT = "image", "maps"


def build_map_graph(tensors: Mapping[str, Array], config: Mapping[str, Any], precision: Precision) -> onnx.ModelProto:
    """The graph from tensors under their names in a checkpoint. Raises ModelError for tensors that do not fit."""
    compare_shapes(tensors, _expected(config))
    builder = Builder(tensors, precision)
    half_size, stride = int(config["tile"]) // 2, int(config["stride"])
    half, quarter = map(int, config["widths"])
    values = _convolution(builder, INPUT, "halved.0", half, half_size, 2)
    at_half = _convolution(builder, values, "halved.1", half, half_size)
    values = _convolution(builder, at_half, "quartered.0", quarter, half_size // 2, 2)
    at_quarter = _convolution(builder, values, "quartered.1", quarter, half_size // 2)
    values = _doubling(
        builder, _encoded(builder, config, at_quarter), at_quarter, "to_quarter", quarter, half_size // 2
    )
    if stride < 4:
        values = _doubling(builder, values, at_half, "to_half", half, half_size)
    if stride == 1:
        spread = builder.node("Relu", [_spread(builder, values, "head.spread")], "head.spread.activated")
        values = builder.node("Concat", [spread, INPUT], "head.joined", axis=1)
    inner = builder.node("Relu", [_conv(builder, values, "head.convolve", pads=[1, 1, 1, 1])], "head.activated")
    builder.rename(_conv(builder, inner, "head.score"), OUTPUT)
    return _model(builder, config)


def _encoded(builder: Builder, config: Mapping[str, Any], source: str) -> str:
    """The hidden states of the patches of `source`, (B, hidden_size, side, side)."""
    side, size = int(config["tile"]) // PATCH, int(config["hidden_size"])
    patches = _conv(builder, source, "patches", strides=[2, 2])
    flat = builder.node("Reshape", [patches, builder.integers("patches.flat", 0, size, side**2)], "patches.rows")
    tokens = builder.node("Transpose", [flat], "patches.tokens", perm=[2, 0, 1])
    positions = builder.constant("positions.rows", builder.weight("positions")[:, None])
    tokens = builder.node("Add", [tokens, positions], "patches.placed")
    hidden = builder.norm(tokens, "norm", "patches.hidden", float(config["layer_norm_eps"]))
    padding = builder.constant("padding.none", np.zeros((1, 1, 1, 1), np.float32))
    hidden = bert.layers(builder, config, hidden, padding)
    rows = builder.node("Transpose", [hidden], "encoded.rows", perm=[1, 2, 0])
    return builder.node("Reshape", [rows, builder.integers("encoded.shape", 0, size, side, side)], "encoded.grid")


def _conv(builder: Builder, source: str, name: str, kind: str = "Conv", **attributes: Any) -> str:
    inputs = [source, *(builder.constant(f"{name}.{part}", builder.weight(f"{name}.{part}")) for part in _PARTS)]
    return builder.node(kind, inputs, f"{name}.output", **attributes)


def _spread(builder: Builder, source: str, name: str) -> str:
    return _conv(builder, source, name, "ConvTranspose", strides=[2, 2])


def _convolution(builder: Builder, source: str, name: str, channels: int, side: int, stride: int = 1) -> str:
    """model.Convolution: the norm of groups is that of instances whose channels are the groups."""
    values = _conv(builder, source, f"{name}.convolve", strides=[stride, stride], pads=[1, 1, 1, 1])
    groups = builder.node("Reshape", [values, builder.integers("groups.shape", 0, GROUPS, -1)], f"{name}.groups")
    ones = builder.constant("groups.ones", np.ones(GROUPS, np.float32))
    zeros = builder.constant("groups.zeros", np.zeros(GROUPS, np.float32))
    normed = builder.node("InstanceNormalization", [groups, ones, zeros], f"{name}.normed", epsilon=EPSILON)
    shape = builder.integers(f"channels.{channels}.{side}", 0, channels, side, side)
    normed = builder.node("Reshape", [normed, shape], f"{name}.channels")
    for part, kind in zip(_PARTS, ("Mul", "Add"), strict=True):
        factors = builder.constant(f"{name}.norm.{part}", builder.weight(f"{name}.norm.{part}")[:, None, None])
        normed = builder.node(kind, [normed, factors], f"{name}.{kind}")
    return builder.node("Relu", [normed], f"{name}.activated")


def _doubling(builder: Builder, source: str, skipped: str, name: str, channels: int, side: int) -> str:
    joined = builder.node("Concat", [_spread(builder, source, f"{name}.spread"), skipped], f"{name}.joined", axis=1)
    return _convolution(builder, joined, f"{name}.join", channels, side)


_PARTS = ("weight", "bias")


def _expected(config: Mapping[str, Any]) -> Shapes:
    half, quarter = map(int, config["widths"])
    hidden, channels, stride = (int(config[name]) for name in ("hidden_size", "channels", "stride"))
    side = int(config["tile"]) // PATCH
    shapes: Shapes = {"positions": (side**2, hidden)} | norm_shape("norm", hidden) | bert.layer_shapes(config)
    for name, before, after in (
        ("halved.0", channels, half),
        ("halved.1", half, half),
        ("quartered.0", half, quarter),
        ("quartered.1", quarter, quarter),
        ("to_quarter.join", 2 * quarter, quarter),
        *([("to_half.join", 2 * half, half)] if stride < 4 else []),
    ):
        shapes |= _kernel(f"{name}.convolve", after, before, 3) | norm_shape(f"{name}.norm", after)
    shapes |= _kernel("patches", hidden, quarter, 2) | _spreading("to_quarter.spread", hidden, quarter)
    if stride < 4:
        shapes |= _spreading("to_half.spread", quarter, half)
    if stride == 1:
        shapes |= _spreading("head.spread", half, GROUPS)
    inner, before = {1: (2 * GROUPS, GROUPS + channels), 2: (half, half), 4: (quarter, quarter)}[stride]
    return (
        shapes | _kernel("head.convolve", inner, before, 3) | _kernel("head.score", int(config["num_maps"]), inner, 1)
    )


def _kernel(name: str, after: int, before: int, size: int) -> Shapes:
    return {f"{name}.weight": (after, before, size, size), f"{name}.bias": (after,)}


def _spreading(name: str, before: int, after: int) -> Shapes:
    return {f"{name}.weight": (before, after, 2, 2), f"{name}.bias": (after,)}


def _model(builder: Builder, config: Mapping[str, Any]) -> onnx.ModelProto:
    value, tile = helper.make_tensor_value_info, int(config["tile"])
    side = tile // int(config["stride"])
    inputs = [value(INPUT, TensorProto.FLOAT, ["batch", int(config["channels"]), tile, tile])]
    output = value(OUTPUT, TensorProto.FLOAT, ["batch", int(config["num_maps"]), side, side])
    return builder.model(inputs, [output])

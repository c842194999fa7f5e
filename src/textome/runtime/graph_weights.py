"""The weights in an exported graph, back under their Hugging Face names.

A package or a server often has the graph only. What int8 rounded away is lost, the rest is exact: exported again with the
same settings these weights give the same integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from textome.encoders import encoder_of
from textome.encoders.graph import Array, onnx_of
from textome.errors import ModelError
from textome.runtime.graph import expected_shapes
from textome.tasks import HeadShape


def graph_weights(
    path: Path, config: Mapping[str, Any], heads: Mapping[str, HeadShape] | None = None
) -> dict[str, Array]:
    """The float32 tensors of `model.<precision>.onnx`, of the shapes that `config.json` says.

    heads   those of a graph with several, as `Bundle.heads`; empty or None: one of entities, as `config.json` says

    Raises ModelError for a graph that cannot be read, has other heads, or keeps its weights in another form.
    """
    restored = onnx_of(encoder_of(config)).restored
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # onnx raises protobuf's errors, which have no common type of their own
        raise ModelError(f"{path}: the graph cannot be read ({error})") from error
    there = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    tensors: dict[str, Array] = {}
    for name, shape in expected_shapes(config, heads or None).items():
        try:
            values = _tensor(there, name) if name in there else restored(name, shape, there)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if values is None or values.shape != shape:
            raise ModelError(f"{path}: the graph has no {name} of shape {shape}; it is not that of this config.json")
        tensors[name] = np.array(values, np.float32, order="C")
    return tensors


def graph_ranges(path: Path) -> dict[str, tuple[float, float]]:
    """The ranges by which an int8 graph rounds what its linear layers read; see calibration.activation_ranges.

    Given to graph.build_graph they make the same scales and zero points. Empty for a graph that takes those of each batch.
    """
    graph = onnx.load(str(path)).graph
    constants = {item.name: item for item in graph.initializer}
    ranges = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero = (numpy_helper.to_array(constants[name]).item() for name in node.input[1:])
            source = node.input[0].removesuffix(".all").removesuffix(".staying")  # see encoders.early_exit
            ranges[source] = (-zero * scale, (255 - zero) * scale)
    return ranges


def graph_constant(path: Path, name: str) -> Array:
    """A constant of a graph. Raises ModelError where there is none of this name."""
    for item in onnx.load(str(path)).graph.initializer:
        if item.name == name:
            return np.asarray(numpy_helper.to_array(item))
    raise ModelError(f"{path}: the graph has no constant {name}")


def _tensor(there: Mapping[str, Array], name: str) -> Array:
    values, scale = there[name], there.get(f"{name.removesuffix('.weight')}.scale")
    if scale is not None:
        # One scale for each output channel, which is a column of a matrix and a row of an embedding table.
        values = values * scale
    return values if "embeddings" in name or values.ndim == 1 else values.T

"""The weights in an exported graph of an entity model, back under their Hugging Face names.

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


def graph_weights(path: Path, config: Mapping[str, Any]) -> dict[str, Array]:
    """The float32 tensors of `model.<precision>.onnx`, of the shapes that `config.json` says.

    Raises ModelError for a graph that cannot be read, is not one of an entity model, or keeps its weights in another form.
    """
    restored = onnx_of(encoder_of(config)).restored
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # onnx raises protobuf's errors, which have no common type of their own
        raise ModelError(f"{path}: the graph cannot be read ({error})") from error
    there = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    tensors: dict[str, Array] = {}
    for name, shape in expected_shapes(config).items():
        try:
            values = _tensor(there, name) if name in there else restored(name, shape, there)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if values is None or values.shape != shape:
            raise ModelError(f"{path}: the graph has no {name} of shape {shape}; it is not that of an entity model")
        tensors[name] = np.array(values, np.float32, order="C")
    return tensors


def _tensor(there: Mapping[str, Array], name: str) -> Array:
    values, scale = there[name], there.get(f"{name.removesuffix('.weight')}.scale")
    if scale is not None:
        # One scale for each output channel, which is a column of a matrix and a row of an embedding table.
        values = values * scale
    return values if "embeddings" in name or values.ndim == 1 else values.T

"""The weights in an exported graph of a BERT entity model, back under their Hugging Face names.

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

from textome.encoders.graph import Array
from textome.errors import ModelError
from textome.runtime.graph import expected_shapes


def graph_weights(path: Path, config: Mapping[str, Any]) -> dict[str, Array]:
    """The float32 tensors of `model.<precision>.onnx`, of the shapes that `config.json` says.

    The embedding of the first token type is part of the positions in a graph, and comes back as zeros.

    Raises ModelError for a graph that cannot be read or is not one of a BERT entity model.
    """
    if (kind := config.get("model_type", "bert")) != "bert":
        raise ModelError(f"{path}: weights are read back from graphs of BERT only, and this is {kind!r}")
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # onnx raises protobuf's errors, which have no common type of their own
        raise ModelError(f"{path}: the graph cannot be read ({error})") from error
    there = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    found: dict[str, Array] = {}
    for name, shape in expected_shapes(config).items():
        values = _positions(there) if name.endswith("position_embeddings.weight") else _tensor(there, name)
        if values is None and name.endswith("token_type_embeddings.weight"):
            values = np.zeros(shape, np.float32)
        if values is None or values.shape != shape:
            raise ModelError(f"{path}: the graph has no {name} of shape {shape}; it is not that of an entity model")
        found[name] = np.array(values, np.float32, order="C")
    return found


def _tensor(there: Mapping[str, Array], name: str) -> Array | None:
    values, scale = there.get(name), there.get(f"{name.removesuffix('.weight')}.scale")
    if values is None:
        return None
    embedding = "embeddings" in name
    if scale is not None:
        # One scale for each output channel, which is a column of a matrix and a row of an embedding table.
        values = values * scale
    return values if embedding or values.ndim == 1 else values.T


def _positions(there: Mapping[str, Array]) -> Array | None:
    values = there.get("bert.embeddings.positions")
    return None if values is None else values[:, 0]

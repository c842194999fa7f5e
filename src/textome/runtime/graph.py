"""The ONNX graph of an encoder with its heads, built straight from its weights: no PyTorch and no tracing.

Inputs   input_ids (B, S) int64, attention_mask (B, S) int32 (1 for tokens, 0 for padding)
Output   logits (B, S, num_labels) float32 of a token classifier

Without any head the output is hidden_states (B, S, hidden_size).

With heads for several tasks there is one more input, token_type_ids (B, S) int64, and the outputs have the tasks' names:
(B, S, num_labels) of a head over tokens, (B, num_labels) of one over [CLS], and (B, M, num_labels) of one over several
joined states, whose places in M rows are the input TASK.places (B, M, states) int64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from textome.encoders.bert import onnx as bert
from textome.encoders.deberta import onnx as deberta
from textome.encoders.graph import (
    CONTRIB,
    OPSET,
    Array,
    Builder,
    Precision,
    Shapes,
    activation_of,
    compare_shapes,
    linear_shape,
    quantise_rows,
)
from textome.errors import ModelError
from textome.runtime.states import ONLY_STATES

__all__ = ["HeadShape", "Precision", "build_graph", "check_tensors", "expected_shapes", "quantise_rows"]


@dataclass(frozen=True, slots=True)
class _Encoder:
    """How an architecture is exported: its nodes, its tensors, and the name of its layer over [CLS]."""

    encode: Callable[[Builder, Mapping[str, Any], bool], str]
    shapes: Callable[[Mapping[str, Any]], Shapes]
    pooler: str


_ENCODERS = {
    "bert": _Encoder(bert.encode, bert.shapes, "bert.pooler.dense"),
    "deberta-v2": _Encoder(deberta.encode, deberta.shapes, "pooler.dense"),
}


@dataclass(frozen=True, slots=True)
class HeadShape:
    """A task's head: `states` joined hidden states (0 for a head over each token) and its number of labels."""

    states: int
    num_labels: int


def build_graph(
    tensors: Mapping[str, Array],
    config: Mapping[str, Any],
    precision: Precision,
    heads: Mapping[str, HeadShape] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> onnx.ModelProto:
    """The graph from tensors under their Hugging Face names (`bert.…`, `classifier.…`) and a parsed `config.json`.

    heads    of a model with tasks by name (encoders.heads.TaskModel); None for a token classifier, {} for the encoder alone
    ranges   of what is rounded in int8, from calibration.activation_ranges; without, the range of each batch is taken

    Raises ModelError for an architecture or activation that cannot be exported, and for tensors that do not fit (see
    check_tensors).
    """
    encoder = _encoder(config)
    activation_of(config)
    check_tensors(tensors, config, heads)
    builder = Builder(tensors, precision, ranges or {})
    hidden = encoder.encode(builder, config, bool(heads))
    if heads is not None and not heads:
        builder.node("Transpose", [hidden], ONLY_STATES.name, perm=[1, 0, 2])
        return _model(builder, {ONLY_STATES.name: HeadShape(0, int(config["hidden_size"]))}, pairs=False)
    if heads is not None:
        _score_tasks(builder, hidden, heads, encoder)
        return _model(builder, heads)
    builder.score(hidden, "classifier", "classifier.output")
    builder.node("Transpose", ["classifier.output"], "logits", perm=[1, 0, 2])
    return _model(builder, {"logits": HeadShape(0, len(tensors["classifier.bias"]))}, pairs=False)


def _encoder(config: Mapping[str, Any]) -> _Encoder:
    if (kind := config.get("model_type", "bert")) not in _ENCODERS:
        raise ModelError(f"the architecture is {kind!r}; only {', '.join(_ENCODERS)} can be exported")
    return _ENCODERS[kind]


def _score_tasks(builder: Builder, hidden: str, heads: Mapping[str, HeadShape], encoder: _Encoder) -> None:
    """The heads of all tasks over hidden states (S, B, hidden_size)."""
    rows = builder.node("Transpose", [hidden], "encoder.hidden_states", perm=[1, 0, 2])
    for task, head in heads.items():
        dense, classifier = head_names(task, heads, encoder)
        if not head.states:
            builder.score(rows, classifier, task)
            continue
        if head.states == 1:
            zero = builder.constant(f"{task}.first", np.array(0, np.int64))
            joined = builder.node("Gather", [rows, zero], f"{task}.states", axis=1)
        else:
            axes = builder.constant(f"{task}.axes", np.array([3], np.int64))
            places = builder.node("Unsqueeze", [f"{task}.places", axes], f"{task}.indices")
            states = builder.node("GatherND", [rows, places], f"{task}.states", batch_dims=1)
            shape = builder.constant(f"{task}.shape", np.array([0, 0, -1], np.int64))
            joined = builder.node("Reshape", [states, shape], f"{task}.joined")
        pooled = builder.node("Tanh", [builder.score(joined, dense, f"{task}.dense")], f"{task}.pooled")
        builder.score(pooled, classifier, task)


def head_names(task: str, heads: Mapping[str, HeadShape], encoder: _Encoder) -> tuple[str, str]:
    """The names of a head's layers in a checkpoint: `transformers`' own where the head is the only one, see models."""
    if len(heads) == 1 and heads[task].states <= 1:
        return encoder.pooler, "classifier"
    return f"heads.{task}.dense", f"heads.{task}.classifier"


def expected_shapes(config: Mapping[str, Any], heads: Mapping[str, HeadShape] | None = None) -> Shapes:
    """The Hugging Face names of the tensors of a token classifier, or of a model with these heads, and their shapes."""
    encoder, hidden = _encoder(config), int(config["hidden_size"])
    found = encoder.shapes(config)
    if heads is None:
        found |= linear_shape("classifier", len(config.get("id2label", {})), hidden)
    for task, head in (heads or {}).items():
        dense, classifier = head_names(task, heads or {}, encoder)
        found |= linear_shape(classifier, head.num_labels, hidden)
        if head.states:
            found |= linear_shape(dense, hidden, head.states * hidden)
    return found


def check_tensors(
    tensors: Mapping[str, Array], config: Mapping[str, Any], heads: Mapping[str, HeadShape] | None = None
) -> None:
    """Raises ModelError that names every tensor that is missing, left over, or of another shape."""
    compare_shapes(tensors, expected_shapes(config, heads))


def _model(builder: Builder, heads: Mapping[str, HeadShape], pairs: bool = True) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    inputs = [
        value("input_ids", TensorProto.INT64, ["batch", "length"]),
        value("attention_mask", TensorProto.INT32, ["batch", "length"]),
    ]
    if pairs:
        inputs.append(value("token_type_ids", TensorProto.INT64, ["batch", "length"]))
    outputs = []
    for task, head in heads.items():
        if head.states > 1:
            inputs.append(value(f"{task}.places", TensorProto.INT64, ["batch", f"{task}.rows", head.states]))
        middle = [] if head.states == 1 else [f"{task}.rows" if head.states else "length"]
        shape = ["batch", *middle, head.num_labels]
        outputs.append(value(task, TensorProto.FLOAT, shape))
    graph = helper.make_graph(builder.nodes, "textome", inputs, outputs, builder.weights)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="textome")

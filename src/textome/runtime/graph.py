"""The ONNX graph of an encoder with its heads, built straight from its weights: no PyTorch and no tracing.

Inputs   input_ids (B, S) int64, attention_mask (B, S) int32 (1 for tokens, 0 for padding)
Output   logits (B, S, num_labels) float32 of a token classifier

Without any head the output is hidden_states (B, S, hidden_size).

With heads for several tasks there is one more input, token_type_ids (B, S) int64, and the outputs have the tasks' names:
(B, S, num_labels) of a head over tokens, (B, num_labels) of one over [CLS], and (B, M, num_labels) of one over several
joined states, whose places in M rows are the input TASK.places (B, M, states) int64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from textome.encoders import EXIT_THRESHOLD, Encoder, HeadLayer, encoder_of, num_joined
from textome.encoders.early_exit import EarlyExit, exit_module_of, give_back, outside_scores
from textome.encoders.graph import (
    Array,
    Builder,
    Precision,
    Shapes,
    compare_shapes,
    head_nodes,
    head_shapes,
    linear_shape,
    onnx_of,
    quantise_rows,
)
from textome.errors import ModelError
from textome.runtime.hidden_states import ONLY_HIDDEN_STATES
from textome.tasks import HeadShape

__all__ = ["Precision", "build_graph", "check_tensors", "expected_shapes", "quantise_rows"]


def build_graph(
    tensors: Mapping[str, Array],
    config: Mapping[str, Any],
    precision: Precision,
    heads: Mapping[str, HeadShape] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    early_exit: EarlyExit | None = None,
) -> onnx.ModelProto:
    """The graph from tensors under their Hugging Face names (`bert.…`, `classifier.…`) and a parsed `config.json`.

    heads    of a model with tasks by name (encoders.heads.TaskModel); None for a token classifier, {} for the encoder alone
    ranges   of what is rounded in int8, from calibration.activation_ranges; without, the range of each batch is taken
    early_exit   of a token classifier, where tokens leave

    Raises ModelError for an architecture or activation that cannot be exported, and for tensors that do not fit (see
    check_tensors).
    """
    encoder = _encoder(config)
    layer = encoder.head_layer(config)
    if early_exit is not None:
        _check_exit(encoder, config, early_exit, alone=heads is None, rounded=precision == "int8" and not ranges)
    check_tensors(tensors, config, heads)
    builder = Builder(tensors, precision, ranges or {})
    if early_exit is not None:
        return _with_exit(builder, encoder, config, early_exit)
    hidden = onnx_of(encoder).encode(builder, config, bool(heads))
    if heads is not None and not heads:
        builder.node("Transpose", [hidden], ONLY_HIDDEN_STATES.name, perm=[1, 0, 2])
        return _model(builder, {ONLY_HIDDEN_STATES.name: HeadShape(int(config["hidden_size"]), 0)}, pairs=False)
    if heads is not None:
        _score_tasks(builder, hidden, heads, layer)
        return _model(builder, heads)
    if layer.over_tokens:
        hidden = head_nodes(builder, hidden, layer, "head")
    builder.score(hidden, "classifier", "classifier.output")
    builder.node("Transpose", ["classifier.output"], "logits", perm=[1, 0, 2])
    return _model(builder, {"logits": HeadShape(len(tensors["classifier.bias"]), 0)}, pairs=False)


def _check_exit(encoder: Encoder, config: Mapping[str, Any], early_exit: EarlyExit, alone: bool, rounded: bool) -> None:
    """alone     whether entities are the only task
    rounded   whether numbers are rounded by the ranges of each batch"""
    if not alone or not encoder.early_exit:
        raise ModelError("tokens can leave early only in BERT models for entities alone; leave early_exit out")
    if not 0 < early_exit.depth < int(config["num_hidden_layers"]):
        raise ModelError(f"tokens cannot leave after layer {early_exit.depth} of {config['num_hidden_layers']}")
    if rounded:
        raise ModelError("tokens can leave an int8 graph only where the ranges of its activations are fixed")


def _with_exit(builder: Builder, encoder: Encoder, config: Mapping[str, Any], early_exit: EarlyExit) -> onnx.ModelProto:
    hidden, staying = exit_module_of(encoder).encode_with_exit(builder, config, early_exit)
    # With an axis more the product is the one of graphs without exit: one of matrices alone adds the bias in another order.
    rows = builder.node("Unsqueeze", [staying.hidden, builder.number(1)], "classifier.rows")
    scores = builder.score(rows, "classifier", "classifier.staying_rows")
    scores = builder.node("Squeeze", [scores, builder.number(1)], "classifier.staying")
    others = outside_scores(builder, early_exit, hidden)
    output = give_back(builder, scores, staying, others, "classifier.output")
    builder.node("Transpose", [output], "logits", perm=[1, 0, 2])
    return _model(builder, {"logits": HeadShape(len(early_exit.outside), 0)}, pairs=False, fed=(EXIT_THRESHOLD,))


def _encoder(config: Mapping[str, Any]) -> Encoder:
    try:
        return encoder_of(config)
    except ValueError as error:
        raise ModelError(str(error)) from error


def _score_tasks(builder: Builder, hidden: str, heads: Mapping[str, HeadShape], layer: HeadLayer) -> None:
    """The heads of all tasks over hidden states (S, B, hidden_size)."""
    rows = builder.node("Transpose", [hidden], "encoder.hidden_states", perm=[1, 0, 2])
    for task, head in heads.items():
        own = layer.of(task, len(heads), head.num_pooled_positions)
        if not head.num_pooled_positions:
            source = head_nodes(builder, rows, own, task) if own.over_tokens else rows
            if head.recurrent:
                source = _both_ways(builder, hidden, _lstm(own), head.recurrent, task)
            builder.score(source, own.classifier, task)
            continue
        if head.num_pooled_positions == 1:
            zero = builder.constant(f"{task}.first", np.array(0, np.int64))
            joined = builder.node("Gather", [rows, zero], f"{task}.states", axis=1)
        else:
            axes = builder.constant(f"{task}.axes", np.array([3], np.int64))
            indices = builder.node("Unsqueeze", [f"{task}.places", axes], f"{task}.indices")
            states = builder.node("GatherND", [rows, indices], f"{task}.states", batch_dims=1)
            if head.groups:
                states = _maxima(builder, states, head, task)
            shape = builder.constant(f"{task}.shape", np.array([0, 0, -1], np.int64))
            joined = builder.node("Reshape", [states, shape], f"{task}.joined")
        builder.score(head_nodes(builder, joined, own, task), own.classifier, task)


def _lstm(layer: HeadLayer) -> str:
    """The name of a head's LSTM beside that of its last layer."""
    return layer.classifier.removesuffix("classifier") + "lstm"


def _both_ways(builder: Builder, hidden: str, name: str, units: int, task: str) -> str:
    """The outputs (B, S, 2 units) of an LSTM that reads hidden states (S, B, hidden_size) in both directions.

    PyTorch orders the gates input, forget, cell, output, and ONNX input, output, forget, cell.
    """
    tensors = {}
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        both = [builder.weight(f"{name}.{kind}_l0{way}") for way in ("", "_reverse")]
        gates = [np.split(values, 4) for values in both]
        tensors[kind] = np.stack([np.concatenate([gate[number] for number in (0, 3, 1, 2)]) for gate in gates])
    bias = np.concatenate([tensors["bias_ih"], tensors["bias_hh"]], axis=1)
    axis = builder.integers(f"{task}.lengths.axis", 1)
    lengths = builder.node("ReduceSum", ["attention_mask", axis], f"{task}.lengths", keepdims=0)
    inputs = [
        hidden,
        builder.constant(f"{name}.weight_ih", tensors["weight_ih"]),
        builder.constant(f"{name}.weight_hh", tensors["weight_hh"]),
        builder.constant(f"{name}.bias", bias),
        lengths,
    ]
    states = builder.node("LSTM", inputs, f"{task}.lstm", direction="bidirectional", hidden_size=units)
    rows = builder.node("Transpose", [states], f"{task}.lstm.rows", perm=[2, 0, 1, 3])
    shape = builder.constant(f"{task}.lstm.shape", np.array([0, 0, -1], np.int64))
    return builder.node("Reshape", [rows, shape], f"{task}.lstm.joined")


def _maxima(builder: Builder, states: str, head: HeadShape, task: str) -> str:
    """(B, M, num_joined, hidden_size) of all positions (B, M, states, hidden_size): see encoders.heads.Head."""
    sizes = [head.num_pooled_positions - sum(head.groups), *head.groups]
    names = [f"{task}.group.{number}" for number in range(len(sizes))]
    split = builder.constant(f"{task}.sizes", np.array(sizes, np.int64))
    builder.nodes.append(helper.make_node("Split", [states, split], names, name=f"{task}.groups", axis=2))
    maxima = [builder.node("ReduceMax", [name], f"{name}.maximum", axes=[2], keepdims=1) for name in names[1:]]
    product = builder.node("Mul", maxima[:2], f"{task}.group.product")
    return builder.node("Concat", [names[0], *maxima, product], f"{task}.pooled_groups", axis=2)


def expected_shapes(config: Mapping[str, Any], heads: Mapping[str, HeadShape] | None = None) -> Shapes:
    """The Hugging Face names of the tensors of a token classifier, or of a model with these heads, and their shapes."""
    encoder, hidden = _encoder(config), int(config["hidden_size"])
    shapes, layer = onnx_of(encoder).shapes(config), encoder.head_layer(config)
    if heads is None:
        heads = {"": HeadShape(len(config.get("id2label", {})), 0)}
    for task, head in heads.items():
        own = layer.of(task, len(heads), head.num_pooled_positions)
        shapes |= linear_shape(own.classifier, head.num_labels, 2 * head.recurrent or hidden)
        for way in ("", "_reverse") if head.recurrent else ():
            for kind, size in (("ih", hidden), ("hh", head.recurrent)):
                shapes[f"{_lstm(own)}.weight_{kind}_l0{way}"] = (4 * head.recurrent, size)
                shapes[f"{_lstm(own)}.bias_{kind}_l0{way}"] = (4 * head.recurrent,)
        if head.num_pooled_positions or own.over_tokens:
            shapes |= head_shapes(own, num_joined(max(1, head.num_pooled_positions), head.groups), hidden)
    return shapes


def check_tensors(
    tensors: Mapping[str, Array], config: Mapping[str, Any], heads: Mapping[str, HeadShape] | None = None
) -> None:
    """Raises ModelError that names every tensor that is missing, left over, or of another shape."""
    compare_shapes(tensors, expected_shapes(config, heads))


def _model(
    builder: Builder, heads: Mapping[str, HeadShape], pairs: bool = True, fed: Sequence[str] = ()
) -> onnx.ModelProto:
    """fed   constants that a caller may replace"""
    value = helper.make_tensor_value_info
    inputs = [
        value("input_ids", TensorProto.INT64, ["batch", "length"]),
        value("attention_mask", TensorProto.INT32, ["batch", "length"]),
    ]
    if pairs:
        inputs.append(value("token_type_ids", TensorProto.INT64, ["batch", "length"]))
    inputs += [value(item.name, item.data_type, list(item.dims)) for item in builder.weights if item.name in fed]
    outputs = []
    for task, head in heads.items():
        if head.num_pooled_positions > 1:
            inputs.append(
                value(f"{task}.places", TensorProto.INT64, ["batch", f"{task}.rows", head.num_pooled_positions])
            )
        middle = [] if head.num_pooled_positions == 1 else [f"{task}.rows" if head.num_pooled_positions else "length"]
        shape = ["batch", *middle, head.num_labels]
        outputs.append(value(task, TensorProto.FLOAT, shape))
    return builder.model(inputs, outputs)

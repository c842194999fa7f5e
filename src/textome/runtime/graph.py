"""The ONNX graph of a BERT encoder with its heads, built straight from its weights: no PyTorch and no tracing.

Inputs   input_ids (B, S) int64, attention_mask (B, S) int32 (1 for tokens, 0 for padding)
Output   logits (B, S, num_labels) float32 of a token classifier

With heads for several tasks there is one more input, token_type_ids (B, S) int64, and the outputs have the tasks' names:
(B, S, num_labels) of a head over tokens, (B, num_labels) of one over joined states, which for more states than that of
[CLS] reads their places from the input TASK.places (B, states) int64.

Inside, hidden states run time first, (S, B, hidden_size): seen as (S, B, heads, size) they enter the products of
attention as they lie, without a transposition. Residual + norm, and GELU, are the plain operators behind a linear layer
that adds its own bias: measured with ONNX Runtime 1.32 on one x86 core, the fused SkipLayerNormalization takes five times
as long as addition and norm, BiasGelu half as long again as Gelu, and MultiHeadAttention gains nothing.

In int8, weights are symmetric with a scale for each output channel, and activations are quantised on the fly to unsigned
8 bits, once for all layers that read them: unsigned times signed is the product that processors have instructions for.
Embeddings are int8 with a scale for each row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from textome.errors import ModelError

Precision = Literal["fp32", "int8"]
Array = NDArray[Any]
OPSET, CONTRIB = 17, "com.microsoft"
_GELU = {"gelu": "Gelu", "gelu_new": "FastGelu", "gelu_pytorch_tanh": "FastGelu"}
# Taken from the scores of padding before the softmax, so that nothing of it is left in float32.
_PADDING_SCORE = 1e4


@dataclass
class _Builder:
    """Collects nodes and weights; every method returns the name of its output."""

    precision: Precision
    weight_bits: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    quantised: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def constant(self, name: str, value: Array) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def linear(self, source: str, name: str, weight: Array, bias: Array) -> str:
        """`source @ weight.T + bias` for a weight (out, in)."""
        if self.precision == "fp32":
            product = self.node("MatMul", [source, self.constant(f"{name}.weight", weight.T)], f"{name}.product")
            return self.node("Add", [product, self.constant(f"{name}.bias", bias)], f"{name}.output")
        rows, row_scale, row_zero = self.quantise(source)
        values, scales = quantise_rows(weight, self.weight_bits)
        inputs = [
            rows,
            self.constant(f"{name}.weight", values.T),
            row_scale,
            self.constant(f"{name}.scale", scales),
            row_zero,
            self.constant(f"{name}.zero", np.zeros_like(scales, np.int8)),
            self.constant(f"{name}.bias", bias),
        ]
        return self.node("MatMulIntegerToFloat", inputs, f"{name}.output", CONTRIB)

    def quantise(self, source: str) -> tuple[str, str, str]:
        """`source` in unsigned 8 bits with its scale and zero point; the same for every layer that reads it."""
        if source not in self.quantised:
            names = (f"{source}.uint8", f"{source}.scale", f"{source}.zero")
            self.nodes.append(helper.make_node("DynamicQuantizeLinear", [source], names, name=names[0]))
            self.quantised[source] = names
        return self.quantised[source]

    def lookup(self, ids: str, name: str, table: Array) -> str:
        """Rows of an embedding table (rows, hidden_size)."""
        if self.precision == "fp32":
            return self.node("Gather", [self.constant(f"{name}.weight", table), ids], f"{name}.output")
        values, scales = quantise_rows(table, 8)
        rows = self.node("Gather", [self.constant(f"{name}.weight", values), ids], f"{name}.rows")
        floats = self.node("Cast", [rows], f"{name}.floats", to=TensorProto.FLOAT)
        scale = self.node("Gather", [self.constant(f"{name}.scale", scales[:, None]), ids], f"{name}.scales")
        return self.node("Mul", [floats, scale], f"{name}.output")


def quantise_rows(matrix: Array, bits: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 values and a scale for each row of `matrix`: `matrix` is about `values * scales[:, None]`.

    bits   8 uses -127..127; 7 uses -63..63, which cannot overflow the 16-bit sums of x86 processors without VNNI
    """
    limit = 2 ** (bits - 1) - 1
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-12) / limit
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales.astype(np.float32)


@dataclass(frozen=True, slots=True)
class HeadShape:
    """A task's head: `states` joined hidden states (0 for a head over each token) and its number of labels."""

    states: int
    num_labels: int


def build_graph(
    tensors: Mapping[str, Array],
    config: Mapping[str, Any],
    precision: Precision,
    weight_bits: int = 8,
    heads: Mapping[str, HeadShape] | None = None,
) -> onnx.ModelProto:
    """The graph from tensors under their Hugging Face names (`bert.…`, `classifier.…`) and a parsed `config.json`.

    heads   of a model with tasks by name (models.heads.TaskModel); None for a token classifier

    Raises ModelError for an activation that has no operator here, and for tensors that do not fit (see check_tensors).
    """
    act = config.get("hidden_act", "gelu")
    if act not in _GELU:
        raise ModelError(f"hidden_act {act!r} cannot be exported; only {', '.join(_GELU)}")
    attention_heads, epsilon = int(config["num_attention_heads"]), float(config.get("layer_norm_eps", 1e-12))
    builder = _Builder(precision, weight_bits)
    check_tensors(tensors, config, heads)

    def weight(name: str) -> Array:
        return np.asarray(tensors[name], np.float32)

    def norm(name: str) -> list[str]:
        return [builder.constant(f"{name}.{kind}", weight(f"{name}.{kind}")) for kind in ("weight", "bias")]

    def linear(source: str, name: str) -> str:
        return builder.linear(source, name, weight(f"{name}.weight"), weight(f"{name}.bias"))

    def residual(source: str, hidden: str, name: str) -> str:
        total = builder.node("Add", [linear(source, f"{name}.dense"), hidden], f"{name}.total")
        return builder.node(
            "LayerNormalization", [total, *norm(f"{name}.LayerNorm")], f"{name}.hidden", epsilon=epsilon
        )

    hidden = _embed(builder, weight, norm, epsilon, pairs=heads is not None)
    padding = _padding_scores(builder)
    head_size = int(config["hidden_size"]) // attention_heads
    by_head = builder.constant("by_head", np.array([0, 0, attention_heads, head_size], np.int64))
    joined = builder.constant("joined", np.array([0, 0, attention_heads * head_size], np.int64))
    for number in range(int(config["num_hidden_layers"])):
        name = f"bert.encoder.layer.{number}"
        query, key, value = (
            builder.node(
                "Reshape",
                [linear(hidden, f"{name}.attention.self.{part}"), by_head],
                f"{name}.attention.self.{part}.heads",
            )
            for part in ("query", "key", "value")
        )
        context = _attend(builder, query, key, value, padding, f"{name}.attention", head_size)
        context = builder.node("Reshape", [context, joined], f"{name}.attention.context")
        hidden = residual(context, hidden, f"{name}.attention.output")
        expanded = linear(hidden, f"{name}.intermediate.dense")
        activated = builder.node(_GELU[act], [expanded], f"{name}.intermediate.activated", CONTRIB)
        hidden = residual(activated, hidden, f"{name}.output")

    if heads is not None:
        _score_tasks(builder, hidden, weight, heads)
        return _model(builder, heads)
    _score(builder, hidden, weight, "classifier", "classifier.output")
    builder.node("Transpose", ["classifier.output"], "logits", perm=[1, 0, 2])
    return _model(builder, {"logits": HeadShape(0, len(tensors["classifier.bias"]))}, pairs=False)


def _score(builder: _Builder, source: str, weight: Any, name: str, output: str) -> str:
    """A linear layer in fp32 whatever the precision: the last ones are tiny and decide everything."""
    matrix = builder.constant(f"{name}.weight", weight(f"{name}.weight").T)
    product = builder.node("MatMul", [source, matrix], f"{name}.product")
    return builder.node("Add", [product, builder.constant(f"{name}.bias", weight(f"{name}.bias"))], output)


def _score_tasks(builder: _Builder, hidden: str, weight: Any, heads: Mapping[str, HeadShape]) -> None:
    """The heads of all tasks over hidden states (S, B, hidden_size)."""
    rows = builder.node("Transpose", [hidden], "hidden_states", perm=[1, 0, 2])
    for task, head in heads.items():
        dense, classifier = head_names(task, heads)
        if not head.states:
            _score(builder, rows, weight, classifier, task)
            continue
        if head.states == 1:
            zero = builder.constant(f"{task}.first", np.array(0, np.int64))
            joined = builder.node("Gather", [rows, zero], f"{task}.states", axis=1)
        else:
            axes = builder.constant(f"{task}.axes", np.array([2], np.int64))
            places = builder.node("Unsqueeze", [f"{task}.places", axes], f"{task}.indices")
            states = builder.node("GatherND", [rows, places], f"{task}.states", batch_dims=1)
            shape = builder.constant(f"{task}.shape", np.array([0, -1], np.int64))
            joined = builder.node("Reshape", [states, shape], f"{task}.joined")
        pooled = builder.node("Tanh", [_score(builder, joined, weight, dense, f"{task}.dense")], f"{task}.pooled")
        _score(builder, pooled, weight, classifier, task)


def head_names(task: str, heads: Mapping[str, HeadShape]) -> tuple[str, str]:
    """The names of a head's layers in a checkpoint: `transformers`' own where the head is the only one, see models."""
    if len(heads) == 1 and heads[task].states <= 1:
        return "bert.pooler.dense", "classifier"
    return f"heads.{task}.dense", f"heads.{task}.classifier"


def expected_shapes(
    config: Mapping[str, Any], heads: Mapping[str, HeadShape] | None = None
) -> dict[str, tuple[int, ...]]:
    """The Hugging Face names of the tensors of a BERT token classifier, or one with these heads, and their shapes."""
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str) -> None:
        shapes.update({f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)})

    def linear(name: str, rows: int, columns: int) -> None:
        shapes.update({f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)})

    if heads is None:
        linear("classifier", len(config.get("id2label", {})), hidden)
    for task, head in (heads or {}).items():
        dense, classifier = head_names(task, heads or {})
        linear(classifier, head.num_labels, hidden)
        if head.states:
            linear(dense, hidden, head.states * hidden)
    for kind, rows in (
        ("word", "vocab_size"),
        ("position", "max_position_embeddings"),
        ("token_type", "type_vocab_size"),
    ):
        shapes[f"bert.embeddings.{kind}_embeddings.weight"] = (int(config[rows]), hidden)
    norm("bert.embeddings.LayerNorm")
    for number in range(int(config["num_hidden_layers"])):
        name = f"bert.encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{name}.attention.{part}", hidden, hidden)
        linear(f"{name}.intermediate.dense", inner, hidden)
        linear(f"{name}.output.dense", hidden, inner)
        norm(f"{name}.attention.output.LayerNorm")
        norm(f"{name}.output.LayerNorm")
    return shapes


def check_tensors(
    tensors: Mapping[str, Array], config: Mapping[str, Any], heads: Mapping[str, HeadShape] | None = None
) -> None:
    """Raises ModelError that names every tensor that is missing, left over, or of another shape."""
    expected = expected_shapes(config, heads)
    problems = [f"missing: {name}" for name in expected if name not in tensors]
    problems += [f"not part of the model: {name}" for name in tensors if name not in expected]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, expected {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    if problems:
        more = f" and {len(problems) - 6} more" if len(problems) > 6 else ""
        raise ModelError(f"the weights do not fit config.json ({'; '.join(problems[:6])}{more})")


def _embed(builder: _Builder, weight: Any, norm: Any, epsilon: float, pairs: bool) -> str:
    name = "bert.embeddings"
    ids = builder.node("Transpose", ["input_ids"], f"{name}.ids", perm=[1, 0])
    words = builder.lookup(ids, f"{name}.word_embeddings", weight(f"{name}.word_embeddings.weight"))
    positions, types = weight(f"{name}.position_embeddings.weight"), weight(f"{name}.token_type_embeddings.weight")
    if pairs:
        kinds = builder.node("Transpose", ["token_type_ids"], f"{name}.kinds", perm=[1, 0])
        kinds = builder.node("Gather", [builder.constant(f"{name}.types", types), kinds], f"{name}.type_rows")
        words = builder.node("Add", [words, kinds], f"{name}.words_and_types")
    else:
        # Every token is of the first type, so its embedding is added to the positions once and for all.
        positions = positions + types[0]
    shape = builder.node("Shape", ["input_ids"], f"{name}.length", start=1, end=2)
    zero, axis = (builder.constant(f"{name}.{key}", np.array([0], np.int64)) for key in ("zero", "axis"))
    rows = builder.node(
        "Slice", [builder.constant(f"{name}.positions", positions[:, None]), zero, shape, axis], f"{name}.position_rows"
    )
    total = builder.node("Add", [words, rows], f"{name}.total")
    return builder.node("LayerNormalization", [total, *norm(f"{name}.LayerNorm")], f"{name}.hidden", epsilon=epsilon)


def _padding_scores(builder: _Builder) -> str:
    """What is added to the scores of attention, (B, 1, 1, S): 0 for tokens, `-_PADDING_SCORE` for padding."""
    axes, one, scale = (
        builder.constant(f"padding.{name}", value)
        for name, value in (
            ("axes", np.array([1, 2], np.int64)),
            ("one", np.array(1, np.float32)),
            ("score", np.array(_PADDING_SCORE, np.float32)),
        )
    )
    mask = builder.node("Cast", ["attention_mask"], "padding.mask", to=TensorProto.FLOAT)
    mask = builder.node("Sub", [mask, one], "padding.negative")
    mask = builder.node("Mul", [mask, scale], "padding.scores")
    return builder.node("Unsqueeze", [mask, axes], "padding")


def _attend(builder: _Builder, query: str, key: str, value: str, padding: str, name: str, head_size: int) -> str:
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1) of (S, B, heads, size); the result is alike.

    `transBatch` of FusedMatMul takes the first axis of an operand as the rows of each (B, heads) product.
    """
    scores = builder.node(
        "FusedMatMul",
        [query, key],
        f"{name}.products",
        CONTRIB,
        transBatchA=1,
        transBatchB=1,
        transB=1,
        alpha=head_size**-0.5,
    )
    scores = builder.node("Add", [scores, padding], f"{name}.scores")
    shares = builder.node("Softmax", [scores], f"{name}.shares", axis=-1)
    mixed = builder.node("FusedMatMul", [shares, value], f"{name}.mixed", CONTRIB, transBatchB=1)
    return builder.node("Transpose", [mixed], f"{name}.by_token", perm=[2, 0, 1, 3])


def _model(builder: _Builder, heads: Mapping[str, HeadShape], pairs: bool = True) -> onnx.ModelProto:
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
            inputs.append(value(f"{task}.places", TensorProto.INT64, ["batch", head.states]))
        shape = ["batch", head.num_labels] if head.states else ["batch", "length", head.num_labels]
        outputs.append(value(task, TensorProto.FLOAT, shape))
    graph = helper.make_graph(builder.nodes, "textome", inputs, outputs, builder.weights)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="textome")

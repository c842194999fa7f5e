"""The nodes and weights of an ONNX graph while it is built: in fp32, with weights in bf16, or in int8.

In int8, weights are symmetric with a scale for each output channel, and activations are quantised to unsigned 8 bits, once
for all layers that read them: unsigned times signed is the product that processors have instructions for. They are rounded
by ranges that are given, or by that of each batch where none is. Embeddings are int8 with a scale for each row.

In bf16, matrices and tables are kept in 16 bits and computed with in 32, since ONNX Runtime has no products of bf16 on most
processors: half the file, and the speed of fp32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, Protocol, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from textome.encoders import Encoder, HeadLayer
from textome.errors import ModelError

Precision = Literal["fp32", "bf16", "int8"]
Array = NDArray[Any]
Shapes = dict[str, tuple[int, ...]]
CONTRIB = "com.microsoft"
OPSET = 17
# Processors without VNNI add two products of 8 bits in 16, which overflow unnoticed where weights have 8 bits. With 7 bits
# they cannot, on any processor, and the bundled model loses no F1; so there is no choice. Tables are only looked up.
WEIGHT_BITS = 7
EMBEDDING_BITS = 8
# The operators of activations, with their domains and attributes. x sigmoid(alpha x) with alpha = 1 is SiLU, or swish.
_ACTIVATIONS: dict[str, tuple[str, str, dict[str, float]]] = {
    "gelu": ("Gelu", CONTRIB, {}),
    "gelu_new": ("FastGelu", CONTRIB, {}),
    "gelu_pytorch_tanh": ("FastGelu", CONTRIB, {}),
    "relu": ("Relu", "", {}),
    "silu": ("QuickGelu", CONTRIB, {"alpha": 1.0}),
    "swish": ("QuickGelu", CONTRIB, {"alpha": 1.0}),
    "tanh": ("Tanh", "", {}),
}
# Taken from the scores of padding before the softmax, so that nothing of it is left in float32.
PADDING_SCORE = 1e4


@dataclass
class Builder:
    """Collects nodes and weights; every method returns the name of its output.

    Names inside a graph have a dot, so that they never are a task's.

    tensors   the model's weights under their Hugging Face names
    ranges    of int8, the least and the greatest value of what linear layers read, by its name; see calibration.py
    """

    tensors: Mapping[str, Array]
    precision: Precision
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    quantised: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)

    def constant(self, name: str, value: Array, half: bool = False) -> str:
        """A weight; one that is there by this name already is taken again.

        half   it is kept in bf16 where that is the precision, and a Cast must make floats of it
        """
        if name not in self.added:
            self.added.add(name)
            array = np.asarray(value, order="C")
            if half and self.precision == "bf16":
                self.weights.append(
                    helper.make_tensor(name, TensorProto.BFLOAT16, array.shape, to_bf16(array).tobytes(), raw=True)
                )
            else:
                self.weights.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, name: str, *values: int) -> str:
        """A constant of integers, as a shape."""
        return self.constant(name, np.array(values, np.int64))

    def number(self, value: int) -> str:
        """A constant of one integer: an axis, a place."""
        return self.integers(f"number.{value}", value)

    def weight(self, name: str) -> Array:
        """A tensor of the model in float32."""
        return np.asarray(self.tensors[name], np.float32)

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def linear(self, source: str, name: str) -> str:
        """`source @ weight.T + bias` for the model's layer of this name, whose weight is (out, in); it may have no bias."""
        weight = self.weight(f"{name}.weight")
        if self.precision != "int8":
            matrix = self.constant(f"{name}.weight", weight.T, half=True)
            if self.precision == "bf16":
                matrix = self.node("Cast", [matrix], f"{name}.floats", to=TensorProto.FLOAT)
            return self._product(source, matrix, name, f"{name}.output")
        rows, row_scale, row_zero = self.quantise(source)
        values, scales = quantise_rows(weight, WEIGHT_BITS)
        inputs = [
            rows,
            self.constant(f"{name}.weight", values.T),
            row_scale,
            self.constant(f"{name}.scale", scales),
            row_zero,
            self.constant(f"{name}.zero", np.zeros_like(scales, np.int8)),
            *self._bias(name),
        ]
        return self.node("MatMulIntegerToFloat", inputs, f"{name}.output", CONTRIB)

    def quantise(self, source: str) -> tuple[str, str, str]:
        """`source` in unsigned 8 bits with its scale and zero point; the same for every layer that reads it."""
        if source not in self.quantised:
            names = (f"{source}.uint8", f"{source}.scale", f"{source}.zero")
            if source in self.ranges:
                for name, value in zip(names[1:], scale_and_zero(*self.ranges[source]), strict=True):
                    self.constant(name, value)
                self.nodes.append(helper.make_node("QuantizeLinear", [source, *names[1:]], names[:1], name=names[0]))
            else:
                self.nodes.append(helper.make_node("DynamicQuantizeLinear", [source], names, name=names[0]))
            self.quantised[source] = names
        return self.quantised[source]

    def share_range(self, name: str, other: str) -> None:
        """Round the tensor `name` as `other` is rounded, where its range is given."""
        if other in self.ranges:
            self.ranges = {**self.ranges, name: self.ranges[other]}

    def model(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The finished graph."""
        graph = helper.make_graph(self.nodes, "textome", inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="textome")

    def rename(self, old: str, new: str) -> str:
        """Give the output of the last node of this name, which nothing reads yet, another name."""
        (producer,) = [node for node in self.nodes if old in node.output]
        producer.output[list(producer.output).index(old)] = producer.name = new
        return new

    def score(self, source: str, name: str, output: str) -> str:
        """A linear layer in fp32 whatever the precision: the last ones are tiny and decide everything."""
        matrix = self.constant(f"{name}.weight", self.weight(f"{name}.weight").T)
        return self._product(source, matrix, name, output)

    def _product(self, source: str, matrix: str, name: str, output: str) -> str:
        if not (bias := self._bias(name)):
            return self.node("MatMul", [source, matrix], output)
        return self.node("Add", [self.node("MatMul", [source, matrix], f"{name}.product"), *bias], output)

    def _bias(self, name: str) -> list[str]:
        """The bias of the model's layer of this name; none if it has none."""
        bias = f"{name}.bias"
        return [self.constant(bias, self.weight(bias))] if bias in self.tensors else []

    def norm(self, source: str, name: str, output: str, epsilon: float) -> str:
        """Layer normalisation over the last axis."""
        weights = [self.constant(f"{name}.weight", self.weight(f"{name}.weight")), *self._bias(name)]
        return self.node("LayerNormalization", [source, *weights], output, epsilon=epsilon)

    def residual(self, source: str, hidden: str, name: str, epsilon: float) -> str:
        """A layer's `output` part: linear, added to what went in, normalised."""
        total = self.node("Add", [self.linear(source, f"{name}.dense"), hidden], f"{name}.total")
        return self.norm(total, f"{name}.LayerNorm", f"{name}.hidden", epsilon)

    def feed_forward(self, hidden: str, name: str, activation: str, epsilon: float) -> str:
        """The position-wise layers of the encoder layer `name`, with their residual."""
        expanded = self.linear(hidden, f"{name}.intermediate.dense")
        activated = self.activate(activation, expanded, f"{name}.intermediate.activated")
        return self.residual(activated, hidden, f"{name}.output", epsilon)

    def activate(self, activation: str, source: str, output: str) -> str:
        """An activation. Raises ModelError for one that has no operator here."""
        if activation not in _ACTIVATIONS:
            raise ModelError(f"the activation {activation!r} cannot be exported; only {', '.join(_ACTIVATIONS)}")
        kind, domain, attributes = _ACTIVATIONS[activation]
        return self.node(kind, [source], output, domain, **attributes)

    def lookup(self, ids: str, name: str, table: Array) -> str:
        """The rows `ids` along the last axis but one of a table (.., rows, size), as of embeddings."""
        axis = table.ndim - 2
        if self.precision == "fp32":
            return self.node("Gather", [self.constant(f"{name}.weight", table), ids], f"{name}.output", axis=axis)
        if self.precision == "bf16":
            rows = self.constant(f"{name}.weight", table, half=True)
            rows = self.node("Gather", [rows, ids], f"{name}.rows", axis=axis)
            return self.node("Cast", [rows], f"{name}.output", to=TensorProto.FLOAT)
        flat, scales = quantise_rows(table.reshape(-1, table.shape[-1]), EMBEDDING_BITS)
        values, factors = flat.reshape(table.shape), scales.reshape(*table.shape[:-1], 1)
        rows = self.node("Gather", [self.constant(f"{name}.weight", values), ids], f"{name}.rows", axis=axis)
        floats = self.node("Cast", [rows], f"{name}.floats", to=TensorProto.FLOAT)
        scale = self.node("Gather", [self.constant(f"{name}.scale", factors), ids], f"{name}.scales", axis=axis)
        return self.node("Mul", [floats, scale], f"{name}.output")


def scale_and_zero(low: float, high: float) -> tuple[Array, Array]:
    """The scale and the zero point of unsigned 8 bits for values from `low` to `high`, of which 0 is one of the steps."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / 255, 1e-12)
    return np.array(scale, np.float32), np.array(round(-low / scale), np.uint8)


def to_bf16(values: Array) -> NDArray[np.uint16]:
    """The upper halves of float32 numbers, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def quantise_rows(matrix: Array, bits: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 values and a scale for each row of `matrix`: `matrix` is about `values * scales[:, None]`.

    bits   8 uses -127..127; 7 uses -63..63, which cannot overflow the 16-bit sums of x86 processors without VNNI
    """
    limit = 2 ** (bits - 1) - 1
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-12) / limit
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales.astype(np.float32)


def padding_scores(builder: Builder, mask: str = "attention_mask", score: float = PADDING_SCORE) -> str:
    """What is added to the scores of attention, (B, 1, 1, S): 0 for tokens, `-score` for padding.

    mask   (B, S), 1 for tokens and 0 for padding
    """
    axes, one, scale = (
        builder.constant(f"padding.{name}", value)
        for name, value in (
            ("axes", np.array([1, 2], np.int64)),
            ("one", np.array(1, np.float32)),
            ("score", np.array(score, np.float32)),
        )
    )
    mask = builder.node("Cast", [mask], "padding.mask", to=TensorProto.FLOAT)
    mask = builder.node("Sub", [mask, one], "padding.negative")
    mask = builder.node("Mul", [mask, scale], "padding.scores")
    return builder.node("Unsqueeze", [mask, axes], "padding.by_key")


def attend(builder: Builder, query: str, key: str, value: str, padding: str, name: str, head_size: int) -> str:
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1) of (S, B, heads, size); the result is alike.

    padding   what is added to the scores, broadcast to (B, heads, S, S); see padding_scores

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


class OnnxModule(Protocol):
    """What the `onnx.py` of each architecture has."""

    def encode(self, builder: Builder, config: Mapping[str, Any], pairs: bool) -> str:
        """The hidden states (S, B, hidden_size) of `input_ids` under `attention_mask`, and `token_type_ids` with `pairs`.

        Raises ModelError for a setting that cannot be exported.
        """

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        """The encoder's tensors under their Hugging Face names."""

    def restored(self, name: str, shape: tuple[int, ...], constants: Mapping[str, Array]) -> Array | None:
        """A tensor that a graph with these constants has in another form than by its own name, or None.

        Raises ModelError if graphs of this architecture cannot give their weights back.
        """


class DecoderOnnxModule(Protocol):
    """What the `onnx.py` of an architecture has beside that whose tokens see only those before them."""

    def build_decoder(
        self, tensors: Mapping[str, Array], config: Mapping[str, Any], precision: Precision
    ) -> onnx.ModelProto:
        """The graph that writes, from tensors under their Hugging Face names; see runtime.generation.session.

        Raises ModelError for tensors that do not fit.
        """


def decoder_onnx_of(encoder: Encoder) -> DecoderOnnxModule:
    """The `onnx.py` of such an architecture."""
    return cast(DecoderOnnxModule, import_module(f"textome.encoders.{encoder.folder}.onnx"))


def onnx_of(encoder: Encoder) -> OnnxModule:
    """The `onnx.py` of an architecture."""
    return cast(OnnxModule, import_module(f"textome.encoders.{encoder.folder}.onnx"))


def head_nodes(builder: Builder, source: str, layer: HeadLayer, name: str) -> str:
    """The layer between hidden states (.., size) and the scores of a head, in fp32; `name` begins its nodes' names."""
    dense = builder.score(source, layer.dense, f"{name}.dense")
    pooled = builder.activate(layer.activation, dense, f"{name}.pooled")
    return builder.norm(pooled, layer.norm, f"{name}.normed", layer.epsilon) if layer.norm else pooled


def head_shapes(layer: HeadLayer, num_pooled: int, hidden_size: int) -> Shapes:
    """The tensors of that layer over `num_pooled` joined hidden states."""
    shapes = linear_shape(layer.dense, hidden_size, num_pooled * hidden_size, layer.bias)
    return shapes | (norm_shape(layer.norm, hidden_size, layer.norm_bias) if layer.norm else {})


def linear_shape(name: str, rows: int, columns: int, bias: bool = True) -> Shapes:
    """The tensors of a linear layer."""
    return {f"{name}.weight": (rows, columns)} | ({f"{name}.bias": (rows,)} if bias else {})


def norm_shape(name: str, size: int, bias: bool = True) -> Shapes:
    """The tensors of a layer normalisation."""
    return {f"{name}.{kind}": (size,) for kind in ("weight", "bias")[: 1 + bias]}


def compare_shapes(tensors: Mapping[str, Array], expected: Shapes) -> None:
    """Raises ModelError that names every tensor that is missing, left over, or of another shape."""
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

"""T5 as two ONNX graphs: the encoder with the keys and values that the decoder reads of a source, and one step of the
decoder with the keys and values of the target so far.

Encoder  input_ids (B, S) int64, attention_mask (B, S) int32; source.N.key and source.N.value (B, num_heads, S, d_kv) of
         each layer N of the decoder
Decoder  tokens (B, 1) int64, the newest of each target; attention_mask (B, S); past.N.key and past.N.value
         (B, num_heads, P, d_kv); source.N.key and source.N.value; logits (B, vocab_size), and present.N.key and
         present.N.value (B, num_heads, P + 1, d_kv)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper

from textome.encoders.distances import bucket_of_distance
from textome.encoders.graph import CONTRIB, Array, Builder, Precision, Shapes, compare_shapes, padding_scores
from textome.encoders.t5 import FEED_FORWARD, T5Config


def shapes(config: T5Config) -> Shapes:
    """The tensors under their Hugging Face names."""
    width, inner = config.d_model, config.num_heads * config.d_kv
    tensors: Shapes = {"shared.weight": (config.vocab_size, width)}
    if not config.tie_word_embeddings:
        tensors["lm_head.weight"] = (config.vocab_size, width)
    gated = FEED_FORWARD[config.feed_forward_proj][1]
    for side, count, parts in (
        ("encoder", config.num_layers, ("SelfAttention",)),
        ("decoder", config.decoder_layers, ("SelfAttention", "EncDecAttention")),
    ):
        biases = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        tensors[biases] = (config.relative_attention_num_buckets, config.num_heads)
        tensors[f"{side}.final_layer_norm.weight"] = (width,)
        for block in (f"{side}.block.{number}.layer" for number in range(count)):
            for number, part in enumerate(parts):
                tensors |= {f"{block}.{number}.{part}.{name}.weight": (inner, width) for name in "qkv"}
                tensors[f"{block}.{number}.{part}.o.weight"] = (width, inner)
                tensors[f"{block}.{number}.layer_norm.weight"] = (width,)
            name = f"{block}.{len(parts)}.DenseReluDense"
            tensors |= {
                f"{name}.{part}.weight": (config.d_ff, width) for part in (("wi_0", "wi_1") if gated else ("wi",))
            }
            tensors[f"{name}.wo.weight"] = (width, config.d_ff)
            tensors[f"{block}.{len(parts)}.layer_norm.weight"] = (width,)
    return tensors


def build_graphs(
    tensors: Mapping[str, Array], config: T5Config, precision: Precision
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Encoder and decoder, of tensors under their Hugging Face names. Raises ModelError for tensors that do not fit.

    An output matrix that is not the table of embeddings is the model's own, whatever the configuration says.
    """
    output, shared = tensors.get("lm_head.weight"), tensors.get("shared.weight")
    tied = output is None or shared is None or np.array_equal(output, shared)
    config = replace(config, tie_word_embeddings=tied, scale_decoder_outputs=config.scales_outputs)
    expected = shapes(config)
    known = {name: values for name, values in tensors.items() if name in expected or "embed_tokens" not in name}
    if config.tie_word_embeddings:
        known.pop("lm_head.weight", None)
    compare_shapes(known, expected)
    return _Graph(known, config, precision).encoder(), _Graph(known, config, precision).decoder()


class _Graph:
    def __init__(self, tensors: Mapping[str, Array], config: T5Config, precision: Precision) -> None:
        self.config = config
        output = tensors.get("lm_head.weight", tensors["shared.weight"])
        scale = config.d_model**-0.5 if config.scales_outputs else 1.0
        self.builder = Builder({**tensors, "output.weight": np.asarray(output, np.float32) * scale}, precision)
        self.builder.integers("shape.by_head", 0, 0, config.num_heads, config.d_kv)
        self.builder.integers("shape.joined", 0, 0, config.num_heads * config.d_kv)

    def encoder(self) -> onnx.ModelProto:
        builder, config = self.builder, self.config
        hidden = builder.lookup("input_ids", "shared.rows", builder.weight("shared.weight"))
        length = builder.node("Shape", ["input_ids"], "length", start=1, end=2)
        positions = self._range(builder.number(0), length, "positions")
        column = builder.node("Unsqueeze", [positions, builder.number(1)], "positions.column")
        distances = builder.node("Sub", [positions, column], "distances")
        scores = builder.node("Add", [self._biases("encoder", distances), padding_scores(builder)], "scores")
        for number in range(config.num_layers):
            block = f"encoder.block.{number}.layer"
            normed = self._norm(hidden, f"{block}.0.layer_norm")
            name = f"{block}.0.SelfAttention"
            query, *cache = (self._by_head(normed, f"{name}.{part}") for part in "qkv")
            attended = self._attend(query, cache, scores, name)
            hidden = builder.node("Add", [hidden, attended], f"{block}.0.total")
            hidden = self._feed_forward(hidden, f"{block}.1")
        hidden = self._norm(hidden, "encoder.final_layer_norm")
        outputs = []
        for number in range(config.decoder_layers):
            name = f"decoder.block.{number}.layer.1.EncDecAttention"
            for part, kind in (("k", "key"), ("v", "value")):
                builder.rename(self._by_head(hidden, f"{name}.{part}"), f"source.{number}.{kind}")
                outputs.append(self._cache(f"source.{number}.{kind}", "S"))
        return builder.model([_integers("input_ids", "B", "S"), _mask()], outputs)

    def decoder(self) -> onnx.ModelProto:
        builder, config = self.builder, self.config
        hidden = builder.lookup("tokens", "shared.rows", builder.weight("shared.weight"))
        past = builder.node("Shape", ["past.0.key"], "past.shape", start=2, end=3)
        count = builder.node("Add", [past, builder.number(1)], "keys.count")
        keys = self._range(builder.number(0), count, "keys")
        distances = builder.node(
            "Unsqueeze", [builder.node("Sub", [keys, past], "distances.row"), builder.number(0)], "distances"
        )
        biases, padding = self._biases("decoder", distances), padding_scores(builder)
        inputs, outputs = [_integers("tokens", "B", 1), _mask()], []
        for number in range(config.decoder_layers):
            block = f"decoder.block.{number}.layer"
            normed = self._norm(hidden, f"{block}.0.layer_norm")
            name = f"{block}.0.SelfAttention"
            query = self._by_head(normed, f"{name}.q")
            caches = []
            for part, kind in (("k", "key"), ("v", "value")):
                new = self._by_head(normed, f"{name}.{part}")
                caches.append(
                    builder.node("Concat", [f"past.{number}.{kind}", new], f"present.{number}.{kind}", axis=2)
                )
                inputs.append(self._cache(f"past.{number}.{kind}", "P"))
                outputs.append(self._cache(f"present.{number}.{kind}", "N"))
            attended = self._attend(query, caches, biases, name)
            hidden = builder.node("Add", [hidden, attended], f"{block}.0.total")
            normed = self._norm(hidden, f"{block}.1.layer_norm")
            name = f"{block}.1.EncDecAttention"
            sources = [f"source.{number}.{kind}" for kind in ("key", "value")]
            inputs += [self._cache(source, "S") for source in sources]
            attended = self._attend(self._by_head(normed, f"{name}.q"), sources, padding, name)
            hidden = builder.node("Add", [hidden, attended], f"{block}.1.total")
            hidden = self._feed_forward(hidden, f"{block}.2")
        hidden = self._norm(hidden, "decoder.final_layer_norm")
        logits = builder.score(hidden, "output", "logits.by_token")
        builder.node("Squeeze", [logits, builder.number(1)], "logits")
        score = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", config.vocab_size])
        return builder.model(inputs, [score, *outputs])

    def _range(self, start: str, end: str, name: str) -> str:
        """The integers from one to another, both vectors of one number."""
        builder = self.builder
        bounds = [
            builder.node("Squeeze", [bound, builder.number(0)], f"{name}.{at}") for at, bound in enumerate((start, end))
        ]
        step = builder.constant("step", np.array(1, np.int64))
        return builder.node("Range", [*bounds, step], name)

    def _biases(self, side: str, distances: str) -> str:
        """What is added to scores of attention at these distances (n, m): (num_heads, n, m). All distances beyond the
        maximum share a bucket, so a table of nearer ones is enough."""
        builder, config = self.builder, self.config
        most = config.relative_attention_max_distance
        near = np.arange(-most, most + 1)
        buckets = bucket_of_distance(near, config.relative_attention_num_buckets, most, side == "decoder")
        table = builder.weight(f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight")[buckets]
        bounds = [builder.constant(f"distances.{at}", np.array(at, np.int64)) for at in (-most, most)]
        clipped = builder.node("Clip", [distances, *bounds], f"{side}.distances")
        rows = builder.node("Add", [clipped, bounds[1]], f"{side}.rows")
        biases = builder.node("Gather", [builder.constant(f"{side}.biases", table), rows], f"{side}.biases_by_pair")
        return builder.node("Transpose", [biases], f"{side}.biases_by_head", perm=[2, 0, 1])

    def _norm(self, hidden: str, name: str) -> str:
        builder = self.builder
        inputs = [hidden, builder.constant(f"{name}.weight", builder.weight(f"{name}.weight"))]
        epsilon = self.config.layer_norm_epsilon
        return builder.node("SimplifiedLayerNormalization", inputs, f"{name}.output", axis=-1, epsilon=epsilon)

    def _by_head(self, hidden: str, name: str) -> str:
        """A linear layer of (B, n, d_model) by head: (B, num_heads, n, d_kv)."""
        split = self.builder.node("Reshape", [self.builder.linear(hidden, name), "shape.by_head"], f"{name}.split")
        return self.builder.node("Transpose", [split], f"{name}.heads", perm=[0, 2, 1, 3])

    def _attend(self, query: str, cache: list[str], scores: str, name: str) -> str:
        """Attention that is not scaled over a cache of keys and values, and the layer behind it."""
        builder, (key, value) = self.builder, cache
        products = builder.node("FusedMatMul", [query, key], f"{name}.products", CONTRIB, transB=1)
        shares = builder.node(
            "Softmax", [builder.node("Add", [products, scores], f"{name}.scores")], f"{name}.shares", axis=-1
        )
        mixed = builder.node("MatMul", [shares, value], f"{name}.mixed")
        by_token = builder.node("Transpose", [mixed], f"{name}.by_token", perm=[0, 2, 1, 3])
        joined = builder.node("Reshape", [by_token, "shape.joined"], f"{name}.joined")
        return builder.linear(joined, f"{name}.o")

    def _feed_forward(self, hidden: str, layer: str) -> str:
        builder = self.builder
        activation, gated = FEED_FORWARD[self.config.feed_forward_proj]
        normed, name = self._norm(hidden, f"{layer}.layer_norm"), f"{layer}.DenseReluDense"
        if gated:
            gate = builder.activate(activation, builder.linear(normed, f"{name}.wi_0"), f"{name}.gate")
            inner = builder.node("Mul", [gate, builder.linear(normed, f"{name}.wi_1")], f"{name}.inner")
        else:
            inner = builder.activate(activation, builder.linear(normed, f"{name}.wi"), f"{name}.inner")
        return builder.node("Add", [hidden, builder.linear(inner, f"{name}.wo")], f"{layer}.total")

    def _cache(self, name: str, length: str) -> onnx.ValueInfoProto:
        shape = ["B", self.config.num_heads, length, self.config.d_kv]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _integers(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, list(shape))


def _mask() -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("attention_mask", TensorProto.INT32, ["B", "S"])

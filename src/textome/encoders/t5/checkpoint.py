"""The tensor names of T5 in the Hugging Face layout."""

from __future__ import annotations

from collections.abc import Iterable

from textome.encoders.interface import Names, TensorNames

_ATTENTION = {"query": ("q",), "memory": ("k", "v"), "output": ("o",)}
# The number of each sub-layer within a block of the encoder, and of the decoder.
_ENCODER = {"attention": 0, "feed_forward": 1}
_DECODER = {"attention": 0, "across": 1, "feed_forward": 2}
_FEED_FORWARD = {"expand": "wi", "gate": "wi_0", "value": "wi_1", "contract": "wo"}
# Copies of the shared table, and a bias that old checkpoints have between decoder and encoder and nothing reads.
_UNUSED = (
    r"(encoder|decoder)\.embed_tokens\.weight$|lm_head\.weight$"
    r"|decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$"
)


def tensor_names(parameters: Iterable[str]) -> TensorNames:
    """The names of a model that has these parameters, as `encoder.layers.0.attention.query.weight`."""
    names: Names = {}
    for key in parameters:
        if key in ("shared.weight", "lm_head.weight"):
            names[key] = (key,)
            continue
        side, _, rest = key.partition(".")
        if rest == "norm.weight":
            names[key] = (f"{side}.final_layer_norm.weight",)
        elif rest == "biases.weight":
            names[key] = (f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",)
        else:
            names[key] = _in_layer(side, rest)
    return TensorNames(names, "", _UNUSED)


def _in_layer(side: str, rest: str) -> tuple[str, ...]:
    _, number, part, *inner = rest.split(".")
    table = _ENCODER if side == "encoder" else _DECODER
    if part.endswith("_norm"):
        return (f"{side}.block.{number}.layer.{table[part.removesuffix('_norm')]}.layer_norm.weight",)
    block = f"{side}.block.{number}.layer.{table[part]}"
    if part == "feed_forward":
        return (f"{block}.DenseReluDense.{_FEED_FORWARD[inner[0]]}.weight",)
    kind = "EncDecAttention" if part == "across" else "SelfAttention"
    return tuple(f"{block}.{kind}.{name}.weight" for name in _ATTENTION[inner[0]])

"""The tensor names of MPNet in the Hugging Face layout."""

from __future__ import annotations

from textome.encoders.interface import Names, TensorNames
from textome.encoders.mpnet import ENCODER

_AROUND = {
    "embeddings.word_embeddings.weight": "embeddings.word_embeddings.weight",
    "embeddings.position_embeddings.weight": "embeddings.position_embeddings.weight",
    "embeddings.norm.weight": "embeddings.LayerNorm.weight",
    "embeddings.norm.bias": "embeddings.LayerNorm.bias",
    "relative.weight": "encoder.relative_attention_bias.weight",
}
_LAYER = {
    "attention.project": ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
    "attention.output": ("attention.attn.o",),
    "attention_norm": ("attention.LayerNorm",),
    "feed_forward.expand": ("intermediate.dense",),
    "feed_forward.contract": ("output.dense",),
    "feed_forward_norm": ("output.LayerNorm",),
}
# The product with the word embeddings has no matrix of its own: theirs is tied too.
MASKED_LM = {
    "transform.weight": "lm_head.dense.weight",
    "transform.bias": "lm_head.dense.bias",
    "norm.weight": "lm_head.layer_norm.weight",
    "norm.bias": "lm_head.layer_norm.bias",
    "bias": "lm_head.bias",
}


def tensor_names(num_layers: int) -> TensorNames:
    """The names of an encoder with this number of layers."""
    names: Names = {ours: (theirs,) for ours, theirs in _AROUND.items()}
    names |= {
        f"layers.{number}.{ours}.{kind}": tuple(f"encoder.layer.{number}.{name}.{kind}" for name in theirs)
        for number in range(num_layers)
        for ours, theirs in _LAYER.items()
        for kind in ("weight", "bias")
    }
    return TensorNames(names, ENCODER.prefix, ENCODER.unused)

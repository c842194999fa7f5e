"""The tensor names of MPNet in the Hugging Face layout."""

from __future__ import annotations

from collections.abc import Iterable

from textome.encoders.interface import TensorNames, layered_names
from textome.encoders.mpnet import ENCODER

_AROUND = {
    "embeddings.word_embeddings": "embeddings.word_embeddings",
    "embeddings.position_embeddings": "embeddings.position_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
    "relative": "encoder.relative_attention_bias",
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


def tensor_names(parameters: Iterable[str]) -> TensorNames:
    """The names of an encoder that has these parameters."""
    return TensorNames(layered_names(parameters, _AROUND, _LAYER), ENCODER.prefix, ENCODER.unused)

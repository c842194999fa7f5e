"""The tensor names of ModernBERT in the Hugging Face layout."""

from __future__ import annotations

from collections.abc import Iterable

from textome.encoders.interface import TensorNames, layered_names
from textome.encoders.modernbert import ENCODER

_AROUND = {
    "embeddings.word_embeddings": "embeddings.tok_embeddings",
    "embeddings.norm": "embeddings.norm",
    "norm": "final_norm",
}
_LAYER = {
    "attention.project": ("attn.Wqkv",),
    "attention.output": ("attn.Wo",),
    "attention_norm": ("attn_norm",),
    "feed_forward.expand": ("mlp.Wi",),
    "feed_forward.contract": ("mlp.Wo",),
    "feed_forward_norm": ("mlp_norm",),
}
# The product with the word embeddings has no matrix of its own: theirs is tied too.
MASKED_LM = {
    "transform.weight": "head.dense.weight",
    "transform.bias": "head.dense.bias",
    "norm.weight": "head.norm.weight",
    "norm.bias": "head.norm.bias",
    "bias": "decoder.bias",
}


def tensor_names(parameters: Iterable[str]) -> TensorNames:
    """The names of an encoder that has these parameters."""
    return TensorNames(layered_names(parameters, _AROUND, _LAYER, "layers"), ENCODER.prefix, ENCODER.unused)

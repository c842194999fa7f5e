"""The tensor names of BERT in the Hugging Face layout."""

from __future__ import annotations

from collections.abc import Iterable

from textome.encoders.bert import ENCODER
from textome.encoders.interface import TensorNames, layered_names

_AROUND = {
    "embeddings.word_embeddings": "embeddings.word_embeddings",
    "embeddings.position_embeddings": "embeddings.position_embeddings",
    "embeddings.token_type_embeddings": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
    "pooler": "pooler.dense",
}
LAYER = {
    "attention.project": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "feed_forward.expand": ("intermediate.dense",),
    "feed_forward.contract": ("output.dense",),
    "feed_forward_norm": ("output.LayerNorm",),
}
# The product with the word embeddings has no matrix of its own: theirs is tied too.
MASKED_LM = {
    "transform.weight": "cls.predictions.transform.dense.weight",
    "transform.bias": "cls.predictions.transform.dense.bias",
    "norm.weight": "cls.predictions.transform.LayerNorm.weight",
    "norm.bias": "cls.predictions.transform.LayerNorm.bias",
    "bias": "cls.predictions.bias",
    "next_sentence.weight": "cls.seq_relationship.weight",
    "next_sentence.bias": "cls.seq_relationship.bias",
}


def tensor_names(parameters: Iterable[str]) -> TensorNames:
    """The names of an encoder that has these parameters."""
    return TensorNames(layered_names(parameters, _AROUND, LAYER), ENCODER.prefix, ENCODER.unused)

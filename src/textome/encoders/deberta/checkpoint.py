"""The tensor names of DeBERTa v2 and v3 in the Hugging Face layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from textome.encoders.deberta import ENCODER
from textome.encoders.interface import TensorNames, layered_names, with_prefix

_LAYER = {
    "attention.project": ("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"),
    "attention.position_key": ("attention.self.pos_key_proj",),
    "attention.position_query": ("attention.self.pos_query_proj",),
    "attention.output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "feed_forward.expand": ("intermediate.dense",),
    "feed_forward.contract": ("output.dense",),
    "feed_forward_norm": ("output.LayerNorm",),
}
_AROUND = {
    "embeddings.word_embeddings": "embeddings.word_embeddings",
    "embeddings.position_embeddings": "embeddings.position_embeddings",
    "embeddings.token_type_embeddings": "embeddings.token_type_embeddings",
    "embeddings.project": "embeddings.embed_proj",
    "embeddings.norm": "embeddings.LayerNorm",
    "relative": "encoder.rel_embeddings",
    "relative_norm": "encoder.LayerNorm",
    "convolution.conv": "encoder.conv.conv",
    "convolution.norm": "encoder.conv.LayerNorm",
}
# The mask decoder's positions have the name that Microsoft's pretraining code gives them.
_MASK_DECODER = {
    "position_embeddings.weight": "deberta.embeddings.position_embeddings.weight",
    "transform.weight": "cls.predictions.transform.dense.weight",
    "transform.bias": "cls.predictions.transform.dense.bias",
    "norm.weight": "cls.predictions.transform.LayerNorm.weight",
    "norm.bias": "cls.predictions.transform.LayerNorm.bias",
    "bias": "cls.predictions.bias",
}


def tensor_names(parameters: Iterable[str]) -> TensorNames:
    """The names of an encoder that has these parameters."""
    return TensorNames(layered_names(parameters, _AROUND, _LAYER), ENCODER.prefix, ENCODER.unused)


def mask_decoder_names(encoder: TensorNames) -> TensorNames:
    """The names of an encoder with the head that pretrains it."""
    return replace(
        encoder,
        names=with_prefix(encoder) | {key: (source,) for key, source in _MASK_DECODER.items()},
    )

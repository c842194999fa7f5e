"""The tensor names of BERT in the Hugging Face layout."""

from __future__ import annotations

from textome.encoders.bert import ENCODER
from textome.encoders.interface import Names, TensorNames

_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "embeddings.word_embeddings.weight",
    "embeddings.position_embeddings.weight": "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings.weight": "embeddings.token_type_embeddings.weight",
    "embeddings.norm.weight": "embeddings.LayerNorm.weight",
    "embeddings.norm.bias": "embeddings.LayerNorm.bias",
}
_LAYER = {
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


def tensor_names(num_layers: int, pooler: bool) -> TensorNames:
    """The names of an encoder with this number of layers, and with a pooler or without."""
    names: Names = {ours: (theirs,) for ours, theirs in _EMBEDDINGS.items()} | layer_names(num_layers)
    if pooler:
        names |= {f"pooler.{kind}": (f"pooler.dense.{kind}",) for kind in ("weight", "bias")}
    return TensorNames(names, ENCODER.prefix, ENCODER.unused)


def layer_names(num_layers: int) -> Names:
    """The names of the layers alone."""
    return {
        f"layers.{number}.{ours}.{kind}": tuple(f"encoder.layer.{number}.{name}.{kind}" for name in theirs)
        for number in range(num_layers)
        for ours, theirs in _LAYER.items()
        for kind in ("weight", "bias")
    }

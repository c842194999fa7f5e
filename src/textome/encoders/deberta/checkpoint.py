"""The tensor names of DeBERTa v2 and v3 in the Hugging Face layout."""

from __future__ import annotations

from textome.encoders.deberta.model import Deberta, EnhancedMaskDecoder

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


def deberta_names(model: Deberta) -> dict[str, tuple[str, ...]]:
    """For each tensor of the encoder, the Hugging Face names that hold it, in stacking order."""
    names: dict[str, tuple[str, ...]] = {}
    for ours, _ in model.named_parameters():
        part, kind = ours.rsplit(".", 1)
        if part.startswith("layers."):
            _, number, inner = part.split(".", 2)
            names[ours] = tuple(f"encoder.layer.{number}.{name}.{kind}" for name in _LAYER[inner])
        else:
            names[ours] = (f"{_AROUND[part]}.{kind}",)
    return names


def mask_decoder_names(model: EnhancedMaskDecoder) -> dict[str, tuple[str, ...]]:
    """The same for the encoder with the head that pretrains it."""
    names = {
        f"encoder.{ours}": tuple(f"deberta.{name}" for name in theirs)
        for ours, theirs in deberta_names(model.encoder).items()
    }
    return names | {ours: (theirs,) for ours, theirs in _MASK_DECODER.items()}

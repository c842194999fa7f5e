"""The tensor names of an encoder-decoder in the layout of Hugging Face's Marian."""

from __future__ import annotations

from collections.abc import Iterable

from textome.encoders.interface import EncoderModel, Names, TensorNames

_ENCODER = {
    "attention.query": ("self_attn.q_proj",),
    "attention.memory": ("self_attn.k_proj", "self_attn.v_proj"),
    "attention.output": ("self_attn.out_proj",),
    "attention_norm": ("self_attn_layer_norm",),
    "feed_forward.expand": ("fc1",),
    "feed_forward.contract": ("fc2",),
    "feed_forward_norm": ("final_layer_norm",),
}
_DECODER = _ENCODER | {
    "across.query": ("encoder_attn.q_proj",),
    "across.memory": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "across.output": ("encoder_attn.out_proj",),
    "across_norm": ("encoder_attn_layer_norm",),
}


# Marian's positions are computed, and its tables for both sides are copies of the shared one.
_UNUSED = r"model\.(encoder|decoder)\.embed_(positions|tokens)\.weight$|lm_head\.weight$"


def tensor_names(parameters: Iterable[str], encoder: EncoderModel | None) -> TensorNames:
    """The names of a model that has these parameters, and another encoder than the paper's unless it is None.

    Marian has no norm at the end of a side; those of `normalize_before` have the names that mBART gives them. Another
    encoder's are those that `transformers` gives the encoder of a pair of models.
    """
    names: Names = {"shared.weight": ("model.shared.weight",), "bias": ("final_logits_bias",)}
    if encoder is not None:
        own = encoder.tensor_names().names
        names |= {f"encoder.{key}": tuple(f"encoder.{name}" for name in sources) for key, sources in own.items()}
    for key in parameters:
        side, _, rest = key.partition(".")
        if side == "encoder" and encoder is not None:
            continue
        if side in ("encoder", "decoder"):
            number, _, part = rest.partition(".")
            inner, kind = part.rsplit(".", 1)
            table = _ENCODER if side == "encoder" else _DECODER
            names[key] = tuple(f"model.{side}.layers.{number}.{name}.{kind}" for name in table[inner])
        elif side in ("encoder_norm", "decoder_norm"):
            names[key] = (f"model.{side.removesuffix('_norm')}.layer_norm.{rest}",)
        elif side == "positions":
            names[key] = (f"model.{rest.removesuffix('.weight')}.embed_positions.weight",)
    return TensorNames(names, "", _UNUSED)

"""The tensor names of an encoder-decoder in the layout of Hugging Face's Marian."""

from __future__ import annotations

from textome.encoders.seq2seq.model import Transformer

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


def transformer_names(model: Transformer) -> dict[str, tuple[str, ...]]:
    """For each tensor of the model, the Marian names that hold it, in stacking order.

    Marian has no norm at the end of a side; those of `normalize_before` have the names that mBART gives them.
    """
    names: dict[str, tuple[str, ...]] = {"shared.weight": ("model.shared.weight",), "bias": ("final_logits_bias",)}
    for ours, _ in model.named_parameters():
        side, _, rest = ours.partition(".")
        if side == "encoder" and model.config.encoder is not None:
            continue  # another architecture, which has names of its own
        if side in ("encoder", "decoder"):
            number, _, part = rest.partition(".")
            inner, kind = part.rsplit(".", 1)
            table = _ENCODER if side == "encoder" else _DECODER
            names[ours] = tuple(f"model.{side}.layers.{number}.{name}.{kind}" for name in table[inner])
        elif side in ("encoder_norm", "decoder_norm"):
            names[ours] = (f"model.{side.removesuffix('_norm')}.layer_norm.{rest}",)
        elif side == "positions":
            names[ours] = (f"model.{rest.removesuffix('.weight')}.embed_positions.weight",)
    return names

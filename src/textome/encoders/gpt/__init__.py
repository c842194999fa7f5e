"""GPT-2 (Radford et al. 2019), a decoder alone: each token sees those before it, and the next one is predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textome.encoders import Encoder, HeadLayer

# Of a checkpoint with rotary positions, which GPT-2 has not and `transformers` must not load as one.
ROTARY = "textome-gpt"
# The ends of the names of matrices that a checkpoint has with a row for each input, as `Conv1D` of `transformers` does.
CONV1D = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
# Settings that would change what is computed, and the only value of each that is supported.
_FIXED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


def check_config(values: Mapping[str, Any]) -> None:
    """Raises ValueError for a setting of a parsed `config.json` that is not supported."""
    for key, only in _FIXED.items():
        if (value := values.get(key, only)) != only:
            raise ValueError(f"{key} {value!r} is not supported; only {only} is")
    if (values.get("model_type") == ROTARY) != (values.get("rotary_theta") is not None):
        raise ValueError(f"rotary_theta is for checkpoints of the model_type {ROTARY!r}, and they need it")


ENCODER = Encoder(
    folder="gpt",
    transformers="GPT2",
    prefix="transformer.",
    hidden_states="transformer.ln_f.hidden",
    head_layer=lambda config: HeadLayer(""),  # it has no heads
    unused=r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)$|lm_head\.weight$",
    positions="n_positions",
    causal=True,
    dropout=("embd_pdrop", "resid_pdrop"),
    attention_dropout=("attn_pdrop",),
)

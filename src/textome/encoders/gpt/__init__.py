"""GPT-2 (Radford et al. 2019), a decoder alone: each token sees those before it, and the next one is predicted."""

from __future__ import annotations

from textome.encoders import Encoder, HeadLayer

# Of a checkpoint with rotary positions, which GPT-2 has not and `transformers` must not load as one.
ROTARY = "textome-gpt"
# The ends of the names of matrices that a checkpoint has with a row for each input, as `Conv1D` of `transformers` does.
CONV1D = ("c_attn.weight", "c_proj.weight", "c_fc.weight")

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
    layers_called_once=True,
)

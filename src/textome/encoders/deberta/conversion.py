"""A DeBERTa that starts from BERT's weights: what each word says is taken over, where it stands is learnt anew.

All of BERT's layers have a counterpart in DeBERTa v3 (He et al. 2021, section 3; He et al. 2023); what differs is how
positions enter. The sum of absolute positions and words is gone, so their mean joins the words, as the token type does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from textome.encoders.deberta.model import DebertaConfig, EnhancedMaskDecoder
from textome.encoders.interface import MaskedLM

# How large relative embeddings begin beside words: small enough to leave what BERT knew, large enough to be learnt.
RELATIVE = 0.1


def config_like(bert: Mapping[str, Any], position_buckets: int = 256) -> dict[str, Any]:
    """The `config.json` of a DeBERTa as large as a BERT, set up as v3 is: 512 relative embeddings for 512 positions."""
    sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act")
    same = (*sizes, "max_position_embeddings", "initializer_range", "pad_token_id")
    return {name: bert[name] for name in same if name in bert} | {
        "model_type": DebertaConfig.model_type,
        "layer_norm_eps": 1e-7,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_buckets": position_buckets,
        "max_relative_positions": -1,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
    }


def take_over(bert: MaskedLM, deberta: MaskedLM) -> None:
    """Fill a fresh DeBERTa, of BERT's sizes and with shared position projections, from BERT's weights.

    Were the relative embeddings zero, its encoder would compute what BERT's does for tokens that all stand at the mean of
    BERT's positions: eq. 4 divides by sqrt(3 d) where BERT divides by sqrt(d), so queries grow by sqrt(3), and the term of
    positions to content brings the bias of the queries in a second time, so that is halved.

    Raises ValueError where the sizes or the kind of attention differ.
    """
    assert isinstance(deberta, EnhancedMaskDecoder)
    config = deberta.encoder.config
    if set(config.pos_att_type) != {"c2p", "p2c"} or not config.share_att_key or deberta.encoder.relative_norm is None:
        raise ValueError(
            "BERT's weights fit a DeBERTa set up as v3 is, with shared keys and normed relative embeddings"
        )
    source, target = bert.state_dict(), deberta.state_dict()
    if mismatches := [name for name in source.keys() & target.keys() if source[name].shape != target[name].shape]:
        raise ValueError(f"BERT and DeBERTa are of different sizes: {', '.join(sorted(mismatches)[:4])}")
    state: dict[str, Tensor] = {name: source[name].clone() for name in source.keys() & target.keys()}
    around = "encoder.embeddings."
    state[f"{around}word_embeddings.weight"] += source[f"{around}token_type_embeddings.weight"][0]
    state[f"{around}word_embeddings.weight"] += source[f"{around}position_embeddings.weight"].mean(0)
    size = config.hidden_size
    for number in range(config.num_hidden_layers):
        attention = f"encoder.layers.{number}.attention.project"
        state[f"{attention}.weight"][:size] *= math.sqrt(3)
        state[f"{attention}.bias"][:size] *= math.sqrt(3) / 2
    state["encoder.relative_norm.weight"] = torch.full_like(target["encoder.relative_norm.weight"], RELATIVE)
    deberta.load_state_dict(target | state)

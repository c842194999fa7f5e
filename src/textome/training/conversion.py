"""A DeBERTa that starts from BERT's weights: what each word says is taken over, where it stands is learnt anew.

All of BERT's layers have a counterpart in DeBERTa v3 (He et al. 2021, section 3; He et al. 2023); what differs is how
positions enter. The sum of absolute positions and words is gone, so their mean joins the words, as the token type does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from textome.encoders.deberta.model import EnhancedMaskDecoder
from textome.encoders.heads import MaskedLanguageModel

# How large relative embeddings begin beside words: small enough to leave what BERT knew, large enough to be learnt.
RELATIVE = 0.1


def take_over(bert: MaskedLanguageModel, deberta: EnhancedMaskDecoder) -> None:
    """Fill a fresh DeBERTa, of BERT's sizes and with shared position projections, from BERT's weights.

    Were the relative embeddings zero, its encoder would compute what BERT's does for tokens that all stand at the mean of
    BERT's positions: eq. 4 divides by sqrt(3 d) where BERT divides by sqrt(d), so queries grow by sqrt(3), and the term of
    positions to content brings the bias of the queries in a second time, so that is halved.

    Raises ValueError where the sizes or the kind of attention differ.
    """
    config = deberta.encoder.config
    if set(config.pos_att_type) != {"c2p", "p2c"} or not config.share_att_key or deberta.encoder.relative_norm is None:
        raise ValueError(
            "BERT's weights fit a DeBERTa set up as v3 is, with shared keys and normed relative embeddings"
        )
    theirs, ours = bert.state_dict(), deberta.state_dict()
    if wrong := [name for name in theirs.keys() & ours.keys() if theirs[name].shape != ours[name].shape]:
        raise ValueError(f"BERT and DeBERTa are of different sizes: {', '.join(sorted(wrong)[:4])}")
    taken: dict[str, Tensor] = {name: theirs[name].clone() for name in theirs.keys() & ours.keys()}
    around = "encoder.embeddings."
    taken[f"{around}word_embeddings.weight"] += theirs[f"{around}token_type_embeddings.weight"][0]
    taken[f"{around}word_embeddings.weight"] += theirs[f"{around}position_embeddings.weight"].mean(0)
    size = config.hidden_size
    for number in range(config.num_hidden_layers):
        attention = f"encoder.layers.{number}.attention.project"
        taken[f"{attention}.weight"][:size] *= math.sqrt(3)
        taken[f"{attention}.bias"][:size] *= math.sqrt(3) / 2
    taken["encoder.relative_norm.weight"] = torch.full_like(ours["encoder.relative_norm.weight"], RELATIVE)
    deberta.load_state_dict(ours | taken)

"""A DeBERTa from BERT's weights: the same states but for positions, which it then learns by itself."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from textome.encoders.bert.model import BertConfig
from textome.encoders.build import build_masked_lm
from textome.encoders.deberta.conversion import take_over
from textome.encoders.deberta.model import DebertaConfig, EnhancedMaskDecoder
from textome.encoders.interface import MaskedLM
from textome.encoders.layers.packing import Layout

SIZES = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
V3 = DebertaConfig(
    **SIZES,
    relative_attention=True,
    position_buckets=16,
    pos_att_type=("p2c", "c2p"),
    share_att_key=True,
    norm_rel_ebd="layer_norm",
    position_biased_input=False,
    layer_norm_eps=1e-12,
)


def random_bert(**sizes: int) -> MaskedLM:
    torch.manual_seed(4)
    model = build_masked_lm(BertConfig(**SIZES | sizes)).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    return model


def test_without_positions_both_compute_the_same():
    bert, deberta = random_bert(), EnhancedMaskDecoder(V3).eval()
    take_over(bert, deberta)
    # BERT with the mean of its positions everywhere, DeBERTa with relative embeddings of zero.
    positions = bert.encoder.embeddings.position_embeddings.weight
    torch.nn.init.zeros_(deberta.encoder.relative_norm.weight)
    with torch.no_grad():
        positions.copy_(positions.mean(0).expand_as(positions))
        ids, layout = torch.randint(60, (29,)), Layout.of([17, 7, 5])
        wanted, found = bert.encoder(ids, layout), deberta.encoder(ids, layout)
    assert torch.allclose(wanted, found, atol=2e-5), (wanted - found).abs().max()


def test_relative_embeddings_begin_small_and_differ():
    deberta = EnhancedMaskDecoder(V3).eval()
    take_over(random_bert(), deberta)
    with torch.no_grad():
        embeddings = deberta.encoder.positions(Layout.of([9])).embeddings
        ids = torch.randint(60, (9,))
        states = deberta.encoder(torch.cat([ids, ids.flip(0)]), Layout.of([9, 9]))
    assert 0 < embeddings.std() < 0.2
    assert not torch.allclose(states[:9], states[9:].flip(0), atol=1e-4)  # the order of words is seen


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="of different sizes"):
        take_over(random_bert(vocab_size=61), EnhancedMaskDecoder(V3))
    with pytest.raises(ValueError, match="set up as v3 is"):
        take_over(random_bert(), EnhancedMaskDecoder(dataclasses.replace(V3, share_att_key=False)))

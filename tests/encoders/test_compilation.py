"""Compiled layers compute what the others do, and stay themselves for checkpoints."""

from __future__ import annotations

import pytest
import torch

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.compilation import compile_layers
from textome.encoders.layers.packing import Layout


@pytest.mark.slow
def test_compiled_layers_give_the_same_states_and_gradients() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=60, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **sizes)
    model, other = Bert(config), Bert(config)
    compile_layers(other)
    other.load_state_dict(model.state_dict())
    assert list(model.state_dict()) == list(other.state_dict())
    for lengths in ([3, 9, 9], [1, 30], [12, 12, 14, 15]):
        ids, layout = torch.randint(60, (sum(lengths),)), Layout.of(lengths)
        found = []
        for net in (model, other):
            net.zero_grad()
            hidden = net(ids, layout)
            hidden.square().mean().backward()
            found.append([hidden.detach(), *(item.grad.clone() for item in net.parameters() if item.grad is not None)])
        for mine, theirs in zip(*found, strict=True):
            assert torch.allclose(mine, theirs, atol=1e-5)

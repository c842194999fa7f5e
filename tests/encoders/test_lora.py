"""Low-rank adaptation: nothing changes at the start, only the products learn, and merging changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from textome.encoders.build import build_encoder, read_encoder_config
from textome.encoders.checkpoint import to_hugging_face
from textome.encoders.layers.packing import Layout
from textome.encoders.lora import add_low_rank, merge_low_rank
from textome.training.optimisation.optimiser import build_optimizer
from textome.training.recipe import Training
from tiny import CONFIG

DEBERTA: dict[str, Any] = {
    "model_type": "deberta-v2", "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8,
    "max_relative_positions": -1, "conv_kernel_size": 3, "share_att_key": True, "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
}  # fmt: skip
IDS, LAYOUT = torch.arange(12), Layout.of([5, 7])


@pytest.fixture(params=["bert", "deberta-v2"])
def encoder(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    more = DEBERTA if request.param == "deberta-v2" else {}
    return build_encoder(read_encoder_config(CONFIG | more | {"vocab_size": 50})).eval()


def learn(encoder: nn.Module, steps: int = 3) -> None:
    encoder.train()
    optimizer = build_optimizer(encoder, Training(epochs=1, learning_rate=1e-2))
    for _ in range(steps):
        encoder(IDS, LAYOUT).square().mean(0).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    encoder.eval()


def test_at_the_start_outputs_are_those_of_the_plain_encoder(encoder: nn.Module) -> None:
    with torch.no_grad():
        before = encoder(IDS, LAYOUT)
        add_low_rank(encoder, 4, 16.0)
        assert torch.equal(encoder(IDS, LAYOUT), before)


def test_only_the_products_learn_and_the_rest_stays_bit_for_bit(encoder: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    add_low_rank(encoder, 4, 16.0)
    learning = {name for name, item in encoder.named_parameters() if item.requires_grad}
    linear = sum(isinstance(layer, nn.Linear) for layer in encoder.get_submodule("layers").modules())
    assert len(learning) == 2 * linear
    assert linear >= 8
    with torch.no_grad():
        output = encoder(IDS, LAYOUT)
    learn(encoder)
    with torch.no_grad():
        assert not torch.allclose(encoder(IDS, LAYOUT), output, atol=1e-3)
    after = encoder.state_dict()
    for name, tensor in before.items():
        place = name if name in after else name.replace(".weight", ".parametrizations.weight.original")
        assert torch.equal(after[place], tensor), name


def test_merging_changes_no_output_and_leaves_a_plain_encoder(encoder: nn.Module) -> None:
    names = list(encoder.state_dict())
    add_low_rank(encoder, 4, 16.0)
    learn(encoder)
    with torch.no_grad():
        before = encoder(IDS, LAYOUT)
        merge_low_rank(encoder)
        assert torch.equal(encoder(IDS, LAYOUT), before)
    assert sorted(encoder.state_dict()) == sorted(names)
    assert all(item.requires_grad for item in encoder.parameters())
    assert to_hugging_face(encoder)
    merge_low_rank(encoder)  # nothing to do any more


def test_what_is_learnt_has_the_rank_that_was_asked_for(encoder: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    add_low_rank(encoder, 3, 6.0)
    learn(encoder)
    merge_low_rank(encoder)
    changed = {
        name: tensor - before[name] for name, tensor in encoder.state_dict().items() if not tensor.equal(before[name])
    }
    assert changed
    for name, difference in changed.items():
        values = torch.linalg.svdvals(difference.double())
        assert values[3:].max() < 1e-4 * values[0], name

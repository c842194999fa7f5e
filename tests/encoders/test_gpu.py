"""What a GPU computes is what the processor computes, to the rounding of its precision. Skipped where there is none."""

from __future__ import annotations

import copy

import pytest
import torch

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.compilation import compile_layers
from textome.encoders.deberta.fused_relative import Tiles, fused
from textome.encoders.deberta.model import Deberta, DebertaConfig
from textome.encoders.layers.attention import attend, attend_across
from textome.encoders.layers.packing import Layout

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device here")
LENGTHS = [1, 3, 17, 17, 128, 511, 512]


def apart(first: torch.Tensor, second: torch.Tensor) -> float:
    """Distance over size, in fp32 on the processor."""
    first, second = (item.detach().float().cpu() for item in (first, second))
    return float((first - second).norm() / second.norm())


@pytest.mark.parametrize(("precision", "bound"), [(torch.float32, 1e-3), (torch.bfloat16, 2e-2), (torch.float16, 5e-3)])
def test_attention_over_ragged_sequences_and_its_gradient(precision: torch.dtype, bound: float) -> None:
    torch.manual_seed(0)
    packed = [torch.randn(sum(LENGTHS), 4, 32, requires_grad=True) for _ in range(3)]
    there = [item.detach().to("cuda", precision).requires_grad_() for item in packed]
    layout, weights = Layout.of(LENGTHS), torch.randn(sum(LENGTHS), 4, 32)
    here = attend(*packed, layout)
    (here * weights).sum().backward()
    found = attend(*there, layout.to("cuda"))
    (found.float() * weights.cuda()).sum().backward()
    assert apart(found, here) < bound
    for mine, theirs in zip(packed, there, strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert apart(theirs.grad, mine.grad) < 2 * bound


def test_attention_across_sequences() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(sum(lengths), 4, 32) for lengths in ([2, 9, 30], [5, 6, 7], [5, 6, 7]))
    layouts = [Layout.of([2, 9, 30]), Layout.of([5, 6, 7])]
    here = attend_across(query, key, value, *layouts)
    there = attend_across(*(item.cuda() for item in (query, key, value)), *(item.to("cuda") for item in layouts))
    assert apart(there, here) < 1e-3


def test_dropout_of_attention_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layout = Layout.of([7] * 300 + [9] * 200, "cuda")
    query, key = (torch.randn(layout.num_tokens, 4, 32, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    ones = torch.ones_like(query)
    assert abs(float(attend(query, key, ones, layout, dropout=0.25).float().mean()) - 1) < 0.02


@pytest.mark.parametrize("compiled", [False, True])
def test_an_encoder_and_its_gradient(compiled: bool) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 256}
    config = BertConfig(vocab_size=500, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **sizes)
    model, other = Bert(config), Bert(config).cuda()
    other.load_state_dict(model.state_dict())
    if compiled:
        compile_layers(other)
    for lengths in (LENGTHS, [5, 5, 40], [300, 301]):
        ids, layout = torch.randint(500, (sum(lengths),)), Layout.of(lengths)
        for net in (model, other):
            net.zero_grad()
        here = model(ids, layout)
        here.square().mean().backward()
        with torch.autocast("cuda", torch.bfloat16):
            there = other(ids.cuda(), layout.to("cuda"))
        there.float().square().mean().backward()
        assert apart(there, here) < 2e-2
        for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
            if mine.grad is not None and mine.grad.norm() > 1e-4:
                assert theirs.grad is not None
                assert apart(theirs.grad, mine.grad) < 0.1


def test_disentangled_attention_and_its_gradient() -> None:
    """In the fused kernel, for several batches in turn, since it is compiled anew for the second."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 256}
    v3 = {"relative_attention": True, "position_buckets": 64, "share_att_key": True, "pos_att_type": ("p2c", "c2p")}
    config = DebertaConfig(vocab_size=90, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **sizes, **v3)
    here = Deberta(config)
    there = copy.deepcopy(here).cuda()
    for lengths in (LENGTHS, [5, 700, 31], [9]):
        ids, target = torch.randint(1, 90, (sum(lengths),)), torch.randn(sum(lengths), 128)
        found = []
        for model in (here, there):
            model.zero_grad()
            device = next(model.parameters()).device
            hidden = model(ids.to(device), Layout.of(lengths, device))
            (hidden * target.to(device)).mean().backward()
            found.append(hidden)
        assert apart(found[1], found[0]) < 1e-3
        for mine, theirs in zip(here.parameters(), there.parameters(), strict=True):
            if mine.grad is not None and theirs.grad is not None and mine.grad.norm() > 1e-6:
                assert apart(theirs.grad, mine.grad) < 1e-2


def test_dropout_of_disentangled_attention_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layout = Layout.of([70] * 30 + [9] * 20, "cuda")
    query, key = (torch.randn(4, layout.num_tokens, 32, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    tiles = Tiles.of(layout, 0, 128, 64, 512)
    tables = (torch.randn(4, 128, 32, device="cuda", dtype=torch.bfloat16), None)
    found = fused(query / 32**0.5, key, torch.ones_like(query), tables, tiles, 0.25)
    assert abs(float(found.float().mean()) - 1) < 0.02

"""Packed attention in bf16 on a processor, by whichever way is faster there, against PyTorch's in fp32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from textome.models import attention
from textome.models.attention import LONGEST_COMPOSED, LONGEST_COMPOSED_WITHOUT_TILES, attend, attend_across
from textome.models.packing import Layout

LENGTHS = [1, 3, 17, 17, 161, 300, 520]


def apart(first: Tensor, second: Tensor) -> float:
    """Distance over size, in fp32."""
    return float((first.detach().float() - second.detach().float()).norm() / second.detach().float().norm())


def reference(query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
    """Every sequence on its own, (T, num_heads, head_size)."""
    pieces = []
    for rows in zip(*(tensor.split(LENGTHS) for tensor in (query, key, value)), strict=True):
        attended = functional.scaled_dot_product_attention(
            *(item.transpose(0, 1)[None] for item in rows), is_causal=causal
        )
        pieces.append(attended[0].transpose(0, 1))
    return torch.cat(pieces)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("longest", [0, LONGEST_COMPOSED, LONGEST_COMPOSED_WITHOUT_TILES, 1024])
def test_both_ways_and_their_gradients_equal_attention_in_fp32(
    longest: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_longest_composed", lambda: longest)
    torch.manual_seed(0)
    whole = [torch.randn(sum(LENGTHS), 4, 32, requires_grad=True) for _ in range(3)]
    halved = [item.detach().to(torch.bfloat16).requires_grad_() for item in whole]
    layout, weights = Layout.of(LENGTHS), torch.randn(sum(LENGTHS), 4, 32)
    expected = reference(*whole, causal=causal)
    (expected * weights).sum().backward()
    found = attend_across(*halved, layout, layout, causal=True) if causal else attend(*halved, layout)
    (found.float() * weights).sum().backward()
    assert apart(found, expected) < 2e-2
    for mine, theirs in zip(halved, whole, strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert apart(mine.grad, theirs.grad) < 4e-2


@pytest.mark.parametrize(("most", "ways"), [(10**9, [161, 300]), (4 * 200_000, [])])
def test_weights_are_kept_in_memory_only_where_a_batch_has_few(
    most: int, ways: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    composed, lengths = attention._composed, []
    monkeypatch.setattr(attention, "_longest_composed", lambda: 512)
    monkeypatch.setattr(attention, "MOST_WEIGHTS", most)
    monkeypatch.setattr(attention, "_composed", lambda *given: lengths.append(given[0].shape[2]) or composed(*given))
    query = torch.randn(sum(LENGTHS), 4, 32, dtype=torch.bfloat16, requires_grad=True)
    attend(query, query, query, Layout.of(LENGTHS))
    assert lengths == [1, 3, 17, *ways]


@pytest.mark.parametrize(
    ("capabilities", "longest"),
    [
        ({"amx_bf16": True}, LONGEST_COMPOSED),
        ({"amx_bf16": False}, LONGEST_COMPOSED_WITHOUT_TILES),
        ({}, LONGEST_COMPOSED),
    ],
)
def test_the_processor_decides(capabilities: dict[str, bool], longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert attention._longest_composed.__wrapped__() == longest

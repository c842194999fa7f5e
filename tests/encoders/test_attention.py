"""Packed attention in bf16 on a processor, by whichever way is faster there, against PyTorch's in fp32."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from textome.encoders.layers import attention, blocked
from textome.encoders.layers.attention import attend, attend_across
from textome.encoders.layers.packing import Layout
from textome.encoders.layers.rotary import Rotation, rotated

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
@pytest.mark.parametrize("held", [1, 2**12, 2**18, 2**22])
@pytest.mark.parametrize("most", [0, 10**9])
def test_both_ways_and_their_gradients_equal_attention_in_fp32(
    most: int, held: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "MOST_WEIGHTS", most)
    monkeypatch.setattr(blocked, "SCORES", held)
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


@pytest.mark.parametrize(("most", "ways"), [(10**9, [161, 300, 520]), (4 * 200_000, [])])
def test_weights_are_kept_in_memory_only_where_a_batch_has_few(
    most: int, ways: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    monkeypatch.setattr(attention, "MOST_WEIGHTS", most)
    monkeypatch.setattr(
        attention, "blocked", lambda *given: lengths.append(given[0].shape[2]) or blocked.blocked(*given)
    )
    query = torch.randn(sum(LENGTHS), 4, 32, dtype=torch.bfloat16, requires_grad=True)
    attend(query, query, query, Layout.of(LENGTHS))
    assert lengths == [1, 3, 17, *ways]
    lengths.clear()
    attend(query, query, query, Layout.of(LENGTHS), 0.1)
    assert lengths == [1, 3, 17, 161, 300, 520]


@settings(deadline=None)
@given(
    count=st.integers(1, 5),
    heads=st.integers(1, 4),
    lengths=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    held=st.sampled_from([1, 50, 200, 1000]),
    dropout=st.sampled_from([0.0, 0.3]),
    masked=st.sampled_from([None, "keys", "pairs", "learns"]),
)
def test_blocks_of_any_size_are_attention_by_its_definition(
    count: int, heads: int, lengths: tuple[int, int], held: int, dropout: float, masked: str | None
) -> None:
    """In fp64; which weights were dropped is read off the result."""
    rows, columns = lengths
    query = torch.randn(count, heads, rows, 4, dtype=torch.float64, requires_grad=True)
    key = torch.randn(count, heads, columns, 4, dtype=torch.float64, requires_grad=True)
    # One value for each key: the result is the weights themselves.
    value = torch.eye(columns, dtype=torch.float64).repeat(count, heads, 1, 1).requires_grad_()
    bias = None
    if masked in ("keys", "pairs"):
        bias = torch.zeros((count, 1, 1, columns) if masked == "keys" else (rows, columns), dtype=torch.float64)
        bias[..., 1:] = torch.where(torch.rand(bias[..., 1:].shape) < 0.4, -torch.inf, 0.0)
    if masked == "learns":
        bias = torch.randn(1, heads, rows, columns, dtype=torch.float64, requires_grad=True)
    learnt = (query, key, value, *([bias] if masked == "learns" and bias is not None else []))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocked, "SCORES", held)
        found = blocked.blocked(query, key, value, dropout, bias)
        chosen = torch.randn_like(found)
        mine = torch.autograd.grad((found * chosen).sum(), learnt)
    scores = query @ key.transpose(-1, -2) / 2
    weights = (scores if bias is None else scores + bias).softmax(-1)
    dropped = round(dropout * 256)
    kept = (found.detach() != 0) * 256 / (256 - dropped)
    expected = weights * kept @ value
    torch.testing.assert_close(found, expected)
    theirs = torch.autograd.grad((expected * chosen).sum(), learnt)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_blocks_drop_as_many_weights_as_they_are_told() -> None:
    query = torch.zeros(8, 4, 64, 16)
    value = torch.eye(64).repeat(8, 4, 1, 1)
    share = (blocked.blocked(query, query, value, 0.25) == 0).float().mean()
    assert abs(float(share) - 0.25) < 0.005


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("window", [1, 4, 40, 64])
def test_attention_within_a_window_is_attention_with_all_else_hidden(window: int, grad: bool) -> None:
    """In fp64, in groups of sequences shorter and longer than the window, and than the runs it is computed in."""
    lengths = [1, 3, 3, 33, 64, 65, 66, 130, 130]
    torch.manual_seed(0)
    tensors = [torch.randn(sum(lengths), 2, 8, dtype=torch.float64, requires_grad=grad) for _ in range(3)]
    found = attend(*tensors, Layout.of(lengths), window=window)
    pieces = []
    for rows in zip(*(tensor.split(lengths) for tensor in tensors), strict=True):
        places = torch.arange(len(rows[0]))
        near = (places[:, None] - places).abs() <= window
        scores = torch.einsum("ihd,jhd->hij", *rows[:2]) / 8**0.5
        weights = scores.masked_fill(~near, -torch.inf).softmax(-1)
        pieces.append(torch.einsum("hij,jhd->ihd", weights, rows[2]))
    expected = torch.cat(pieces)
    torch.testing.assert_close(found, expected)
    if grad:
        chosen = torch.randn_like(found)
        mine, theirs = (torch.autograd.grad((item * chosen).sum(), tensors) for item in (found, expected))
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other)


def test_products_of_rotated_vectors_depend_on_their_distance_alone() -> None:
    """Su et al. 2021, equation 16, and its definition as a complex product (equation 12)."""
    query, key = torch.randn(2, 8).unbind()
    first, second = (
        [rotated(vector[None], Rotation.of(torch.tensor([place]), 8, 100.0))[0] for place in places]
        for vector, places in ((query, (3, 40)), (key, (7, 44)))
    )
    torch.testing.assert_close(first[0] @ second[0], first[1] @ second[1])
    turns = torch.polar(torch.ones(4), 3 * 100.0 ** -(torch.arange(4) / 4))
    turned = torch.complex(query[:4], query[4:]) * turns
    torch.testing.assert_close(first[0], torch.cat([turned.real, turned.imag]))

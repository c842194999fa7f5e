"""R-Drop: the divergence against PyTorch's own, none without dropout, and less of it after training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from captured import captured_job
from textome.errors import InputError
from textome.tasks.spans.iob import IGNORED
from textome.training.divergence import (
    binary_divergence,
    cross_entropy_divergence,
    entity_divergence,
    kl_divergence,
    span_divergence,
)
from textome.training.job import Batch
from textome.training.optimisation.optimiser import build_optimizer
from textome.training.recipe import Training, load_recipe
from textome.training.text.job import TextJob
from tiny import make_recipe
from tiny_tasks import PARTS, make_task_recipe

STILL = ("model.hidden_dropout=0.0", "model.attention_dropout=0.0")


def kl(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Of probabilities, both ways, halved: PyTorch's own."""
    return (
        functional.kl_div(second.log(), first, reduction="sum")
        + functional.kl_div(first.log(), second, reduction="sum")
    ) / 2


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(*shape), torch.randn(*shape)


def test_each_shape_is_the_mean_that_its_loss_is() -> None:
    first, second = pair(4, 6)
    targets = torch.tensor([[0, 1], [IGNORED, 2], [1, IGNORED], [IGNORED, IGNORED]])
    wanted = (
        sum(
            kl(first[row, 3 * head : 3 * head + 3].softmax(-1), second[row, 3 * head : 3 * head + 3].softmax(-1))
            for row, head in [(0, 0), (0, 1), (1, 1), (2, 0)]
        )
        / 4
    )
    assert torch.allclose(entity_divergence(first, second, targets), wanted)
    wanted = sum(kl(first[row].softmax(-1), second[row].softmax(-1)) for row in (0, 2)) / 2
    assert torch.allclose(
        cross_entropy_divergence(first, second, torch.tensor([[3], [IGNORED], [0], [IGNORED]])), wanted
    )
    yes, other = first.sigmoid(), second.sigmoid()
    assert torch.allclose(binary_divergence(first, second), (kl(yes, other) + kl(1 - yes, 1 - other)) / 4)
    first, second = pair(5, 2)
    wanted = (
        sum(
            kl(first[rows, column].softmax(0), second[rows, column].softmax(0)) / 2
            for rows in (slice(0, 2), slice(2, 5))
            for column in (0, 1)
        )
        / 2
    )
    assert torch.allclose(span_divergence(first, second, [2, 3]), wanted)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=6))
def test_it_is_never_negative_and_the_same_both_ways(rows: list[tuple[float, float]]) -> None:
    first, second = (functional.log_softmax(torch.tensor(list(column)), -1) for column in zip(*rows, strict=True))
    assert kl_divergence(first, second) >= 0
    assert torch.equal(kl_divergence(first, second), kl_divergence(second, first))
    assert kl_divergence(first, first) == 0


@pytest.mark.parametrize("name", ["tiny", *(name for name in PARTS if name != "entities")])
def test_without_dropout_nothing_is_added_and_with_it_something(tmp_path: Path, name: str) -> None:
    path = make_recipe(tmp_path) if name == "tiny" else make_task_recipe(tmp_path, name)
    losses = {}
    for weight in ("0.0", "1.0", "5.0"):
        for still in (True, False):
            torch.manual_seed(5)
            overrides = [f"training.r_drop={weight}", *(STILL if still else [])]
            job = captured_job(path, tmp_path / f"{weight}{still}", *overrides)
            job.model.train()
            torch.manual_seed(6)
            losses[weight, still] = job.loss(job.plan(0)[0])[0].item()
    assert losses["1.0", True] == pytest.approx(losses["0.0", True], rel=1e-5)
    assert losses["5.0", False] > losses["1.0", False] + 1e-4


def test_training_with_it_brings_two_passes_together(tmp_path: Path) -> None:
    path = make_recipe(tmp_path)
    distances = []
    for weight in (0.0, 8.0):
        torch.manual_seed(7)
        job = captured_job(path, tmp_path / str(weight), f"training.r_drop={weight}", "model.hidden_dropout=0.3")
        assert isinstance(job, TextJob)
        job.model.train()
        optimizer = build_optimizer(job.model, Training(epochs=1, learning_rate=3e-3))
        torch.manual_seed(8)
        batches = job.plan(0)
        for batch in batches * 2:
            job.loss(batch)[0].backward()
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            twice = captured_distance(job, batches[:6])
        distances.append(twice)
    assert distances[1] < 0.7 * distances[0]


def captured_distance(job: TextJob, batches: list[Batch]) -> float:
    """How far two passes of the model are apart, over some batches."""
    total = 0.0
    for batch in batches:
        task = job.tasks[batch.task]
        packed = task.packed(batch)
        (one, _), (other, _) = (task.logits(job.bare, packed) for _ in range(2))
        total += entity_divergence(one, other, packed.targets).item()
    return total / len(batches)


def test_a_negative_weight_is_an_error_of_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.r_drop"):
        load_recipe(make_recipe(tmp_path), ["training.r_drop=-1"])

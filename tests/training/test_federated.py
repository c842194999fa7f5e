"""Federated averaging: the mean, clients that lie, send rubbish or die, and a run over processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.training.federated import Client, Update, average, federate
from textome.training.recipe import load_recipe
from tiny import make_recipe


def weights(*values: float) -> dict[str, Tensor]:
    return {"a": torch.tensor(values), "b": torch.tensor([[values[0]]])}


START = weights(0.0, 0.0)


def test_honest_clients_are_weighted_by_their_records() -> None:
    found = average([Update("x", 30, weights(1.0, 0.0)), Update("y", 10, weights(0.0, 1.0))], START)
    torch.testing.assert_close(found["a"], torch.tensor([0.75, 0.25]))


def test_who_claims_to_have_more_records_counts_twice_the_median_at_most() -> None:
    said: list[str] = []
    honest = [Update(name, 10, weights(1.0, 0.0)) for name in "abcd"]
    found = average([*honest, Update("liar", 10**9, weights(0.0, 1.0))], START, said.append)
    torch.testing.assert_close(found["a"], torch.tensor([4 / 6, 2 / 6]))
    assert said == ["liar: counts as 20 records, not as 1000000000"]


def test_a_step_much_longer_than_the_others_is_shortened() -> None:
    said: list[str] = []
    honest = [Update(name, 10, weights(1.0, 0.0)) for name in "abcd"]
    found = average([*honest, Update("far", 10, weights(1000.0, 0.0))], START, said.append)
    assert float(found["a"][0]) == pytest.approx((4 + 2) / 5)
    assert "far: its step is shortened to 0%" in said


def test_rubbish_is_left_out_and_nobody_left_is_an_error() -> None:
    said: list[str] = []
    bad = [
        Update("nan", 10, weights(float("nan"), 0.0)),
        Update("none", 0, weights(9.0, 9.0)),
        Update("other", 10, {"a": torch.zeros(3)}),
    ]
    found = average([Update("good", 10, weights(1.0, 2.0)), *bad], START, said.append)
    torch.testing.assert_close(found["a"], torch.tensor([1.0, 2.0]))
    assert len(said) == 3
    with pytest.raises(InputError, match="no client sent weights"):
        average(bad[:1], START)
    first = average([Update(name, 10, weights(1.0, 2.0)) for name in "ab"] + bad, None)
    torch.testing.assert_close(first["a"], torch.tensor([1.0, 2.0]))


@pytest.mark.slow
def test_a_run_goes_on_without_a_client_that_dies(tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path, epochs=1))
    lost = recipe.model_copy(update={"model": recipe.model.model_copy(update={"base": str(tmp_path / "none")})})
    said: list[str] = []
    clients = [Client("one", recipe, 60), Client("two", recipe, 60), Client("lost", lost, 60)]
    folder = federate(clients, 2, tmp_path / "run", say=said.append)
    assert Bundle.load(folder).has_entities
    assert [line for line in said if "round" in line] == ["round 1 of 2: 2 clients", "round 2 of 2: 2 clients"]
    assert [line for line in said if line.startswith("lost: no answer")]
    with pytest.raises(InputError, match="1 clients answered, and 2 are needed"):
        federate([clients[0], clients[2]], 1, tmp_path / "alone")
    with pytest.raises(InputError, match="is there already"):
        federate(clients, 1, tmp_path / "run")

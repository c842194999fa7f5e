"""Federated averaging: the mean, clients that lie, send rubbish or die, and a run over processes."""

from __future__ import annotations

import json
import threading
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import Tensor

from cli.conftest import Run, run  # noqa: F401 - a fixture
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.training.federated import Client, Update, average, federate, train_client
from textome.training.federated_clients import Federation
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


def answers(client: Client, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """What the process of a client sends in each round, to whom its own weights are sent back."""
    ours, theirs = Pipe()
    worker = threading.Thread(target=train_client, args=(client, rounds, folder, theirs))
    worker.start()
    found: list[dict[str, Any]] = []
    message = b"start"
    for _ in range(rounds):
        ours.send_bytes(message)
        found.append(json.loads(ours.recv_bytes()))
        if "error" in found[-1]:
            break
        message = ours.recv_bytes()
        assert "encoder.layer.0.attention.self.query.weight" in " ".join(load(message))
    else:
        ours.send_bytes(b"")
    worker.join()
    return found


def test_the_epsilon_of_a_client_holds_for_all_rounds_together(tmp_path: Path) -> None:
    opacus = pytest.importorskip("opacus.accountants", reason="the extra `privacy` is not installed")
    changes = ["privacy.epsilon=3", "privacy.delta=1e-3", "privacy.batch_records=30", "privacy.accountant=rdp"]
    recipe = load_recipe(make_recipe(tmp_path, epochs=1), changes)
    first, second = answers(Client("one", recipe), 2, tmp_path / "run")
    assert first["records"] == second["records"] == 120
    assert 0 < first["privacy"]["epsilon"] < second["privacy"]["epsilon"] <= 3
    assert second["privacy"]["steps"] == 2 * first["privacy"]["steps"] == 8
    # Two runs on the same records are as one run of twice as many steps with the same noise.
    spent = json.loads((tmp_path / "run" / "round-2" / "privacy.json").read_text())
    accountant = opacus.RDPAccountant()
    for _ in range(8):
        accountant.step(noise_multiplier=spent["noise_multiplier"], sample_rate=30 / 120)
    assert second["privacy"]["epsilon"] == pytest.approx(accountant.get_epsilon(delta=1e-3), abs=1e-3)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["round-2"]


def test_a_client_says_in_one_sentence_what_went_wrong(tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path, epochs=1), ["data.root=nowhere"])
    (found,) = answers(Client("one", recipe), 1, tmp_path / "run")
    assert "diseases.tsv" in found["error"]


CLIENTS = """
rounds = 1
[[clients]]
name = "north"
root = "north"
[[clients]]
name = "south"
set = { "training.learning_rate" = 1e-3 }
"""


def test_clients_have_the_common_recipe_with_their_own_data_and_changes(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, epochs=1)
    (tmp_path / "clients.toml").write_text(CLIENTS)
    federation = Federation.load(tmp_path / "clients.toml")
    north, south = federation.of(recipe, ["training.epochs=2"], tmp_path)
    assert north.recipe.path("diseases.tsv") == str(tmp_path / "north" / "diseases.tsv")
    assert south.recipe.path("diseases.tsv") == str(tmp_path / "diseases.tsv")
    assert (north.recipe.training.learning_rate, south.recipe.training.learning_rate) == (5e-3, 1e-3)
    assert north.recipe.training.epochs == south.recipe.training.epochs == 2
    assert north.records is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('name = "south"', 'name = "../south"'), "'../south' is not a name"),
        (('name = "south"', 'name = "North"'), "two of them have one name"),
        (("rounds = 1", "rounds = 0"), "rounds"),
        (("rounds = 1", "round = 1"), "did you mean 'rounds'"),
        (("rounds = 1", "rounds = 1\nmin_clients = 3"), "min_clients is 3, but there are 2 clients"),
        (("training.learning_rate", "training.rate"), "client south: .*training.rate is not a key of a recipe"),
        (("rounds = 1", "rounds ="), "is not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_of_clients_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "clients.toml").write_text(CLIENTS.replace(*change))
    with pytest.raises(InputError, match=message):
        Federation.load(tmp_path / "clients.toml").of(make_recipe(tmp_path, epochs=1), [], tmp_path)


def test_the_command_refuses_what_it_cannot_do(run: Run, tmp_path: Path) -> None:  # noqa: F811
    recipe = make_recipe(tmp_path, epochs=1)
    found = run("finetune", recipe, "--federated", tmp_path / "none.toml")
    assert (found.code, "the file of the clients cannot be read" in found.err) == (2, True)
    found = run("finetune", recipe, "--federated", tmp_path / "none.toml", "--resume")
    assert (found.code, "--federated does not go with --resume" in found.err) == (2, True)


@pytest.mark.slow
def test_the_command_trains_with_a_client_that_dies_and_one_that_lies(run: Run, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("opacus", reason="the extra `privacy` is not installed")
    recipe = make_recipe(tmp_path, epochs=1)
    more = """
    [[clients]]
    name = "dead"
    root = "nowhere"
    [[clients]]
    name = "liar"
    records = 1000000
    [[clients]]
    name = "private"
    set = { "privacy.epsilon" = 5, "privacy.delta" = 1e-3, "privacy.batch_records" = 30 }
    """
    text = CLIENTS.replace("rounds = 1", "rounds = 2").replace('root = "north"', "")
    (tmp_path / "clients.toml").write_text(text + more)
    found = run("finetune", recipe, "--federated", tmp_path / "clients.toml", "--output", tmp_path / "run")
    assert found.code == 0, found.err
    assert "dead: no answer (" in found.err
    assert "nowhere/diseases.tsv: no such file" in found.err
    assert "liar: counts as 240 records, not as 1000000" in found.err
    assert "round 2 of 2: 4 clients" in found.err
    assert "private: epsilon" in found.err
    folder = tmp_path / "run" / "bundle"
    assert found.out.strip() == str(folder)
    assert Bundle.load(folder).has_entities
    told = (folder / "textome.json").read_text() + (folder / "README.md").read_text()
    assert "sha256" not in told
    assert "| liar | 1,000,000 | none |" in told
    rounds = json.loads((tmp_path / "run" / "federated.json").read_text())
    assert [sorted(one) for one in rounds] == [["liar", "north", "private", "south"]] * 2
    assert rounds[0]["north"]["records"] == 120
    assert 4 < rounds[1]["private"]["privacy"]["epsilon"] <= 5

"""Several processes fine-tune together: what they give is what one gives, sharded or not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from processes import run_together
from textome.errors import InputError
from textome.training.finetune import finetune
from textome.training.kinds import plan_run
from textome.training.optimisation.gradients import Gradients
from textome.training.parallel.processes import Processes, running
from textome.training.recipe import load_recipe
from tiny import make_recipe
from tiny_modalities import write_signals
from training.test_translation import make_recipe as make_translation
from training_runs import records, same_weights

QUIET = ["model.hidden_dropout=0.0", "model.attention_dropout=0.0"]


def told(run: Path) -> tuple[list[float], list[float]]:
    losses = [record["loss"] for record in records(run, "step")]
    return losses, [record["mean"] for record in records(run, "validation")]


SCRIPT = str(Path(__file__).with_name("stopped_run.py"))


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_two_processes_give_what_one_gives(tmp_path: Path, sharding: str) -> None:
    path = make_recipe(tmp_path, epochs=3)
    chosen = [*QUIET, f"training.sharding={sharding}", "training.average=0.9"]
    finetune(load_recipe(path, chosen), tmp_path / "one")
    run_together([SCRIPT, str(path), str(tmp_path / "two"), "-1", *chosen])
    one, two = told(tmp_path / "one"), told(tmp_path / "two")
    assert one[0]
    assert two[0] == pytest.approx(one[0], rel=1e-3)
    assert two[1] == pytest.approx(one[1], abs=0.02)
    bundles = [load_file(tmp_path / run / "bundle" / "model.safetensors") for run in ("one", "two")]
    assert {name: value.shape for name, value in bundles[0].items()} == {
        name: value.shape for name, value in bundles[1].items()
    }


def test_two_processes_train_on_what_is_not_text_as_one_does(tmp_path: Path) -> None:
    place = write_signals(tmp_path)
    path = tmp_path / "recipe.toml"
    path.write_text(
        f'task = "modality"\nname = "tiny"\n[data]\nroot = "{tmp_path}"\ntrain = ["{place}"]\nvalidation = ["{place}"]\n'
        'drop_leaks = false\n[modality]\nkind = "sensors"\nwindow = 8\n[model]\nlayers = 1\nhidden_size = 32\n'
        "num_attention_heads = 2\nintermediate_size = 64\nhidden_dropout = 0.0\n[training]\nepochs = 8\n"
        'learning_rate = 1e-2\ntoken_budget = 64\nprecision = "fp32"\ndevice = "cpu"\nseed = 7\n'
    )
    plan_run(path).start(tmp_path / "one", False, lambda record: None)
    run_together([SCRIPT, str(path), str(tmp_path / "two"), "-1"])
    one, two = told(tmp_path / "one"), told(tmp_path / "two")
    assert one[0]
    assert two[0] == pytest.approx(one[0], rel=1e-3)
    assert two[1] == pytest.approx(one[1], abs=0.05)


@pytest.mark.slow
def test_two_processes_translate_and_take_adversarial_steps_as_one_does(tmp_path: Path) -> None:
    pairs = make_translation(tmp_path, epochs=2, r_drop=0.5)
    (tmp_path / "entities").mkdir()
    entities = make_recipe(tmp_path / "entities", epochs=3)
    for path, chosen in ((pairs, ["training.token_budget=200"]), (entities, [*QUIET, "training.adversarial=0.1"])):
        folder = path.parent
        plan_run(path, chosen).start(folder / "one", False, lambda record: None)
        run_together([SCRIPT, str(path), str(folder / "two"), "-1", *chosen])
        one, two = told(folder / "one"), told(folder / "two")
        assert one[0]
        assert two[0] == pytest.approx(one[0], rel=2e-3)
        assert two[1] == pytest.approx(one[1], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_two_processes_go_on_where_they_stopped_and_so_does_one_of_them(tmp_path: Path, sharding: str) -> None:
    path = make_recipe(tmp_path, epochs=4)
    chosen = [*QUIET, f"training.sharding={sharding}", "training.average=0.9"]
    run_together([SCRIPT, str(path), str(tmp_path / "whole"), "-1", *chosen])
    run_together([SCRIPT, str(path), str(tmp_path / "stopped"), "2", *chosen], expected=9)
    shutil.copytree(tmp_path / "stopped", tmp_path / "alone")
    run_together([SCRIPT, str(path), str(tmp_path / "stopped"), "-1", *chosen])
    assert same_weights(tmp_path / "whole" / "bundle", tmp_path / "stopped" / "bundle")
    # A checkpoint is whole: one process may go on where two stopped.
    finetune(load_recipe(path, chosen), tmp_path / "alone", resume=True)
    assert told(tmp_path / "alone")[1] == pytest.approx(told(tmp_path / "whole")[1], abs=0.02)


class _Batches:
    """Batches of numbers, each with so many tokens as it says."""

    def size(self, batch: list[int]) -> tuple[int, int]:
        return sum(batch), len(batch)

    def cut(self, batch: list[int], budget: int) -> list[list[int]]:
        parts: list[list[int]] = []
        for item in batch:
            if not parts or sum(parts[-1]) + item > budget:
                parts.append([])
            parts[-1].append(item)
        return parts


@pytest.mark.parametrize(("batch", "budget"), [([7] * 9, None), ([1, 2, 3, 50], None), ([5], None), ([4] * 20, 8)])
def test_each_process_has_its_part_of_a_batch(batch: list[int], budget: int | None) -> None:
    processes = Processes.alone(torch.device("cpu"))
    processes.count = 3
    settings: Any = None
    made = Gradients(_Batches(), settings, torch.device("cpu"), "fp32", settings, budget, print, processes)  # type: ignore[arg-type]
    parts = made._parts(batch)
    assert [item for part in parts for item in part] == batch
    if budget is None:
        assert len(parts) <= 3
    else:
        assert all(sum(part) <= budget for part in parts)


@pytest.mark.parametrize(
    ("override", "message"),
    [("training.adversarial=0.5", "adversarial"), ("training.lora_rank=4", "sharding and training.lora_rank")],
)
def test_what_several_processes_cannot_do_is_refused(
    tmp_path: Path, override: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(make_recipe(tmp_path), [override, "training.sharding=full"])
    monkeypatch.setattr(Processes, "__enter__", lambda self: setattr(self, "count", 2) or self)
    monkeypatch.setattr(Processes, "__exit__", lambda *_: None)
    with pytest.raises(InputError, match=message), running(recipe, tmp_path / "run", False):
        pass

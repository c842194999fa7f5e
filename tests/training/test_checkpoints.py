"""A run goes on from what its disk kept, and says what it lost."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from textome.errors import InputError
from textome.training.finetune import finetune
from textome.training.optimisation.checkpoints import load_checkpoint, save_checkpoint
from textome.training.recipe import load_recipe
from tiny import make_recipe
from training_runs import same_weights


def saved(folder: Path, steps: tuple[int, ...]) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in steps:
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        save_checkpoint(folder, model, optimizer, {"step": step}, {"mean": torch.full((2,), float(step))})
    return model, optimizer


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "sha256.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_is_passed_over_and_told(tmp_path: Path, name: str, damage: str) -> None:
    model, optimizer = saved(tmp_path, (1, 2))
    place = tmp_path / "step-0000002" / name
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    if damage == "gone":
        place.unlink()
    told: list[str] = []
    average: dict[str, torch.Tensor] = {}
    state = load_checkpoint(tmp_path, model, optimizer, average, told.append)
    assert state == {"step": 1}
    assert average["mean"].tolist() == [1.0, 1.0]
    assert len(told) == 1
    assert "step-0000002" in told[0]
    assert "going on from the one before" in told[0]


def test_only_damaged_checkpoints_or_another_model_are_errors(tmp_path: Path) -> None:
    _, optimizer = saved(tmp_path, (1,))
    with pytest.raises(InputError, match="belongs to another model"):
        load_checkpoint(tmp_path, nn.Linear(4, 2), optimizer)
    (tmp_path / "step-0000001" / "state.json").write_text("{}")
    with pytest.raises(InputError, match="every checkpoint is damaged"):
        load_checkpoint(tmp_path, nn.Linear(3, 2), optimizer)
    assert load_checkpoint(tmp_path / "nothing", nn.Linear(3, 2), optimizer) is None


def test_a_disk_without_room_leaves_the_checkpoints_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = saved(tmp_path, (1,))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("textome.training.optimisation.checkpoints.write_tensors", full)
        with pytest.raises(InputError, match="No space left on device"):
            save_checkpoint(tmp_path, model, optimizer, {"step": 2})
    assert [item.name for item in tmp_path.iterdir()] == ["step-0000001"]
    assert load_checkpoint(tmp_path, model, optimizer) == {"step": 1}


def test_a_run_whose_last_checkpoint_is_damaged_ends_with_the_same_weights(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=3, average=0.9)
    whole = finetune(load_recipe(path), tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "again", ignore=shutil.ignore_patterns("bundle"))
    newest = max((tmp_path / "again" / "checkpoints").glob("step-*"))
    (newest / "model.safetensors").write_bytes(b"")
    records: list[dict[str, object]] = []
    again = finetune(load_recipe(path), tmp_path / "again", resume=True, report=records.append)
    assert any(record["event"] == "damaged" and newest.name in str(record["message"]) for record in records)
    assert same_weights(whole, again)


@pytest.mark.slow
def test_twenty_kills_change_no_bit(tmp_path: Path) -> None:
    """SIGKILL at random moments of a run with everything that has a state: mean of weights, adversary, dropout."""
    path = make_recipe(tmp_path, epochs=40, average=0.99, adversarial=0.5, layer_decay=0.9, checkpoint_minutes=1e-9)
    command = [sys.executable, "-m", "textome.cli.main", "finetune", str(path), "--output"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    generator = random.Random(5)
    kills = 0
    while kills < 20:
        resume = ["--resume"] if (tmp_path / "killed" / "recipe.json").exists() else []
        process = subprocess.Popen([*command, str(tmp_path / "killed"), *resume], stderr=subprocess.DEVNULL)
        log = tmp_path / "killed" / "metrics.jsonl"
        length = log.stat().st_size if log.exists() else 0
        while process.poll() is None and (not log.exists() or log.stat().st_size == length):
            time.sleep(0.02)
        time.sleep(generator.random() * 0.4)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills == 20, "the run ended before it could be killed 20 times; give it more epochs"
    subprocess.run([*command, str(tmp_path / "killed"), "--resume"], check=True, capture_output=True)
    assert same_weights(tmp_path / "whole" / "bundle", tmp_path / "killed" / "bundle")

"""One place for the device: what is chosen, what is told where it is missing, and fp16 with scaled gradients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from textome.cli.main import application
from textome.errors import DeviceError, InputError
from textome.training import devices as module
from textome.training.devices import choose_device, devices, gradient_scaler, precision_for
from textome.training.finetune import finetune
from textome.training.parallel.processes import Processes
from textome.training.recipe import load_recipe
from tiny import make_pretraining_recipe, make_recipe
from training_runs import same_weights, stopped


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(module, "find_spec", lambda name: None)


def test_auto_is_the_best_device_that_is_there(monkeypatch: pytest.MonkeyPatch, no_accelerator: None) -> None:
    assert choose_device() == choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device() == torch.device("cuda", 0)
    assert choose_device("auto", 3) == torch.device("cuda", 3)
    assert choose_device("cpu", 3) == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert Processes().device == torch.device("cuda", 2)
    assert Processes("cpu").device == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps", "xla"])
def test_a_device_that_is_not_there_is_told_with_what_to_do(name: str, no_accelerator: None) -> None:
    with pytest.raises(DeviceError, match=f"--device {name}: .") as caught:
        choose_device(name)
    assert caught.value.exit_code == 3
    assert devices()[name] in str(caught.value)


def test_every_device_is_listed(no_accelerator: None) -> None:
    found = devices()
    assert list(found) == ["cpu", "cuda", "mps", "xla"]
    assert found["cpu"].startswith("there")
    assert not any(found[name].startswith("there") for name in ("cuda", "mps", "xla"))


def test_only_a_driver_is_missing_where_pytorch_has_cuda(monkeypatch: pytest.MonkeyPatch, no_accelerator: None) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "nvidia-smi" in devices()["cuda"]
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built without CUDA" in devices()["cuda"]


def test_fp16_is_refused_where_gradients_cannot_be_scaled() -> None:
    with pytest.raises(InputError, match="fp16"):
        precision_for("fp16", torch.device("mps"))
    assert gradient_scaler(torch.device("cpu"), "fp16").is_enabled()
    assert not gradient_scaler(torch.device("cpu"), "bf16").is_enabled()


def test_fp16_leaves_out_steps_that_overflow_and_resumes_with_its_scale(tmp_path: Path) -> None:
    """The first scale, 65,536, is too much for a loss of several, so the first steps must be left out."""
    path = make_recipe(tmp_path, epochs=2, precision="fp16", token_budget=512)
    recipe = load_recipe(path)
    original = torch.amp.GradScaler.update
    scales: list[float] = []

    def update(self: torch.amp.GradScaler) -> None:
        original(self)
        scales.append(self.get_scale())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.amp.GradScaler, "update", update)
        whole = finetune(recipe, tmp_path / "whole")
    state = json.loads(max((tmp_path / "whole/checkpoints").glob("step-*/state.json")).read_text())
    assert state["scaler"]["scale"] == scales[-1]

    with stopped(torch.amp.GradScaler, "update", len(scales) // 2 + 1):
        finetune(recipe, tmp_path / "stopped")
    resumed = finetune(recipe, tmp_path / "stopped", resume=True)
    assert same_weights(whole, resumed)


def test_an_overflow_changes_no_weight() -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scaler = gradient_scaler(torch.device("cpu"), "fp16")
    before = model.weight.detach().clone()
    scaler.scale((model(torch.ones(1, 2)) * 1e36).sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(model.weight, before)
    assert scaler.get_scale() == 32768.0


def test_a_run_may_go_on_on_another_device(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1)
    finetune(load_recipe(path), tmp_path / "run")
    free = ["training.device=cpu", "training.checkpoint_minutes=1", "description=another"]
    finetune(load_recipe(path, free), tmp_path / "run", resume=True)
    other = ["training.epochs=2", "corpora.drugs.repeat=2", "model.window=31"]
    differs = (
        r"another recipe, which differs in model\.window, tasks\.entities\.corpora\.drugs\.repeat, training\.epochs;"
    )
    with pytest.raises(InputError, match=differs):
        finetune(load_recipe(path, other), tmp_path / "run", resume=True)


def test_a_start_that_failed_leaves_no_folder_in_the_way(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("kept")
    for folder in (tmp_path / "run", tmp_path / "own"):
        with pytest.raises(InputError):
            finetune(load_recipe(path, ['corpora.drugs.train=["none.tsv"]']), folder)
        assert not (folder / "recipe.json").exists()
        assert finetune(load_recipe(path), folder).is_dir()
    assert (tmp_path / "own" / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("verb", ["finetune", "pretrain"])
def test_the_command_line_names_the_device(verb: str, tmp_path: Path, no_accelerator: None) -> None:
    path = make_recipe(tmp_path, epochs=1) if verb == "finetune" else make_pretraining_recipe(tmp_path, tokens=500)
    result = CliRunner().invoke(application(), [verb, str(path), "-o", str(tmp_path / "run"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run/recipe.json").read_text())["training"]["device"] == "cpu"
    result = CliRunner().invoke(application(), [verb, str(path), "-o", str(tmp_path / "other"), "--device", "cuda"])
    assert isinstance(result.exception, DeviceError)
    result = CliRunner().invoke(application(), [verb, str(path), "-o", str(tmp_path / "other"), "--device", "gpu"])
    assert "training.device" in str(result.exception)

"""Private training: the lots, the noise, what is spent, what is refused, and a run that is stopped and goes on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from captured import captured_job
from one_model import entities_of
from textome.cli.main import application
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.training import loop
from textome.training.devices import gradient_scaler
from textome.training.finetune import finetune
from textome.training.kinds import plan_run
from textome.training.recipe import Privacy, Training, load_recipe
from textome.training.techniques import privacy
from textome.training.techniques.privacy import PrivateGradients, PrivateJob, epsilon_of, prepare
from tiny import make_recipe
from tiny_tasks import make_task_recipe

pytest.importorskip("opacus", reason="the extra `privacy` is not installed")
CPU = torch.device("cpu")
NOISY = Privacy(noise_multiplier=1.5, delta=1e-3, batch_records=10, max_grad_norm=0.7)
PRIVATE = ("privacy.noise_multiplier=0.8", "privacy.delta=1e-3", "privacy.batch_records=20")


def private_job(tmp_path: Path, settings: Privacy = NOISY, secret: int = 5) -> PrivateJob:
    return PrivateJob(captured_job(make_recipe(tmp_path), tmp_path / "captured"), settings, secret)


def gradients(job: PrivateJob, budget: int | None = 100) -> PrivateGradients:
    training = Training(epochs=1, learning_rate=1e-3)
    return PrivateGradients(job, training, CPU, "fp32", gradient_scaler(CPU, "fp32"), budget, lambda message: None)


def test_each_record_has_a_lot_of_its_own_in_each_step(tmp_path: Path) -> None:
    job = private_job(tmp_path)
    drawn = np.zeros((12 * 40, 120), bool)
    steps = [records for epoch in range(40) for records in job.plan(epoch)]
    assert len(steps) == len(drawn)
    for row, records in zip(drawn, steps, strict=True):
        row[records] = True
        assert len(set(records)) == len(records)
    expected, deviation = 10 / 120, math.sqrt(10 / 120 * 110 / 120)
    assert abs(drawn.mean() - expected) < 4 * deviation / math.sqrt(drawn.size)
    assert np.abs(drawn.mean(0) - expected).max() < 4.5 * deviation / math.sqrt(len(drawn))
    # The sizes of batches vary as those of independent lots do, and lots of neighbours do not hang together.
    assert drawn.sum(1).var() == pytest.approx(120 * deviation**2, rel=0.3)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.2
    assert job.plan(3) == job.plan(3) != job.plan(4)


def test_the_noise_has_its_size_and_nothing_else_is_added(tmp_path: Path) -> None:
    job = private_job(tmp_path)
    batch = job.plan(0)[0]
    job.model.eval()
    torch.manual_seed(0)
    value, tokens = gradients(job).add(batch, "here")
    assert tokens == job.size(batch)[0]
    assert float(value) == pytest.approx(job.each(batch).losses.mean().item(), rel=1e-5)
    noisy = torch.cat([item.grad.flatten() for item in job.model.parameters()])
    quiet = private_job(tmp_path / "quiet", NOISY.model_copy(update={"noise_multiplier": 0.0}))
    quiet.model.load_state_dict(job.model.state_dict())
    quiet.model.eval()
    gradients(quiet).add(batch, "here")
    plain = torch.cat([item.grad.flatten() for item in quiet.model.parameters()])
    assert plain.norm() <= len(batch) * 0.7 / 10
    noise = noisy - plain
    assert noise.std() == pytest.approx(1.5 * 0.7 / 10, rel=0.02)
    assert abs(noise.mean()) < 5 * 1.5 * 0.7 / 10 / math.sqrt(len(noise))


def test_parts_of_a_batch_and_an_empty_batch(tmp_path: Path) -> None:
    job = private_job(tmp_path, NOISY.model_copy(update={"noise_multiplier": 1e-9}))
    job.model.eval()
    found = []
    for budget in (None, 40):
        job.model.zero_grad(set_to_none=True)
        gradients(job, budget).add(job.plan(0)[0], "here")
        found.append(torch.cat([item.grad.flatten() for item in job.model.parameters()]))
    assert torch.allclose(found[0], found[1], atol=1e-6)
    job.model.zero_grad(set_to_none=True)
    assert gradients(job).add([], "here") == (0.0, 0)
    assert 0 < torch.cat([item.grad.flatten() for item in job.model.parameters()]).abs().max() < 1e-8


def exact_delta(epsilon: float, noise: float, steps: int) -> float:
    """Of a mechanism with normal noise, all records in each step: Balle and Wang 2018, equation 6."""

    def normal(value: float) -> float:
        return math.erfc(-value / math.sqrt(2)) / 2

    size = math.sqrt(steps) / noise
    return normal(size / 2 - epsilon / size) - math.exp(epsilon) * normal(-size / 2 - epsilon / size)


@pytest.mark.parametrize(("noise", "steps"), [(4.0, 10), (1.0, 1), (20.0, 500)])
def test_epsilon_bounds_the_exact_one_where_there_is_a_formula(noise: float, steps: int) -> None:
    settings = Privacy(noise_multiplier=noise, delta=1e-5, batch_records=50)
    found, accountant = epsilon_of(settings, 50, steps)
    assert accountant == "prv"
    assert exact_delta(found, noise, steps) <= 1e-5, "it is an upper bound"
    assert exact_delta(found - 0.03, noise, steps) > 1e-5, "and a near one"
    assert epsilon_of(settings.model_copy(update={"accountant": "rdp"}), 50, steps)[0] > found
    assert epsilon_of(settings, 5000, steps)[0] < found, "fewer records in a step tell less"
    assert epsilon_of(settings, 50, 0)[0] == 0.0


def test_where_one_accountant_loses_its_digits_the_other_counts() -> None:
    found, accountant = epsilon_of(Privacy(noise_multiplier=0.1, delta=1e-5, batch_records=20), 200, 100)
    assert accountant == "rdp"
    assert 100 < found < math.inf


def test_epsilon_gives_the_noise_for_all_steps(tmp_path: Path) -> None:
    job = captured_job(make_recipe(tmp_path), tmp_path / "captured")
    settings = Privacy(epsilon=3.0, delta=1e-3, batch_records=30)
    private, training = prepare(job, settings, Training(epochs=5, learning_rate=1e-3), tmp_path)
    assert 2.9 < epsilon_of(private.settings, 120, 5 * 4)[0] <= 3.0
    assert training.max_grad_norm == math.inf, "cutting the noisy sum would only hide how large it is"
    assert training.micro_budget == training.token_budget


def test_a_private_run_tells_what_it_spent_and_its_bundle_too(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, epochs=6)
    result = CliRunner().invoke(
        application(),
        ["finetune", str(recipe), "--output", str(tmp_path / "run"), *(f"--set={item}" for item in PRIVATE)],
    )
    assert result.exit_code == 0, result.output
    spent = json.loads((tmp_path / "run" / "privacy.json").read_text())
    assert spent["steps"] == 36
    assert spent["epsilon"] == pytest.approx(
        epsilon_of(Privacy(noise_multiplier=0.8, delta=1e-3, batch_records=20), 120, 36)[0], abs=1e-3
    )
    assert f"privacy spent: epsilon {spent['epsilon']:.2f} at delta 0.001" in result.stderr
    bundle = tmp_path / "run" / "bundle"
    assert json.loads((bundle / "textome.json").read_text())["provenance"]["privacy"] == spent
    assert f"epsilon {spent['epsilon']:.2f} at delta 0.001" in (bundle / "README.md").read_text()
    assert not (tmp_path / "run" / "privacy-secret.json").exists()
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    assert entities_of(bundle).annotate("no gout was seen") is not None


def test_it_learns_in_spite_of_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The seed of a private run is a secret, so another one each time; with a known one the score is always the same.
    monkeypatch.setattr(privacy.secrets, "randbits", lambda bits: 77)
    changes = ("privacy.noise_multiplier=0.02", "privacy.delta=1e-3", "privacy.batch_records=15", "training.epochs=12")
    plan_run(make_recipe(tmp_path), changes).start(tmp_path / "run", False, lambda record: None)
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["best"] > 0.75


@pytest.mark.parametrize("name", ["topics", "treats", "answers"])
def test_tasks_are_trained_privately(tmp_path: Path, name: str) -> None:
    recipe = make_task_recipe(tmp_path, name, epochs=1)
    changes = [*PRIVATE] + (["tasks.topics.labels=['disease', 'drug']"] if name == "topics" else [])
    bundle = plan_run(recipe, changes).start(tmp_path / "run", False, lambda record: None)
    spent = json.loads((bundle / "textome.json").read_text())["provenance"]["privacy"]
    assert spent["steps"] == 3
    assert spent["sample_rate"] == pytest.approx(20 / 60)


def test_a_private_run_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = (*PRIVATE, "privacy.accountant=rdp")
    recipe = load_recipe(make_recipe(tmp_path, epochs=2, checkpoint_minutes=1e-9), settings)
    monkeypatch.setattr(privacy.secrets, "randbits", lambda bits: 77)
    undisturbed = finetune(recipe, tmp_path / "undisturbed")

    class StopError(Exception):
        pass

    save = loop.save_checkpoint

    def stopping(folder: Path, model: Any, optimizer: Any, state: Any, *more: Any, **keywords: Any) -> None:
        save(folder, model, optimizer, state, *more, **keywords)
        if state["step"] == 7:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", stopping)
        with pytest.raises(StopError):
            finetune(recipe, tmp_path / "run")
    assert (tmp_path / "run" / "privacy-secret.json").stat().st_mode & 0o77 == 0
    monkeypatch.setattr(privacy.secrets, "randbits", lambda bits: 78)
    resumed = finetune(recipe, tmp_path / "run", True)
    first, second = (load_file(place / "model.safetensors") for place in (undisturbed, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = finetune(recipe, tmp_path / "other")
    assert not all(torch.equal(first[name], item) for name, item in load_file(other / "model.safetensors").items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("privacy.epsilon=3", "either epsilon or noise_multiplier"),
        ("training.r_drop=1", "privacy and training.r_drop do not go together"),
        ("training.word_mixing=1", "privacy and training.word_mixing do not go together"),
        ("training.adversarial=1", "privacy and training.adversarial do not go together"),
        ("training.precision=fp16", "fp16"),
        ("distillation.teacher=x", "distillation and privacy do not go together"),
        ("corpora.drugs.repeat=2", "repeat and changed readings"),
        ("privacy.noise=2", "did you mean 'noise_multiplier'"),
    ],
)
def test_what_would_break_the_guarantee_is_refused(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe(make_recipe(tmp_path), [*PRIVATE, change])


@pytest.mark.parametrize(
    ("names", "change", "message"),
    [
        (("single",), "training.epochs=1", "needs the labels"),
        (("single", "roles"), "training.epochs=1", "one task"),
        (("roles",), "training.epochs=1", "class_weights"),
        (("treats",), "tasks.treats.negative_ratio=1.0", "negative_ratio"),
        (("answers",), "tasks.answers.shots=3", "shots"),
    ],
)
def test_tasks_whose_records_are_chosen_together_are_refused(
    tmp_path: Path, names: tuple[str, ...], change: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan_run(make_task_recipe(tmp_path, *names), [*PRIVATE, change])


def test_a_delta_or_epsilon_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    with pytest.raises(InputError, match="a delta of 1/120 or more"):
        plan_run(recipe, [*PRIVATE, "privacy.delta=0.01"]).start(tmp_path / "a", False, lambda record: None)
    changes = ["privacy.epsilon=1e-9", "privacy.delta=1e-3", "privacy.batch_records=20"]
    with pytest.raises(InputError, match="cannot be kept with"):
        plan_run(recipe, changes).start(tmp_path / "b", False, lambda record: None)

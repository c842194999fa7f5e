"""A batch in parts gives the gradient of the whole; layers computed twice too; memory that does not suffice is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from captured import captured_job
from textome.encoders.bert.model import BertConfig
from textome.encoders.build import read_encoder_config
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.encoders.recompute import recompute
from textome.errors import InputError
from textome.training.devices import gradient_scaler
from textome.training.finetune import finetune
from textome.training.optimisation.gradients import Gradients
from textome.training.recipe import Training, load_recipe
from textome.training.text.job import TextJob
from tiny import CONFIG, make_pretraining_recipe, make_recipe
from tiny_tasks import PARTS, make_task_recipe
from training_runs import same_weights

CPU = torch.device("cpu")
STILL = ("model.hidden_dropout=0.0", "model.attention_dropout=0.0")


def gradients(job: Any, **settings: Any) -> Gradients:
    training = Training(epochs=1, learning_rate=1e-3, **settings)
    scaler = gradient_scaler(CPU, "fp32")
    return Gradients(job, training, CPU, "fp32", scaler, training.micro_budget, lambda message: None)


def gradient(job: Any, batch: Any, **settings: Any) -> tuple[float, int, dict[str, torch.Tensor]]:
    job.model.train()
    job.model.zero_grad(set_to_none=True)
    value, tokens = gradients(job, **settings).add(batch, "here")
    found = {name: item.grad.clone() for name, item in job.model.named_parameters() if item.grad is not None}
    return float(value), tokens, found


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], rel: float = 1e-5) -> None:
    assert first.keys() == second.keys()
    size = torch.stack([item.norm() for item in first.values()]).norm()
    assert size > 1e-3
    for name in first:  # against the whole, since of some weights all of the gradient is rounding
        assert (first[name] - second[name]).norm() < rel * size, name


def agree(job: Any, batch: Any, **settings: Any) -> None:
    whole = gradient(job, batch, **settings)
    cuts = ((budget, job.cut(batch, budget)) for budget in range(30, 200, 5))
    # Parts that count alike would not tell a mean of means from the mean.
    budget, parts = next((at, cut) for at, cut in cuts if len({job.size(part)[1] for part in cut}) > 1)
    assert len(parts) > 1
    assert job.size(batch) == tuple(map(sum, zip(*map(job.size, parts), strict=True)))
    divided = gradient(job, batch, micro_budget=budget, **settings)
    assert divided[0] == pytest.approx(whole[0], rel=1e-5)
    assert divided[1] == whole[1] == job.size(batch)[0]
    same(whole[2], divided[2])


@pytest.mark.parametrize("adversarial", [0.0, 0.5])
def test_parts_of_a_batch_of_entities_give_its_gradient(tmp_path: Path, adversarial: float) -> None:
    job = captured_job(make_recipe(tmp_path), tmp_path / "run", *STILL)
    agree(job, job.plan(0)[0], adversarial=adversarial)


@pytest.mark.parametrize("name", [name for name in PARTS if name != "entities"])
def test_parts_of_a_batch_of_any_task_give_its_gradient(tmp_path: Path, name: str) -> None:
    job = captured_job(make_task_recipe(tmp_path, name), tmp_path / "run", *STILL)
    agree(job, job.plan(0)[0])


@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_layers_computed_again_give_the_same_gradients_bit_for_bit(kind: str) -> None:
    values = CONFIG | {"vocab_size": 50, "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2}
    if kind == "deberta-v2":
        values |= {"model_type": kind, "relative_attention": True, "pos_att_type": ["c2p", "p2c"],
                   "position_buckets": 8, "max_relative_positions": -1, "conv_kernel_size": 3,
                   "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False}  # fmt: skip
    config = read_encoder_config(values)
    passes = 0

    def run(again: bool) -> dict[str, torch.Tensor]:
        nonlocal passes
        torch.manual_seed(0)
        net = TokenClassifier(config, 3).train()
        layer: nn.Module = net.encoder.layers[0]  # type: ignore[assignment]
        if again:
            recompute(net.encoder)

        def count(*_: object) -> None:
            nonlocal passes
            passes += 1

        layer.attention.register_forward_hook(count)  # type: ignore[union-attr, operator]
        net(torch.arange(12), Layout.of([5, 7])).square().sum().backward()
        return {name: item.grad for name, item in net.named_parameters() if item.grad is not None}

    plain = run(False)
    assert passes == 1
    again = run(True)
    assert passes == 3
    assert plain.keys() == again.keys()
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_checkpoints_and_names_know_nothing_of_layers_computed_again() -> None:
    net = TokenClassifier(BertConfig.from_dict(CONFIG | {"vocab_size": 50}), 3)
    names = list(net.state_dict())
    recompute(net.encoder)
    assert list(net.state_dict()) == names
    assert list(dict(net.named_modules())) == list(
        dict(TokenClassifier(BertConfig.from_dict(CONFIG | {"vocab_size": 50}), 3).named_modules())
    )


def test_a_run_with_layers_computed_again_is_the_same_run(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1)
    first, second = (
        load_file(finetune(load_recipe(path, [f"training.gradient_checkpointing={way}"]), tmp_path / way)
                  / "model.safetensors")
        for way in ("false", "true")
    )  # fmt: skip
    assert all(torch.equal(first[name], second[name]) for name in first)


def narrow(monkeypatch: pytest.MonkeyPatch, most: int, error: RuntimeError) -> None:
    """A device on which more than `most` tokens at once do not fit. It fails after random numbers have been drawn."""
    original = TextJob.loss

    def loss(self: TextJob, batch: Any) -> tuple[torch.Tensor, int]:
        found = original(self, batch)
        if found[1] > most:
            raise error
        return found

    monkeypatch.setattr(TextJob, "loss", loss)


ERRORS = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    path = make_recipe(tmp_path, epochs=1)
    narrow(monkeypatch, 70, error)
    with pytest.raises(
        InputError, match=r"step 0: out of memory at a batch of 1\d\d tokens.*micro_budget=\d\d .*resume"
    ):
        finetune(load_recipe(path), tmp_path / "run")
    finetune(load_recipe(path, ["training.micro_budget=64"]), tmp_path / "run", resume=True)


def test_a_resumed_run_heeds_a_smaller_budget_than_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_recipe(tmp_path, epochs=2, checkpoint_minutes=1e-9)
    original, seen = TextJob.loss, [0]

    def loss(self: TextJob, batch: Any) -> tuple[torch.Tensor, int]:
        seen[0] += 1
        if seen[0] > 10 and self.size(batch)[0] > 40:
            raise ERRORS[0]
        return original(self, batch)

    monkeypatch.setattr(TextJob, "loss", loss)
    with pytest.raises(InputError, match="out of memory"):
        finetune(load_recipe(path, ["training.micro_budget=80"]), tmp_path / "run")
    assert list((tmp_path / "run/checkpoints").glob("step-*"))
    finetune(load_recipe(path, ["training.micro_budget=40"]), tmp_path / "run", resume=True)


def test_a_run_that_halves_its_budget_is_the_run_with_that_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout: a batch that is tried again draws the same random numbers."""
    path = make_recipe(tmp_path, epochs=2)
    narrow(monkeypatch, 70, ERRORS[0])
    halved = finetune(load_recipe(path, ["training.out_of_memory=halve"]), tmp_path / "halved")
    lines = [json.loads(line) for line in (tmp_path / "halved/metrics.jsonl").read_text().splitlines()]
    told = [line["message"] for line in lines if line["event"] == "memory"]
    assert len(told) == 1
    budget = int(told[0].rpartition("at most ")[2].split()[0])
    assert 32 < budget <= 70
    assert "out of memory" in (tmp_path / "halved/report.html").read_text()
    given = finetune(load_recipe(path, [f"training.micro_budget={budget}"]), tmp_path / "given")
    assert same_weights(halved, given)


def test_a_single_example_that_does_not_fit_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch, 2, ERRORS[0])
    with pytest.raises(InputError, match="cannot be cut further"):
        finetune(load_recipe(make_recipe(tmp_path), ["training.out_of_memory=halve"]), tmp_path / "run")


def test_other_errors_are_not_taken_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch, 2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        finetune(load_recipe(make_recipe(tmp_path), ["training.out_of_memory=halve"]), tmp_path / "run")


@pytest.mark.parametrize("pairs", ["false", "true"])
def test_pretraining_in_parts_gives_the_losses_of_whole_batches(tmp_path: Path, pairs: str) -> None:
    path = make_pretraining_recipe(tmp_path, tokens=8000)
    losses = []
    for name, more in (("whole", []), ("parts", ["training.micro_budget=32", "training.gradient_checkpointing=true"])):
        overrides = ["model.hidden_dropout=0.0", f"masking.next_sentence={pairs}", *more]
        finetune(load_recipe(path, overrides), tmp_path / name)
        lines = map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
        losses.append([line["loss"] for line in lines if line["event"] == "step"])
    assert len(losses[0]) >= 3
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)

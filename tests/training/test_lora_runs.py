"""Runs with LoRA: they learn, resume bit for bit, and leave plain bundles."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

from textome.training.kinds import plan_run
from tiny import make_recipe
from tiny_tasks import make_task_recipe
from training_runs import same_weights, stopped


def scores(run: Path) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["mean"] for line in lines if line["event"] == "validation"]


def run(path: Path, folder: Path, *overrides: str, resume: bool = False) -> Path:
    return plan_run(path, overrides).start(folder, resume, lambda record: None)


def test_entities_are_learnt_and_the_embeddings_stay(tmp_path: Path) -> None:
    path = make_recipe(tmp_path)
    overrides = ["training.lora_rank=8", "training.learning_rate=2e-2", "training.average=0.9"]
    bundle = run(path, tmp_path / "run", *overrides, "model.hidden_dropout=0.0", "model.attention_dropout=0.0")
    assert max(scores(tmp_path / "run")) > 0.9
    before = {f"bert.{name}": item for name, item in load_file(tmp_path / "base/model.safetensors").items()}
    after = load_file(bundle / "model.safetensors")
    same = {name for name in before.keys() & after.keys() if torch.equal(before[name], after[name])}
    assert same == {name for name in after if name in before and (".layer." not in name or "LayerNorm" in name or
                                                                  name.endswith("bias"))}  # fmt: skip
    transformers.AutoModelForTokenClassification.from_pretrained(bundle)


def test_a_task_is_learnt_beside_frozen_layers(tmp_path: Path) -> None:
    path = make_task_recipe(tmp_path, "single", epochs=20)
    bundle = run(path, tmp_path / "run", "training.lora_rank=8", "training.frozen_layers=1")
    assert max(scores(tmp_path / "run")) > 0.9
    before = {f"bert.{name}": item for name, item in load_file(tmp_path / "base/model.safetensors").items()}
    after = load_file(bundle / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before if "layer.0" in name)
    learnt = "bert.encoder.layer.1.output.dense.weight"
    assert not torch.equal(before[learnt], after[learnt])


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=2, lora_rank=4)
    whole = run(path, tmp_path / "whole")
    with stopped(torch.optim.AdamW, "step", 11):
        run(path, tmp_path / "stopped")
    resumed = run(path, tmp_path / "stopped", resume=True)
    assert same_weights(whole, resumed)

"""Fine-tuning for tasks: read top to bottom, this is the whole run; `loop` goes through its batches.

A run's folder holds what a run for entities leaves, and at the end the bundle in `bundle/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from textome.encoders import encoder_of
from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TaskModel
from textome.text.tokenization import Tokenizer
from textome.training.bundles import architecture, base_directory, environment, lineage, privacy_lines, write_folder
from textome.training.devices import autocast, precision_for
from textome.training.loop import train
from textome.training.parallel import Processes, running
from textome.training.preparation import prepare_encoder, read_base
from textome.training.privacy import train_privately
from textome.training.recipe import told
from textome.training.run import Report, write_json
from textome.training.sharding import make_whole
from textome.training.task_data import TaskData, load_task
from textome.training.task_job import TaskJob
from textome.training.task_recipe import TaskRecipe


def finetune_tasks(recipe: TaskRecipe, folder: Path, resume: bool = False, report: Report = lambda event: None) -> Path:
    """Train by a recipe and return the folder of the finished bundle.

    Raises InputError where the folder holds another run, data are missing, or the loss is no number.
    """
    with running(recipe, folder, resume) as processes:
        return _finetune(recipe, folder, resume, report if processes.first else lambda event: None, processes)


def _finetune(recipe: TaskRecipe, folder: Path, resume: bool, report: Report, processes: Processes) -> Path:
    device = processes.device
    base = base_directory(recipe.model.base)
    tokenizer = Tokenizer.load(base)
    tasks = [load_task(recipe, table, tokenizer) for table in recipe.tasks]
    model, config = _build(recipe, base, {data.table.name: data.task.head for data in tasks})
    finish = prepare_encoder(model.encoder, recipe.training)
    model.to(device)
    job = TaskJob(recipe, model, tasks, tokenizer, device)
    if processes.first:
        write_json(folder / "data.json", _data_report(tasks))
        write_json(folder / "environment.json", environment(device))
    twin = processes.sharded(model, model.encoder, recipe.training.sharding)
    spent, settings = None, recipe.training
    facts: dict[str, Any] = {"processes": processes, "tokens_per_epoch": job.tokens}
    if recipe.privacy is None:
        progress = train(job, settings, folder, device, resume, report, **facts)
    else:
        progress, spent = train_privately(job, recipe.privacy, settings, folder, device, resume, report, **facts)
    finish()
    _calibrate(job, recipe, device)
    make_whole(twin, model)
    if processes.first:
        _write(folder / "bundle", twin, config, base, recipe, tasks, vars(progress), spent)
    processes.wait()
    return folder / "bundle"


def _build(recipe: TaskRecipe, base: Path, sizes: Mapping[str, tuple[int, int]]) -> tuple[TaskModel, dict[str, Any]]:
    values, tensors = read_base(recipe.model, base)
    model = TaskModel(read_encoder_config(values), sizes)
    load_tensors(model, tensors, str(base), fresh=("heads.",))
    return model, values


def _calibrate(job: TaskJob, recipe: TaskRecipe, device: torch.device) -> None:
    """Give each task with validation data the temperature and threshold that fit it best."""
    job.model.eval()
    with torch.no_grad(), autocast(device, precision_for(recipe.training.precision, device)):
        for data in job.tasks:
            if data.validation:
                examples = job.examples(data, data.validation)
                data.task = data.task.calibrated(data.validation, examples, job.scores(data, examples))


def _write(
    folder: Path,
    model: TaskModel,
    config: Mapping[str, Any],
    base: Path,
    recipe: TaskRecipe,
    tasks: Sequence[TaskData],
    progress: Mapping[str, Any],
    spent: Mapping[str, Any] | None,
) -> Path:
    described = {key: value for key, value in config.items() if key not in ("id2label", "label2id")}
    described["architectures"] = [architecture(config, "Model")]
    described |= encoder_of(config).config
    if len(tasks) == 1 and (joined := tasks[0].task.head.num_pooled_positions) <= 1:
        labels = tasks[0].task.label_names
        described["architectures"] = [
            architecture(config, "ForSequenceClassification" if joined else "ForTokenClassification")
        ]
        described["id2label"] = {str(number): name for number, name in enumerate(labels)}
        described["label2id"] = {name: number for number, name in enumerate(labels)}
    description = {
        "format_version": 2,
        "name": recipe.name,
        "input": {"kind": "text", "window": recipe.model.window, "overlap": recipe.model.overlap},
        "tasks": {data.table.name: data.task.model_dump(mode="json") for data in tasks},
        "provenance": {
            "recipe": told(recipe),
            "data": {data.table.name: data.hashes for data in tasks},
            "left_out_as_leaks": {data.table.name: data.leaks for data in tasks},
            "validation": progress["scores"],
            "best_epoch": progress["best_epoch"],
            "environment": environment(next(model.parameters()).device),
        }
        | lineage(base)
        | ({} if spent is None else {"privacy": spent}),
    }
    card = _card(recipe, tasks, progress) + privacy_lines(spent)
    return write_folder(folder, model, described, base, description, card)


def _data_report(tasks: Sequence[TaskData]) -> dict[str, Any]:
    return {
        data.table.name: {
            "train_records": data.num_records,
            "train_inputs": len(data.examples),
            "train_tokens": sum(len(example.input_ids) for example in data.examples),
            "validation_records": len(data.validation),
            "left_out_as_leaks": data.leaks,
            "quarantined": data.quarantined,
            "first_problems": data.problems,
            "sha256": data.hashes,
        }
        for data in tasks
    }


def _card(recipe: TaskRecipe, tasks: Sequence[TaskData], progress: Mapping[str, Any]) -> str:
    lines = ["---", "library_name: textome", "---", f"# {recipe.name}", ""]
    lines += [recipe.description.strip(), ""] * bool(recipe.description)
    for data in tasks:
        lines += [f"- `{data.table.name}` ({data.task.kind}): {', '.join(data.task.label_names)}"]
    lines += ["", f"Trained from `{recipe.model.base}`.", ""]
    lines += [f"Licence: {recipe.licence}", ""] * bool(recipe.licence)
    if progress["best_epoch"] > 0:
        chosen = progress["scores"][(progress["best_epoch"] if recipe.training.select == "best" else 0) - 1]
        metrics = {data.table.name: data.task.metric for data in tasks}
        lines += ["| validation set | score | metric |", "|---|---|---|"]
        lines += [
            f"| {name} | {100 * chosen[name]:.2f} | {metric} |" for name, metric in metrics.items() if name in chosen
        ]
    return "\n".join(lines).rstrip() + "\n"

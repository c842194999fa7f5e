"""Fine-tuning over text: read top to bottom, this is the whole run; `loop` goes through its batches.

A run's folder holds `recipe.json` (resolved), `environment.json`, `data.json` (hashes and counts), what the loop writes,
and at the end the bundle in `bundle/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from textome.encoders import encoder_of
from textome.encoders.build import read_encoder_config
from textome.encoders.heads import TaskModel
from textome.tasks import Task
from textome.text.tokenization import Tokenizer
from textome.training.bundles import architecture, base_directory, card, environment, lineage, write_folder
from textome.training.devices import autocast, precision_for
from textome.training.job import TextJob
from textome.training.loop import train
from textome.training.parallel.processes import Processes, running
from textome.training.parallel.sharding import gather_weights
from textome.training.preparation import prepare_encoder, read_base
from textome.training.recipe import Recipe
from textome.training.recipe_files import provenance_of
from textome.training.run import Report, report_quarantine, write_json
from textome.training.task_data import TaskData, load_task
from textome.training.techniques.distillation import Teacher, compared
from textome.training.techniques.kept_heads import load_base
from textome.training.techniques.privacy import train_privately


def finetune(recipe: Recipe, folder: Path, resume: bool = False, report: Report = lambda event: None) -> Path:
    """Train by a recipe and return the folder of the finished bundle.

    report   is called with each metrics record as it is written, for a progress bar or plain lines

    Raises InputError where the folder holds another run, data are missing, or the loss is NaN.
    """
    with running(recipe, folder, resume) as processes:
        return _finetune(recipe, folder, resume, report if processes.first else lambda event: None, processes)


def _finetune(recipe: Recipe, folder: Path, resume: bool, report: Report, processes: Processes) -> Path:
    device = processes.device
    base = base_directory(recipe.model.base)
    tokenizer = Tokenizer.load(base)
    tasks = [load_task(recipe, table, tokenizer) for table in recipe.tasks]
    by_name = {data.table.name: data.task for data in tasks}
    model, config = build_model(recipe, base, by_name, report)
    finish = prepare_encoder(model.encoder, recipe.training)
    model.to(device)
    teacher = None
    if recipe.distillation is not None:
        teacher = Teacher(recipe.distillation, by_name, tokenizer, recipe.model.window, device)
    job = TextJob(recipe, model, tasks, tokenizer, device, teacher)
    if processes.first:
        write_json(folder / "data.json", _data_report(tasks))
        write_json(folder / "environment.json", environment(device))
    unsharded = processes.sharded(model, model.encoder, recipe.training.sharding)
    spent, settings = None, recipe.training
    facts: dict[str, Any] = {"processes": processes, "tokens_per_epoch": job.tokens}
    if recipe.privacy is None:
        progress = train(job, settings, folder, device, resume, report, **facts)
    else:
        progress, spent = train_privately(job, recipe.privacy, settings, folder, device, resume, report, **facts)
    finish()
    _calibrate(job, recipe, device)
    gather_weights(unsharded, model)
    if teacher is not None:
        measured = compared({"teacher": teacher.model, "student": model}, job.score)
        write_json(folder / "distillation.json", measured)
        report({"event": "distilled", "metric": job.metric} | measured)
    if processes.first:
        _write(folder / "bundle", unsharded, config, base, recipe, tasks, vars(progress), spent)
    processes.wait()
    report_quarantine((data.quarantine for data in tasks), report)
    return folder / "bundle"


def build_model(
    recipe: Recipe, base: Path, tasks: Mapping[str, Task[Any, Any]], report: Report = lambda event: None
) -> tuple[TaskModel, dict[str, Any]]:
    """The model of a recipe before it is trained, and its `config.json`."""
    values, tensors = read_base(recipe.model, base)
    model = TaskModel(read_encoder_config(values), {name: task.head for name, task in tasks.items()})
    kept, new = load_base(model, tasks, base, values, tensors, recipe.model.heads == "fresh")
    report({"event": "heads", "base": recipe.model.base, "kept": kept, "new": new})
    return model, values


def _calibrate(job: TextJob, recipe: Recipe, device: torch.device) -> None:
    """Give each task with validation data the temperature and threshold that fit it best."""
    job.model.eval()
    with torch.no_grad(), autocast(device, precision_for(recipe.training.precision, device)):
        for data in job.tasks:
            records = [record for some in data.validation.values() for record in some]
            if records and data.task.has_calibration:
                examples = job.examples(data, records)
                data.task = data.task.calibrated(records, examples, job.scores(data, examples))


def _write(
    folder: Path,
    model: TaskModel,
    config: Mapping[str, Any],
    base: Path,
    recipe: Recipe,
    tasks: Sequence[TaskData],
    progress: Mapping[str, Any],
    spent: Mapping[str, Any] | None,
) -> Path:
    """Write a bundle that Textome loads, and with one task `transformers` too; `folder` appears whole or not at all."""
    described = {key: value for key, value in config.items() if key not in ("id2label", "label2id")}
    described["architectures"] = [architecture(config, "Model")]
    described |= encoder_of(config).config
    if len(tasks) == 1 and (joined := tasks[0].task.head.num_pooled_positions) <= 1:
        labels = tasks[0].task.checkpoint_labels
        described["architectures"] = [
            architecture(config, "ForSequenceClassification" if joined else "ForTokenClassification")
        ]
        described["id2label"] = {str(number): name for number, name in enumerate(labels)}
        described["label2id"] = {name: number for number, name in enumerate(labels)}
    provenance = {
        "recipe": provenance_of(recipe),
        "data": {data.table.name: data.hashes for data in tasks},
        "left_out_as_leaks": {data.table.name: data.leaks for data in tasks},
        "validation": progress["scores"],
        "best_epoch": progress["best_epoch"],
        "environment": environment(next(model.parameters()).device),
    }
    provenance |= lineage(base) | ({} if spent is None else {"privacy": spent})
    description = {
        "format_version": 2,
        "name": recipe.name,
        "input": {"kind": "text", "window": recipe.model.window, "overlap": recipe.model.overlap},
        "tasks": {data.table.name: data.task.model_dump(mode="json") for data in tasks},
        "provenance": provenance,
    }
    lines = [f"- `{data.table.name}` ({data.task.kind}): {', '.join(data.task.label_names)}" for data in tasks]
    sources = ", ".join(corpus.name for data in tasks for corpus in data.table.corpora)
    lines += ["", f"Trained from `{recipe.model.base}`" + (f" on {sources}." if sources else "."), ""]
    metric = tasks[0].task.metric if len(tasks) == 1 else ", ".join(f"{d.table.name}: {d.task.metric}" for d in tasks)
    text = card(recipe, lines, metric, progress, spent)
    return write_folder(folder, model, described, base, description, text)


def _data_report(tasks: Sequence[TaskData]) -> dict[str, Any]:
    return {
        data.table.name: {
            "train_records": data.num_records,
            "train_inputs": len(data.examples),
            "train_tokens": sum(len(example.input_ids) for example in data.examples),
            "validation_records": sum(map(len, data.validation.values())),
            "left_out_as_leaks": data.leaks,
            "quarantined": data.quarantine.count,
            "first_problems": [str(record) for record in data.quarantine.records[:20]],
            "sha256": data.hashes,
        }
        | ({"corpora": data.report} if data.report else {})
        for data in tasks
    }

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
from textome.evaluation.calibration import calibrated
from textome.tasks.classification import Classification
from textome.tasks.ner import LABELS
from textome.tasks.question_answering import Answers
from textome.tasks.recognition import Recognition
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
from textome.training.task_data import PartData, load_part
from textome.training.task_job import TaskJob
from textome.training.task_recipe import EntitiesPart, RelationsPart, TaskRecipe


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
    parts = [load_part(recipe, part, tokenizer) for part in recipe.tasks]
    model, config = _build(recipe, base, {data.part.name: data.task.size for data in parts})
    finish = prepare_encoder(model.encoder, recipe.training)
    model.to(device)
    job = TaskJob(recipe, model, parts, device)
    if processes.first:
        write_json(folder / "data.json", _data_report(parts))
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
        _write(folder / "bundle", twin, config, base, recipe, parts, vars(progress), spent)
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
        for part in job.parts:
            if part.validation and not isinstance(part.task, Recognition):
                units = part.task.units(part.validation)
                part.task = calibrated(part.task, part.validation, units, job.scores(part, units))


def _write(
    folder: Path,
    model: TaskModel,
    config: Mapping[str, Any],
    base: Path,
    recipe: TaskRecipe,
    parts: Sequence[PartData],
    progress: Mapping[str, Any],
    spent: Mapping[str, Any] | None,
) -> Path:
    described = {key: value for key, value in config.items() if key not in ("id2label", "label2id")}
    described["architectures"] = [architecture(config, "Model")]
    described |= encoder_of(config).config
    if len(parts) == 1 and (states := parts[0].task.size[1]) <= 1:
        labels = parts[0].task.labels
        described["architectures"] = [
            architecture(config, "ForSequenceClassification" if states else "ForTokenClassification")
        ]
        described["id2label"] = {str(number): name for number, name in enumerate(labels)}
        described["label2id"] = {name: number for number, name in enumerate(labels)}
    description = {
        "format_version": 1,
        "name": recipe.name,
        "tasks": _tasks(parts),
        "window": recipe.model.window,
        "overlap": recipe.model.overlap,
        "provenance": {
            "recipe": told(recipe),
            "data": {data.part.name: data.hashes for data in parts},
            "left_out_as_leaks": {data.part.name: data.leaks for data in parts},
            "validation": progress["scores"],
            "best_epoch": progress["best_epoch"],
            "environment": environment(next(model.parameters()).device),
        }
        | lineage(base)
        | ({} if spent is None else {"privacy": spent}),
    }
    card = _card(recipe, parts, progress) + privacy_lines(spent)
    return write_folder(folder, model, described, base, description, card)


def _tasks(parts: Sequence[PartData]) -> dict[str, Any]:
    """All tasks as `textome.json` holds them: the entities by themselves, the others by name."""
    described: dict[str, Any] = {"parts": {}}
    for data in parts:
        if isinstance(data.part, EntitiesPart):
            described["entities"] = {
                "types": data.part.types,
                "labels": list(LABELS),
                "default_types": data.part.default_types or data.part.types,
            }
        else:
            described["parts"][data.part.name] = _described(data)
    return described


def _described(data: PartData) -> dict[str, Any]:
    """A task as `textome.json` holds it; see runtime.bundle."""
    task, part = data.task, data.part
    values: dict[str, Any] = {
        "kind": part.kind,
        "labels": list(task.labels),
        "negative": list(part.negative),
        "metric": part.metric,
        "temperature": task.temperature,
    }
    if isinstance(task, Classification):
        pairs = any(unit.token_type_ids.any() for unit in data.units[:1])
        values |= {"multi_label": task.multi_label, "pairs": pairs, "threshold": task.threshold}
        values |= {"markers": list(task.markers)}
    if isinstance(part, RelationsPart):
        names = ("pairs", "scope", "directed", "split", "none", "multi_label", "one_pass")
        values |= {name: getattr(part, name) for name in names}
        values |= {"threshold": getattr(task, "threshold", 0.5)}
    if isinstance(task, Answers):
        values |= {"longest": task.longest, "threshold": task.threshold}
    return values


def _data_report(parts: Sequence[PartData]) -> dict[str, Any]:
    return {
        data.part.name: {
            "train_records": data.records,
            "train_inputs": len(data.units),
            "train_tokens": sum(len(unit.input_ids) for unit in data.units),
            "validation_records": len(data.validation),
            "left_out_as_leaks": data.leaks,
            "quarantined": data.quarantined,
            "first_problems": data.problems,
            "sha256": data.hashes,
        }
        for data in parts
    }


def _card(recipe: TaskRecipe, parts: Sequence[PartData], progress: Mapping[str, Any]) -> str:
    lines = ["---", "library_name: textome", "---", f"# {recipe.name}", ""]
    lines += [recipe.description.strip(), ""] * bool(recipe.description)
    for data in parts:
        lines += [f"- `{data.part.name}` ({data.part.kind}): {', '.join(data.task.labels)}"]
    lines += ["", f"Trained from `{recipe.model.base}`.", ""]
    lines += [f"Licence: {recipe.licence}", ""] * bool(recipe.licence)
    if progress["best_epoch"] > 0:
        chosen = progress["scores"][(progress["best_epoch"] if recipe.training.select == "best" else 0) - 1]
        metrics = {data.part.name: data.part.metric for data in parts}
        lines += ["| validation set | score | metric |", "|---|---|---|"]
        lines += [
            f"| {name} | {100 * chosen[name]:.2f} | {metric} |" for name, metric in metrics.items() if name in chosen
        ]
    return "\n".join(lines).rstrip() + "\n"

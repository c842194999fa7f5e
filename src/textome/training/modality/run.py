"""Training a sequence model: read top to bottom, this is the whole run; `loop` goes through its batches.

A run's folder holds what a run for entities leaves, `scores.json` with the scores on the test data, and the bundle in
`bundle/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from textome.encoders.checkpoint import load_tensors
from textome.encoders.pruning import keep_layers, spread
from textome.encoders.sequence.model import SequenceConfig, SequenceModel, load_text_encoder
from textome.errors import InputError
from textome.inputs.records import Modality, Shape
from textome.runtime.modality_bundle import SEQUENCE_MODEL, ModalityBundle
from textome.training.bundles import base_directory, environment, read_config, write_folder
from textome.training.devices import autocast, precision_for
from textome.training.loop import Progress, train
from textome.training.modality.data import ModalityRecords, load_records
from textome.training.modality.job import ModalityJob
from textome.training.modality.recipe import ModalityRecipe, SequenceEncoder
from textome.training.parallel.processes import Processes, running
from textome.training.parallel.sharding import gather_weights
from textome.training.preparation import prepare_encoder
from textome.training.recipe_files import provenance_of
from textome.training.run import Report, report_quarantine, write_json


def finetune_modality(
    recipe: ModalityRecipe, folder: Path, resume: bool = False, report: Report = lambda event: None
) -> Path:
    """Train by a recipe and return the folder of the finished bundle.

    Raises InputError where the folder holds another run, data are missing, or the loss is no number.
    """
    with running(recipe, folder, resume) as processes:
        report = report if processes.first else lambda event: None
        job, progress, whole = _trained(recipe, folder, resume, report, processes)
        scores = _test(job, recipe)
        if processes.first:
            write_json(folder / "scores.json", scores)
            _write(folder / "bundle", recipe, job, whole, vars(progress), scores)
        processes.wait()
        report_quarantine([job.data.quarantine], report)
    return folder / "bundle"


def trained_model(
    recipe: ModalityRecipe, folder: Path, resume: bool = False, report: Report = lambda event: None
) -> tuple[ModalityJob, Progress]:
    """The job of a finished run, whose model is the trained one, in evaluation mode; no bundle is written."""
    with running(recipe, folder, resume) as processes:
        job, progress, _ = _trained(recipe, folder, resume, report, processes)
    return job, progress


def _trained(
    recipe: ModalityRecipe, folder: Path, resume: bool, report: Report, processes: Processes
) -> tuple[ModalityJob, Progress, SequenceModel]:
    """The same, and the model with all its weights, which are spread over the processes where the recipe asks for it."""
    device = processes.device
    base = base_directory(recipe.model.base) if recipe.model.base else None
    data = load_records(recipe, _continued(recipe.modality, base))
    model = build_model(recipe.model, base, data.modality.shapes(), len(data.target.labels))
    finish = prepare_encoder(model.encoder, recipe.training)
    model.to(device)
    job = ModalityJob(recipe, model, data, device)
    if processes.first:
        write_json(folder / "data.json", _data_report(data, job))
        write_json(folder / "environment.json", environment(device))
    unsharded = processes.sharded(model, model.encoder, recipe.training.sharding)
    facts: dict[str, Any] = {"processes": processes, "tokens_per_epoch": job.tokens}
    progress = train(job, recipe.training, folder, device, resume, report, **facts)
    finish()
    model.eval()
    with torch.no_grad(), autocast(device, precision_for(recipe.training.precision, device)):
        job.calibrate()
    gather_weights(unsharded, model)
    return job, progress, unsharded


def build_model(
    settings: SequenceEncoder, base: Path | None, shapes: Mapping[str, Shape], outputs: int
) -> SequenceModel:
    """The model of a recipe, with fresh weights or those of `base`: a text encoder, or another sequence model's bundle.

    outputs   0 for a model that guesses hidden tokens

    Raises InputError and ModelError where the base does not fit.
    """
    dropouts: dict[str, Any] = {
        "hidden_dropout_prob": settings.hidden_dropout,
        "attention_probs_dropout_prob": settings.attention_dropout,
    }
    if base is None:
        config = SequenceConfig(
            vocab_size=1,
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.layers or 4,
            num_attention_heads=settings.num_attention_heads,
            intermediate_size=settings.intermediate_size,
            max_position_embeddings=1,
            type_vocab_size=1,
            initializer_range=_spread(settings.hidden_size),
            **dropouts,
        )
        return SequenceModel(config, shapes, outputs, settings.pooling)
    values = read_config(base, (SequenceConfig.model_type, SEQUENCE_MODEL)) | dropouts
    tensors = load_file(base / "model.safetensors") if settings.pretrained else {}
    if settings.layers is not None:
        if settings.layers > (there := values["num_hidden_layers"]):
            raise InputError(f"model.layers is {settings.layers}, but {base} has only {there} layers")
        tensors = keep_layers(tensors, spread(there, settings.layers))
        values["num_hidden_layers"] = settings.layers
    if not settings.pretrained:
        values["initializer_range"] = _spread(values["hidden_size"])
    config = SequenceConfig.from_dict(values)
    model = SequenceModel(config, shapes, outputs, settings.pooling)
    if not settings.pretrained:
        return model
    if values["model_type"] == SEQUENCE_MODEL:
        known = {
            name: tensor for name, tensor in tensors.items() if not name.startswith("token_scores.") or not outputs
        }
        load_tensors(model, known, str(base), fresh=("classifier.", "token_scores."))
    else:
        vocabulary = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        segments = tuple(name for name, shape in shapes.items() if shape.text)
        load_text_encoder(model, tensors, str(base), vocabulary["[CLS]"], segments)
    return model


def _spread(hidden_size: int) -> float:
    """The standard deviation of fresh weights with which a layer's output is as large as its input (LeCun et al. 1998).

    BERT's own 0.02 suits a hidden size of 768 and many steps; small models on small data learn several times faster so.
    """
    return float(hidden_size**-0.5)


def _continued(modality: Modality, base: Path | None) -> Modality:
    """The modality with what that of the base knows: its vocabulary, be it of the same kind or of text."""
    if base is None:
        return modality
    if ModalityBundle.is_at(base):
        return modality.continuing(ModalityBundle.load(base).modality)
    words = base / "tokenizer.json"
    return modality.with_tokenizer(words.read_text(encoding="utf-8")) if words.is_file() else modality


def _test(job: ModalityJob, recipe: ModalityRecipe) -> dict[str, Any]:
    """The scores of the finished model on the test data; empty where there is none."""
    if not job.data.test:
        return {}
    device = next(job.model.parameters()).device
    with torch.no_grad(), autocast(device, precision_for(recipe.training.precision, device)):
        return {"records": len(job.data.test)} | job.scores(job.data.test)


def _data_report(data: ModalityRecords, job: ModalityJob) -> dict[str, Any]:
    return {
        "train_records": len(data.train),
        "train_tokens": job.tokens,
        "validation_records": len(data.validation),
        "test_records": len(data.test),
        "left_out_as_leaks": data.leaks,
        "quarantined": data.quarantine.count,
        "first_problems": [str(record) for record in data.quarantine.records[:20]],
        "sha256": data.hashes,
    }


def _write(
    folder: Path,
    recipe: ModalityRecipe,
    job: ModalityJob,
    model: SequenceModel,
    progress: Mapping[str, Any],
    scores: Mapping[str, Any],
) -> Path:
    data = job.data
    config = {"model_type": SEQUENCE_MODEL, "architectures": ["SequenceModel"]} | asdict(model.config)
    description = {
        "format_version": 2,
        "name": recipe.name,
        "input": data.modality.model_dump(mode="json"),
        "tasks": {"target": data.target.model_copy(update={"pooling": recipe.model.pooling}).model_dump(mode="json")},
        "provenance": {
            "recipe": provenance_of(recipe),
            "data": data.hashes,
            "left_out_as_leaks": data.leaks,
            "validation": progress["scores"],
            "best_epoch": progress["best_epoch"],
            "test": scores,
            "environment": environment(model.start.device),
        },
    }
    return write_folder(folder, model, config, folder, description, _card(recipe, data, scores))


def _card(recipe: ModalityRecipe, data: ModalityRecords, scores: Mapping[str, Any]) -> str:
    lines = ["---", "library_name: textome", "---", f"# {recipe.name}", ""]
    lines += [recipe.description.strip(), ""] * bool(recipe.description)
    lines += [f"Reads: {data.modality.kind}. Answers: {data.target.kind}", ""]
    lines += [f"Labels: {', '.join(data.target.labels)}", ""] * bool(data.target.labels)
    lines += [f"Started from `{recipe.model.base}`.", ""] * bool(recipe.model.base and recipe.model.pretrained)
    lines += [f"Licence: {recipe.licence}", ""] * bool(recipe.licence)
    if scores:
        lines += [f"| score on {scores['records']:,} test records | |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in scores.items() if name != "records"]
    return "\n".join(lines).rstrip() + "\n"

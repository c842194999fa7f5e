"""Folders of other libraries in the Hugging Face layout: their entity models, models that write, and what cannot be used.

A token classifier of `transformers` has one softmax over O and the B-X and I-X of all types. A bundle of Textome has a
softmax over O, B, I for each type, so that types may overlap. Of types that exclude each other the one follows from the
other: with b_t, i_t and o_t the scores of type t, the joint scores are 0 for O, b_t - o_t for B-t and i_t - o_t for I-t.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from textome.encoders import encoder_of
from textome.errors import ModelError
from textome.formats.reading.sources import atomic_file
from textome.runtime.model_files import WEIGHTS, read_weights, weight_files
from textome.tasks.entities import Entities
from textome.tasks.spans.iob import LABELS

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
# Tokens of a window, and of the overlap of two, where a folder does not say.
_WINDOW, _OVERLAP = 512, 64


def token_classifier(directory: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `textome.json` that a token classifier of another library stands for; None where the folder is none.

    config   its `config.json`

    Raises ModelError for labels of another scheme than B-X and I-X.
    """
    architectures = config.get("architectures") or []
    if not any(str(name).endswith("ForTokenClassification") for name in architectures):
        return None
    path, names = directory / "config.json", config.get("id2label")
    if not isinstance(names, dict) or not all(key.isdecimal() and isinstance(name, str) for key, name in names.items()):
        raise ModelError(f"{path}: expected an object id2label of the labels by their numbers")
    if sorted(map(int, names)) != list(range(len(names))):
        raise ModelError(f"{path}: id2label must number the labels from 0 without a gap")
    labels = [names[str(number)] for number in range(len(names))]
    kinds = {label.partition("-")[0] for label in labels if label != "O"}
    nameless = {"B", "I", "B-", "I-"} & {*labels}
    if "O" not in labels or not kinds or not kinds <= {"B", "I"} or nameless:
        shown = ", ".join(labels[:6])
        raise ModelError(
            f"{path}: its labels ({shown}) are not O, B-TYPE and I-TYPE, as they must be for entities; give the model such "
            "an id2label where only the names differ, or fine-tune it on your corpus with `textome finetune`"
        )
    types = list(dict.fromkeys(label[2:] for label in labels if label != "O"))
    window = min(_WINDOW, encoder_of(config).max_length(config))
    task = {"kind": "entities", "types": types, "labels": labels}
    return _described(directory, config, {"window": window, "overlap": min(_OVERLAP, window // 4)}, entities=task)


def text_to_text(directory: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `textome.json` that a checkpoint of T5 stands for, with prompts of any beginning; None of another model."""
    if "T5ForConditionalGeneration" not in (config.get("architectures") or []):
        return None
    window = int(config.get("n_positions", _WINDOW))
    return _described(directory, config, {"window": window, "overlap": _OVERLAP}, text={"kind": "text_to_text"})


def language_model(directory: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `textome.json` that a checkpoint of GPT-2 stands for; None where the folder is not a model that writes.

    Raises ModelError for a model that writes, of another architecture.
    """
    try:
        encoder = encoder_of(config)
    except ValueError as error:
        if any(str(name).endswith(("ForCausalLM", "LMHeadModel")) for name in config.get("architectures") or []):
            raise ModelError(f"{directory / 'config.json'}: {error}") from error
        return None  # which is reported where the model is used for something
    if not encoder.causal:
        return None
    task = {"kind": "language_model", "begins": False}
    return _described(directory, config, {"window": encoder.max_length(config)}, text=task)


def _described(
    directory: Path, config: Mapping[str, Any], windows: Mapping[str, int], **tasks: Mapping[str, Any]
) -> dict[str, Any]:
    """A `textome.json` of the tasks, whose model reads text in these windows."""
    name = directory.resolve().name
    return {
        "format_version": 2,
        "name": name,
        "input": {"kind": "text", **windows},
        "tasks": tasks,
        "provenance": {"transformers": str(config.get("_name_or_path") or name)},
    }


def why_not_one_softmax(task: Entities) -> str:
    """Why a token classifier with one softmax cannot stand for the task; empty where it can."""
    if task.head != "linear":
        return f"its head is {task.head!r}, which they do not have"
    if task.labels or len(task.types) == 1 or any(set(group) == set(task.types) for group in task.mutually_exclusive):
        return ""
    return (
        f"its {len(task.types)} types may overlap, which one softmax over O, B-X and I-X cannot say; make them "
        "`mutually_exclusive` in the recipe, or train a model for each"
    )


def one_softmax(task: Entities, weight: Any, bias: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """The classifier (3 num_types, H) and (3 num_types,) of a task as that of one softmax, and its labels in order.

    Temperatures are divided out, so that scores mean the same.
    """
    rows = np.concatenate([weight, bias[:, None]], axis=1).reshape(len(task.types), len(LABELS), -1)
    scale = np.array([task.temperature.get(name, 1.0) for name in task.types], np.float32)[:, None]
    begin, inside = (rows[:, 1] - rows[:, 0]) / scale, (rows[:, 2] - rows[:, 0]) / scale
    joined = np.stack([begin, inside], axis=1).reshape(2 * len(task.types), -1)
    joined = np.concatenate([np.zeros_like(joined[:1]), joined]).astype(np.float32)
    labels = ("O", *(f"{mark}-{name}" for name in task.types for mark in "BI"))
    return np.ascontiguousarray(joined[:, :-1]), np.ascontiguousarray(joined[:, -1]), labels


def write_token_classifier(
    directory: Path, config: Mapping[str, Any], description: Mapping[str, Any], task: Entities, output: Path
) -> Path:
    """Write the entity model in `directory` to the folder `output` as `transformers` loads it for token classification.

    config, description   its `config.json` and `textome.json`

    Raises ModelError where its types may overlap, and where it has no weights.
    """
    from safetensors.numpy import save

    if why := why_not_one_softmax(task):
        raise ModelError(f"{directory}: {why}")
    if not (files := weight_files(directory)):
        raise ModelError(f"{directory}: there is no {WEIGHTS} to export; only the exported graph is here")
    tensors = read_weights(files)
    labels = task.labels
    if not labels:
        weight, bias = tensors["classifier.weight"], tensors["classifier.bias"]
        tensors["classifier.weight"], tensors["classifier.bias"], labels = one_softmax(task, weight, bias)
    output.mkdir(parents=True, exist_ok=True)
    for file in _TOKENIZER:
        if (directory / file).is_file() and directory.resolve() != output.resolve():
            shutil.copyfile(directory / file, output / file)
    described = dict(config) | {
        "architectures": [encoder_of(config).transformers + "ForTokenClassification"],
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    described.pop("textome", None)
    entry = {key: value for key, value in task.model_dump(mode="json").items() if key != "temperature"}
    written = dict(description) | {"tasks": {"entities": entry | {"labels": labels}}}
    card = (
        f"---\nlibrary_name: transformers\npipeline_tag: token-classification\n---\n# {description['name']}\n\n"
        f"Entities: {', '.join(task.types)}. Labels: {', '.join(labels)}.\n\n```python\nfrom transformers import pipeline\n"
        'pipeline("token-classification", model="FOLDER", aggregation_strategy="first")("...")\n```\n'
        "It reads one sentence at a time, as it was trained.\n"
    )
    for file, content in (
        ("config.json", json.dumps(described, indent=2, ensure_ascii=False).encode()),
        ("textome.json", json.dumps(written, indent=2, ensure_ascii=False).encode()),
        ("README.md", card.encode()),
        (WEIGHTS, save(tensors, {"format": "pt"})),
    ):
        with atomic_file(output / file) as stream:
            stream.write(content)
    return output / WEIGHTS

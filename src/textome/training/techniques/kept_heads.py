"""The heads of a base go on where a recipe has the same task, whatever the number and order of labels in both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from textome.encoders import encoder_of
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import Head, TaskModel
from textome.runtime.bundle import Bundle
from textome.tasks import SomeTask
from textome.training.recipe import Recipe


def load_base(
    model: TaskModel,
    tasks: Mapping[str, SomeTask],
    base: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    fresh: bool,
) -> tuple[list[str], list[str]]:
    """Fill a fresh model from the tensors of a base, and return the labels that go on and those that begin anew.

    fresh   whether all heads begin anew

    Where the base is a bundle with a task of the same name and kind, the model has its head: the layer before the last one,
    and the rows of the last for each output of the same name, or the one that the task begins it as. Other rows and heads
    keep their initial weights.
    """
    layer = encoder_of(config).head_layer(config)
    scoring = tuple(f"{name}." for name in (layer.classifier, layer.text_classifier, "heads") if name)
    encoder = {name: tensor for name, tensor in tensors.items() if not name.startswith(scoring)}
    load_tensors(model, encoder, str(base), fresh=("heads.",))
    kept = list[str]()
    if not fresh and (base / "textome.json").is_file():
        bundle = Bundle.load(base)
        for name, task in tasks.items():
            own, head = bundle.tasks.get(name), model.heads[name]
            assert isinstance(head, Head)
            names = head.names(name, len(bundle.tasks))
            if own is not None and _alike(task, own) and _keep(head, names, task, own, tensors):
                kept += [label for label in task.label_names if label in own.label_names]
    return kept, [label for task in tasks.values() for label in task.label_names if label not in kept]


def continuing(recipe: Recipe, base: Path) -> Recipe:
    """The recipe with tasks that go on from those of their base, in what it leaves open."""
    if recipe.model.heads == "fresh" or not (base / "textome.json").is_file():
        return recipe
    own = Bundle.load(base).tasks
    tables = [
        table.model_copy(update={"task": table.task.continuing(own[table.name])})
        if table.name in own and own[table.name].kind == table.task.kind
        else table
        for table in recipe.tasks
    ]
    return recipe.model_copy(update={"tasks": tables})


def _alike(task: SomeTask, own: SomeTask) -> bool:
    return task.kind == own.kind and task.head_shape[1:] == own.head_shape[1:]


def _keep(
    head: Head,
    names: Mapping[str, tuple[str, ...]],
    task: SomeTask,
    own: SomeTask,
    tensors: Mapping[str, Tensor],
) -> bool:
    """Whether any score goes on."""
    numbers = {output: number for number, output in enumerate(own.output_names)}
    firsts = [task.first_output(output, numbers) for output in task.output_names]
    rows = [(at, numbers[first]) for at, first in enumerate(firsts) if first is not None]
    for own_name, parameter in head.named_parameters():
        (checkpoint_name,) = names[own_name]
        if not own_name.startswith("classifier."):
            parameter.data.copy_(tensors[checkpoint_name])
        elif rows:
            here, there = (list(column) for column in zip(*rows, strict=True))
            parameter.data[here] = tensors[checkpoint_name][there].to(parameter.dtype)
    return bool(rows)

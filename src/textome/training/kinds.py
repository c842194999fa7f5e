"""What a recipe can train: a table from its `task` to the function that reads it and the one that runs it.

A recipe without `task` trains the tasks of its `[[tasks]]`, or the entities of its `[entities]`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from textome.errors import InputError
from textome.tasks import task_class
from textome.tasks.mentions import MentionTask
from textome.training.finetune import finetune
from textome.training.modality.recipe import load_modality_recipe
from textome.training.modality.run import finetune_modality
from textome.training.recipe import load_recipe
from textome.training.run import Report
from textome.training.translation.recipe import load_translation_recipe
from textome.training.translation.run import finetune_translation


@dataclass(frozen=True, slots=True)
class Kind:
    """`load(path, overrides)` gives a checked recipe, `run(recipe, folder, resume, report)` the folder of the bundle."""

    load: Callable[[Path, Sequence[str]], Any]
    run: Callable[[Any, Path, bool, Report], Path]


KINDS: dict[str, Kind] = {
    "tasks": Kind(load_recipe, finetune),
    "modality": Kind(load_modality_recipe, finetune_modality),
    "translation": Kind(load_translation_recipe, finetune_translation),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe that is ready to run: its `name`, and `start(folder, resume, report)`."""

    name: str
    start: Callable[[Path, bool, Report], Path]


def plan_run(path: Path, overrides: Sequence[str] = ()) -> Run:
    """Read a recipe of any kind. Raises InputError for a `task` that is not in the table, and as `read_recipe` does."""
    kind = KINDS[_kind(path)]
    recipe = kind.load(path, overrides)
    return Run(recipe.name, partial(kind.run, recipe))


def few_shots(path: Path, shots: int) -> list[str]:
    """The overrides that leave each task of a recipe `shots` examples of each class.

    Raises InputError for a recipe without tasks that have classes.
    """
    tables = _values(path).get("tasks", [])
    names = [table.get("name") for table in tables if isinstance(table, dict) and not _reads_corpora(table)]
    if not names:
        raise InputError(f"{path}: --shots draws examples of each class, and this recipe has no [[tasks]] with classes")
    return [f"tasks.{name}.shots={shots}" for name in names]


def _reads_corpora(table: dict[str, Any]) -> bool:
    try:
        return issubclass(task_class(str(table.get("kind"))), MentionTask)
    except ValueError:  # which the reader of the recipe reports
        return False


def _values(path: Path) -> dict[str, Any]:
    """What a recipe says; nothing of a file that cannot be read, which is left to the reader, who says why."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _kind(path: Path) -> str:
    """The row that a recipe asks for."""
    values = _values(path)
    if (name := {"entities": "tasks"}.get(named := str(values.get("task", "tasks")), named)) not in KINDS:
        raise InputError(f"{path}: task is {name!r}; a recipe can train {', '.join(KINDS)}")
    return str(name)

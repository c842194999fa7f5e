"""A recipe that is ready to run."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from textome.errors import InputError
from textome.tasks import task_class
from textome.tasks.spans.mentions import MentionTask
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from textome.training.run import Report


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe that is ready to run: its `name`, and `start(folder, resume, report)`."""

    name: str
    start: Callable[[Path, bool, Report], Path]


def plan_run(path: Path, overrides: Sequence[str] = (), finish: bool = False) -> Run:
    """Read a recipe of any kind; `finish` as for `finetune`. Raises InputError as `load_recipe` does."""
    recipe = load_recipe(path, overrides)
    return Run(recipe.name, partial(finetune, recipe, finish=finish))


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

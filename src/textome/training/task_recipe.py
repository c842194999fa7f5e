"""Recipes of classification, relations and question answering: one task, or several over one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from textome.errors import InputError
from textome.tasks import TASKS, AnyTask, Task, kind_named
from textome.tasks.entities import Entities
from textome.training.recipe import (
    Corpus,
    Data,
    Model,
    Privacy,
    Recipe,
    Section,
    Training,
    read_recipe,
    with_lexicons,
)


class TaskTable(Section):
    """A `[[tasks]]` table: a task's own fields, and beside them the data that it learns from.

    name    of the task and of its head, in letters, digits, - and _
    train, validation, test   files of the task's layout; `PATH#RULE` takes a part (see formats.labelled). Training texts
                              that stand in a test file are left out
    layout  of the files; by default the first of the task's
    more    further training files by their layout, with the same labels
    corpora of entities instead: one or several that each annotate some of the types
    weight  of the loss beside the other tasks' losses
    shots   so many training records of each class, drawn by the seed, and no more
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    task: AnyTask
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    layout: str | None = None
    more: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    corpora: list[Corpus] = Field(default_factory=list)
    weight: float = Field(1.0, gt=0)
    shots: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        """A table has the fields of both; those that are not the data's are the task's."""
        if not isinstance(values, dict) or "task" in values:
            return values
        values = {{"format": "layout"}.get(key, key): value for key, value in values.items()}
        task = {key: values.pop(key) for key in list(values) if key not in cls.model_fields}
        kind = kind_named(str(task.get("kind")))
        return {"name": kind if TASKS.get(kind, Task).reads_corpora else ""} | values | {"task": task | {"kind": kind}}

    @model_validator(mode="after")
    def _data_fit(self) -> Self:
        if self.task.reads_corpora != bool(self.corpora) or self.task.reads_corpora == bool(self.train):
            needed = "[[tasks.corpora]]" if self.task.reads_corpora else "train"
            raise ValueError(f"task {self.name!r} needs {needed}, and has no other training data")
        layouts = self.task.layouts
        for layout in (self.layout, *self.more):
            if layout is not None and layouts and layout not in layouts:
                raise ValueError(f"layout {layout!r} is none of a {self.task.kind} task: {', '.join(layouts)}")
        return self


class Mixing(Section):
    """How several tasks share a run.

    temperature  a task with n tokens is drawn in proportion to n ** (1 / temperature): 1 as often as it is large, more
                 raises the small ones (Devlin 2018; Raffel et al. 2020, section 3.5.2)
    loss         "fixed" weighs losses by each task's `weight`; "uncertainty" learns a weight (Kendall et al. 2018)
    """

    temperature: float = Field(1.0, ge=1)
    loss: Literal["fixed", "uncertainty"] = "fixed"


class TaskRecipe(Section):
    """A fine-tuning run for one or several tasks over one encoder."""

    task: Literal["tasks"] = "tasks"
    name: str
    description: str = ""
    licence: str = ""
    model: Model
    data: Data = Data()
    tasks: list[TaskTable] = Field(min_length=1)
    mixing: Mixing = Mixing(temperature=1.0)
    privacy: Privacy | None = None
    training: Training

    @model_validator(mode="after")
    def _privacy_holds(self) -> TaskRecipe:
        if self.privacy is not None:
            self.privacy.check(self.training)
            table = self.tasks[0]
            if len(self.tasks) > 1 or table.corpora:
                raise ValueError("[privacy] is for recipes with one task")
            for name in ("shots", "more"):
                if getattr(table, name):
                    raise ValueError(f"{name} does not go with [privacy]; leave it out")
            for name in ("contrastive", "negative_ratio"):
                if getattr(table.task, name, None):
                    raise ValueError(f"{name} does not go with [privacy]; leave it out")
            if getattr(table.task, "class_weights", "none") != "none":
                raise ValueError("class_weights are counted in the training data, so they do not go with [privacy]")
            if not getattr(table.task, "labels", True):
                raise ValueError("[privacy] needs the labels of the task, which else are read from the training data")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> TaskRecipe:
        for name in ("token_masking", "word_mixing"):
            if getattr(self.training, name):
                raise ValueError(f"training.{name} is for recipes for entities alone")
        names = [table.name for table in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError("two tasks have the same name")
        for table in self.tasks:
            if isinstance(table.task, Entities):
                if table.name != "entities":
                    raise ValueError("a task of the kind entities has the name entities")
                self.for_entities(table)  # checks that every corpus maps to known types
                if len(self.tasks) == 1:
                    raise ValueError("entities alone have a recipe of their own, with [entities] and [[corpora]]")
            elif table.name == "entities":
                raise ValueError('the name "entities" is for a task of that kind')
        return self

    def for_entities(self, table: TaskTable) -> Recipe:
        """The recipe that would train the entities alone."""
        task = table.task
        assert isinstance(task, Entities)
        return Recipe(
            name=self.name,
            model=self.model,
            data=self.data,
            entities=task,
            corpora=table.corpora,
            training=self.training,
        )

    def path(self, place: str) -> str:
        """Where a file of the recipe's data lies."""
        return self.data.path(place)


def load_task_recipe(path: Path, overrides: Sequence[str] = ()) -> TaskRecipe:
    """Read a recipe with `[[tasks]]`; see `read_recipe`."""
    recipe = read_recipe(TaskRecipe, path, overrides, "TEXTOME_DATA")
    if not recipe.tasks:
        raise InputError(f"{path}: there is no task")
    tasks = [table.model_copy(update={"corpora": with_lexicons(table.corpora, path.parent)}) for table in recipe.tasks]
    return recipe.model_copy(update={"tasks": tasks})

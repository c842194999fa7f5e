"""Tasks: what a model does with records, one file and one class each.

A class's fields are a recipe's table and a bundle's entry. A new task is a module, and its class in `AnyTask`: the only
list of tasks.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field

from textome.tasks.classification import Classification
from textome.tasks.embedding import Embedding
from textome.tasks.entities import Entities
from textome.tasks.question_answering import QuestionAnswering
from textome.tasks.relations import Relations
from textome.tasks.sentence_classification import SentenceClassification
from textome.tasks.task import HeadShape, Task

__all__ = ["TASKS", "AnyTask", "HeadShape", "Task", "kind_named"]

_Tasks = Entities | Classification | SentenceClassification | Relations | QuestionAnswering | Embedding
AnyTask = Annotated[_Tasks, Field(discriminator="kind")]
TASKS: dict[str, type[Task[Any, Any]]] = {task.model_fields["kind"].default: task for task in get_args(_Tasks)}
_OLD_KINDS = {task.old_kind: kind for kind, task in TASKS.items() if task.old_kind}


def kind_named(name: str) -> str:
    """The kind that a name in a recipe or bundle of any version stands for."""
    return _OLD_KINDS.get(name, name)

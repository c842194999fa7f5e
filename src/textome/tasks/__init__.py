"""Tasks: what a model does with records, one file and one class each.

A class's fields are a recipe's table and a bundle's entry. A new task is a module and a line in `TASKS`, the only list of
tasks. Modules are imported when they are first used.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, InstanceOf, SerializeAsAny, ValidationError

from textome.errors import explain
from textome.tasks.task import HeadShape, SomePrediction, SomeRecord, SomeTask, Task

__all__ = [
    "TASKS",
    "AnyTask",
    "HeadShape",
    "SomePrediction",
    "SomeRecord",
    "SomeTask",
    "Task",
    "kind_named",
    "task_class",
]

# The kind of a task -> its module here, which has the class of the second name.
TASKS = {
    "entities": ("entities", "Entities"),
    "classification": ("classification", "Classification"),
    "sentence_classification": ("sentence_classification", "SentenceClassification"),
    "relations": ("relations", "Relations"),
    "document_relations": ("document_relations", "DocumentRelations"),
    "question_answering": ("question_answering", "QuestionAnswering"),
    "embedding": ("embedding", "Embedding"),
    "translation": ("translation", "Translation"),
    "sequence_classification": ("target", "Target"),
    "sequence_labels": ("target", "Target"),
    "regression": ("target", "Target"),
    "masked_tokens": ("target", "Target"),
    "masked_lm": ("pretraining", "MaskedLanguageModel"),
    "text_to_text": ("text_to_text", "TextToText"),
    "span_corruption": ("span_corruption", "SpanCorruption"),
    "language_model": ("language_model", "LanguageModel"),
    "survival": ("survival", "Survival"),
    "affinity": ("affinity", "Affinity"),
    "detection": ("pixels.detection", "Detection"),
    "segmentation": ("pixels.segmentation", "Segmentation"),
}
# Kinds in older recipes and bundles, and what they are called now.
_OLD_KINDS = {"sentences": "sentence_classification", "answers": "question_answering"}
# The same of what is not text.
_OLD_SEQUENCE_KINDS = {
    "classification": "sequence_classification",
    "multi_label": "sequence_labels",
    "masked": "masked_tokens",
}


def kind_named(name: str, of_text: bool = True) -> str:
    """The kind that a name in a recipe or bundle of any version stands for."""
    return (_OLD_KINDS if of_text else _OLD_SEQUENCE_KINDS).get(name, name)


def task_class(kind: str) -> type[SomeTask]:
    """The class of a kind. Raises ValueError for one that is not in the table."""
    if (kind := kind_named(kind)) not in TASKS:
        near = difflib.get_close_matches(kind, TASKS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the kinds are {', '.join(TASKS)}"
        raise ValueError(f"there is no kind of task {kind!r}; {hint}")
    module, name = TASKS[kind]
    return cast(type[SomeTask], getattr(import_module(f"textome.tasks.{module}"), name))


def _validated(entry: Any) -> Any:
    """The task of an entry {"kind": ..., ...}. Raises ValueError that names the key that is wrong."""
    if not isinstance(entry, Mapping):
        return entry
    task = task_class(str(entry.get("kind")))
    try:
        return task.model_validate(dict(entry) | {"kind": kind_named(str(entry["kind"]))})
    except ValidationError as error:
        raise ValueError(_explained(task, error)) from error


def _explained(task: type[SomeTask], error: ValidationError) -> str:
    item = error.errors()[0]
    if item["type"] != "extra_forbidden":
        return explain(error)
    key = ".".join(map(str, item["loc"]))
    fields = [name for name in task.model_fields if name != "kind"]
    near = difflib.get_close_matches(key, fields, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(fields)}"
    return f"{key} is not a key of a task of this kind; {hint}"


AnyTask = Annotated[SerializeAsAny[InstanceOf[SomeTask]], BeforeValidator(_validated)]

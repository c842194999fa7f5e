"""Short forms of recipes: those with one task may write its table outside `[[tasks]]`, as all did once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textome.tasks import kind_named

# What `task` may say in a recipe. It is needed in no recipe with [[tasks]], whose kinds say what is trained.
NAMES = ("tasks", "entities", "modality", "translation")
# The files of a task.
_FILES = ("train", "validation", "test")
_Place = tuple[int | str, ...]


def in_full(values: Any) -> Any:
    """A recipe's values with a table of [[tasks]] for each task. Values in full, and what is no table, stay as they are."""
    if not isinstance(values, Mapping):
        return values
    rest = {key: value for key, value in values.items() if key != "task"}
    if "tasks" not in values and (table := _one_task(values)):
        data = {key: value for key, value in rest.pop("data", {}).items() if key not in _data_keys(values)}
        if _named(values) == "modality":
            rest.pop("target", None)
        return {"model": {}} | rest | {"data": data, "tasks": [table]}
    if {"entities", "corpora"} & set(rest):
        table = rest.pop("entities", {}) | {"kind": "entities", "corpora": rest.pop("corpora", [])}
        return rest | {"tasks": [table, *rest.get("tasks", [])]}
    return rest


def _one_task(values: Mapping[str, Any]) -> dict[str, Any]:
    """The table of the one task that has none of its own: what [target] and [data] say of it; empty for other recipes."""
    data, target = values.get("data", {}), values.get("target", {})
    if not _data_keys(values) or not isinstance(data, Mapping) or not isinstance(target, Mapping):
        return {}
    own = {key: value for key, value in data.items() if key in _data_keys(values)}
    if _named(values) == "translation":
        return {"name": "translation", "kind": "translation"} | own
    kind = kind_named(str(target.get("kind", "sequence_classification")), of_text=False)
    return {"name": "target"} | dict(target) | {"kind": kind} | own


def _named(values: Mapping[str, Any]) -> str:
    return "modality" if "modality" in values else str(values.get("task", ""))


def _data_keys(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of [data] that are those of the one task."""
    return {"modality": _FILES, "translation": ("source", "target", *_FILES)}.get(_named(values), ())


def keys_as_written(path: _Place, keys: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The keys that the table at `path` may have in a recipe as it was written."""
    short = "tasks" not in values and path == ("data",)
    return [*keys, *(_data_keys(values) if short else ())]


def as_written(path: _Place, values: Mapping[str, Any]) -> _Place:
    """Where in a recipe as it was written that stands what in full stands at `path`."""
    if path[:2] != ("tasks", 0) or "tasks" in values:
        return path
    if _data_keys(values):
        in_data = _named(values) == "translation" or (path[2:3] and path[2] in _FILES)
        return ("data" if in_data else "target"), *path[2:]
    return path[2:] if path[2:3] == ("corpora",) else ("entities", *path[2:])

"""Short forms of recipes: those with one task may write its table outside `[[tasks]]`, as all did once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textome.tasks import kind_named, task_class

# What `task` may say in a recipe. It is needed in no recipe with [[tasks]], whose kinds say what is trained.
NAMES = ("tasks", "entities", "modality", "translation", "pretraining")
# The files of a task.
_FILES = ("train", "validation", "test")
# Of the short form of each kind, its keys of [data], and its tables beside that.
_IN_DATA = {
    "modality": _FILES,
    "translation": ("source", "target", *_FILES),
    "pretraining": ("held_out", "held_out_tokens"),
}
_TABLES: dict[str, tuple[str, ...]] = {
    "modality": ("target",),
    "translation": (),
    "pretraining": ("masking", "corpora"),
}
# What pretraining does where a recipe does not say otherwise.
_PRETRAINING = {"token_budget": 8192, "warmup": 0.06, "select": "last"}
_KeyPath = tuple[int | str, ...]


def in_full(values: Any) -> Any:
    """A recipe's values with a table of [[tasks]] for each task. Other values stay as they are."""
    if not isinstance(values, Mapping):
        return values
    rest = {key: value for key, value in values.items() if key != "task"}
    if "tasks" not in values and (table := _one_task(values)):
        data = {key: value for key, value in rest.pop("data", {}).items() if key not in _data_keys(values)}
        for key in _TABLES[_named(values)]:
            rest.pop(key, None)
        return {"model": {}} | _with_defaults(rest, table) | {"data": data, "tasks": [table]}
    if {"entities", "corpora"} & set(rest):
        table = rest.pop("entities", {}) | {"kind": "entities", "corpora": rest.pop("corpora", [])}
        return rest | {"tasks": [table, *rest.get("tasks", [])]}
    return _with_defaults(rest, _first(rest))


def _one_task(values: Mapping[str, Any]) -> dict[str, Any]:
    """The table of the one task that has none of its own: what [target] and [data] say of it; empty for other recipes."""
    data, target = values.get("data", {}), values.get("target", {})
    if not _data_keys(values) or not isinstance(data, Mapping) or not isinstance(target, Mapping):
        return {}
    own = {key: value for key, value in data.items() if key in _data_keys(values)}
    if _named(values) == "translation":
        return {"name": "translation", "kind": "translation"} | own
    if _named(values) == "pretraining":
        masking = values.get("masking", {})
        own |= {"texts": values.get("corpora", [])}
        return (
            {"name": "masked_lm", "kind": "masked_lm"} | (dict(masking) if isinstance(masking, Mapping) else {}) | own
        )
    kind = kind_named(str(target.get("kind", "sequence_classification")), of_text=False)
    return {"name": "target"} | dict(target) | {"kind": kind} | own


def _with_defaults(values: dict[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """The values with what pretraining has as defaults of its own."""
    training = values.get("training")
    if not _is_pretraining(table) or not isinstance(training, Mapping):
        return values
    return values | {"training": _PRETRAINING | dict(training)}


def _named(values: Mapping[str, Any]) -> str:
    if "modality" in values:
        return "modality"
    corpora = values.get("corpora")
    texts = isinstance(corpora, list) and any(isinstance(item, Mapping) and "path" in item for item in corpora)
    return "pretraining" if texts or "masking" in values else str(values.get("task", ""))


def pretrains(values: Mapping[str, Any]) -> bool:
    """Whether a recipe pretrains an encoder."""
    return _named(values) == "pretraining" or _is_pretraining(_first(values))


def _is_pretraining(table: Mapping[str, Any]) -> bool:
    """Whether a task's table has a kind that is learnt from texts without labels."""
    try:
        return task_class(str(table.get("kind"))).data_key == "texts"
    except ValueError:  # which the recipe itself reports
        return False


def _first(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first table of [[tasks]]; empty where there is none."""
    tables = values.get("tasks")
    return tables[0] if isinstance(tables, list) and tables and isinstance(tables[0], Mapping) else {}


def _data_keys(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of [data] that are those of the one task."""
    return _IN_DATA.get(_named(values), ())


def keys_as_written(path: _KeyPath, keys: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The keys that the table at `path` may have in a recipe as it was written."""
    short = "tasks" not in values and path == ("data",)
    return [*keys, *(_data_keys(values) if short else ())]


def as_written(path: _KeyPath, values: Mapping[str, Any]) -> _KeyPath:
    """Where in a recipe as it was written that stands what in full stands at `path`."""
    if path[:2] != ("tasks", 0) or "tasks" in values:
        return path
    if _data_keys(values):
        if _named(values) == "pretraining":
            return ("corpora", *path[3:]) if path[2:3] == ("texts",) else ("masking", *path[2:])
        in_data = _named(values) == "translation" or (path[2:3] and path[2] in _FILES)
        return ("data" if in_data else "target"), *path[2:]
    return path[2:] if path[2:3] == ("corpora",) else ("entities", *path[2:])

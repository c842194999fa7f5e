"""Recipes: TOML files that describe a whole run, checked strictly.

An unknown key is an error that names the nearest valid one. Paths in a recipe are relative to `data.root`, which is
relative to the recipe's own folder; the environment variable TEXTOME_DATA, in pretraining TEXTOME_CORPORA, takes its place
where it is set, unless it is absolute. A path that begins with `./` or `../` starts from the recipe's folder in every kind
of recipe, whatever it names: data, `model.base`, teachers, tokenizers, lists of names. A model under any other name is a
folder as seen from the process, a name on the hub, or a bundled one.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from textome.errors import InputError, plain_message
from textome.settings import Fields, read_toml
from textome.training.short_forms import as_written, keys_as_written, pretrains

# What of a recipe is in no bundle: where the data lay, and where the run was watched.
_NO_FOLDER = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_PRIVATE: Any = {"data": {"root"}, "training": {"mlflow"}}


Kind = TypeVar("Kind", bound=Fields)


def provenance_of(recipe: Fields) -> dict[str, Any]:
    """A recipe as a bundle records it: without folders of this machine, which are nobody else's business."""
    values: dict[str, Any] = recipe.model_dump(mode="json", exclude=_PRIVATE)
    for name in ("base", "tokenizer"):
        path = values["model"].get(name)
        if path and Path(path).is_absolute():
            values["model"][name] = "/".join(Path(path).parts[-2:])
    for corpus in (corpus for table in values.get("tasks", []) for corpus in table["corpora"]):
        corpus["lexicon"] = {kind: Path(path).name for kind, path in corpus["lexicon"].items()}
        corpus["synonyms"] = corpus["synonyms"] and Path(corpus["synonyms"]).name
        corpus["back_translation"] = [Path(path).name for path in corpus["back_translation"]]
    return values


def is_beside(path: str) -> bool:
    """Whether a path of a recipe starts from the recipe's folder."""
    return path.startswith(("./", "../"))


def from_folder(path: str, folder: Path, key: str) -> str:
    """The path of a model that a recipe in `folder` names under `key`, as seen from the process.

    Where nothing lies there, `./` and `../` start from the process's folder, as in earlier versions. Raises InputError
    where they could mean two folders.
    """
    beside, old = folder / path, Path(path)
    if not is_beside(path) or not (beside.exists() or not old.exists()):
        return path
    if beside.exists() and old.exists() and not beside.samefile(old):
        raise InputError(
            f"{key} {path!r} starts from the recipe's folder, where it is {beside.resolve()}; earlier versions took "
            f"{old.resolve()}: write the absolute path of the one that you mean"
        )
    return str(beside if beside.exists() else beside.absolute())  # never a name on the hub


def read_recipe(
    class_of: Callable[[Mapping[str, Any], str], type[Kind]], path: str | Path, overrides: Sequence[str]
) -> Kind:
    """Read a recipe and apply overrides such as `training.learning_rate=3e-5` or, of a table with a
    name, `tasks.NAME.weight=2` (values in TOML; bare words are strings).

    class_of   gives the class of the recipe, of its values and its path

    Raises InputError that says which key is wrong and, for an unknown one, which it is likely to be.
    """
    path = Path(path)
    values = read_toml(path, "the recipe")
    for override in overrides:
        _override(values, override)
    data = values.setdefault("data", {})
    if isinstance(data, dict):
        chosen = any(item.startswith("data.root=") for item in overrides)
        root = str(data.get("root", "."))
        if not chosen and not Path(root).is_absolute():
            root = os.environ.get("TEXTOME_CORPORA" if pretrains(values) else "TEXTOME_DATA") or root
        data["root"] = str((Path() if chosen else path.parent) / root)
    recipe = parse(class_of(values, str(path)), values, str(path))
    name = getattr(recipe, "name", "")
    if name and (_NO_FOLDER.search(name) or not name.strip(". ")):
        raise InputError(f"{path}, name: the run's folder is called by it, and {name!r} is not a name of one folder")
    return recipe


def parse(kind: type[Kind], values: Mapping[str, Any], source: str) -> Kind:
    """A recipe from parsed values; raises InputError as `read_recipe` does."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError(
            f"{source}: {'; '.join(_explain(kind, item, values) for item in error.errors()[:5])}"
        ) from error


def _named(tables: list[Any], name: str) -> Any:
    """Of tables that stand under one key, as `[[tasks]]`, the one that has this name."""
    return next((table for table in tables if isinstance(table, dict) and table.get("name") == name), None)


def _names(values: Any) -> str:
    names = [table["name"] for table in values if "name" in table] if isinstance(values, list) else []
    return f"; these have the names {', '.join(names)}" if names else ""


def _override(values: Any, override: str) -> None:
    key, equals, value = override.partition("=")
    *parents, last = key.strip().split(".")
    if not equals or not last:
        raise InputError(f"--set {override!r}: expected KEY=VALUE, for instance training.epochs=3")
    for parent in parents:
        inner: Any = _named(values, parent) if isinstance(values, list) else values.setdefault(parent, {})
        if not isinstance(inner, dict | list):
            raise InputError(f"--set {override!r}: {parent!r} is not a table of the recipe{_names(values)}")
        values = inner
    if isinstance(values, list):
        raise InputError(f"--set {override!r}: name one of the tables, as {parents[-1]}.NAME.{last}")
    try:
        values[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        values[last] = value


def _explain(section: type[BaseModel], error: Any, values: Mapping[str, Any]) -> str:
    key = ".".join(map(str, as_written(error["loc"], values)))
    if error["type"] != "extra_forbidden":
        key = key.removesuffix(".task")
        return f"{key}: {plain_message(error)}".removeprefix(": ")
    for part in error["loc"][:-1]:
        section = _inside(section, part)
    if not hasattr(section, "model_fields"):
        return f"{key} is not a key of a recipe"
    keys = keys_as_written(error["loc"][:-1], list(section.model_fields), values)
    near = difflib.get_close_matches(str(error["loc"][-1]), keys, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else f"; valid keys: {', '.join(keys)}"
    return f"{key} is not a key of a recipe{hint}"


def _inside(section: Any, part: int | str) -> Any:
    """The table under a key of a table; the same for an index, a key of a table with free keys, and the kind of a union."""
    if get_origin(section) is not None:  # one of several tables, each of a kind
        kinds = {model.model_fields["kind"].default: model for model in get_args(section)}
        return kinds.get(part, section)
    for name, field in getattr(section, "model_fields", {}).items():
        if part == name or part in getattr(field.validation_alias, "choices", ()):
            models = [item for item in _members(field.annotation) if hasattr(item, "model_fields")]
            return Union[tuple(models)] if models else field.annotation  # noqa: UP007 - of as many as there are
    return section


def _members(annotation: Any) -> list[Any]:
    inner = [item for argument in get_args(annotation) for item in _members(argument)]
    return inner or [annotation]

"""The file of `textome finetune RECIPE --federated CLIENTS.toml`: who trains together, and for how long."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from textome.errors import InputError
from textome.settings import Fields, read_toml
from textome.training.federated import Client
from textome.training.recipe import Recipe, load_recipe
from textome.training.recipe_files import parse

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Site(Fields):
    """A client: the recipe is the common one with its changes.

    name      in letters, digits, - and _; its folder in the run's folder is called by it
    root      the folder of its data, `data.root` of the recipe; relative to the file of the clients
    set       further changes of the recipe by their keys, as `{ "privacy.epsilon" = 3 }`
    records   how many training records it says it has; by default it counts them. Another number shows what a client does
              that does not tell the truth
    """

    name: str
    root: str | None = None
    set: dict[str, str | int | float | bool | list[str]] = Field(default_factory=dict)
    records: int | None = None


class Federation(Fields):
    """rounds, and the clients.

    min_clients   with fewer that still answer, the run ends
    timeout       seconds after which a client that has not answered a round is given up
    """

    rounds: int = Field(ge=1)
    min_clients: int = Field(2, ge=1)
    timeout: float = Field(3600.0, gt=0)
    clients: list[Site] = Field(min_length=2)

    @model_validator(mode="after")
    def _names_are_folders(self) -> Self:
        names = [site.name for site in self.clients]
        if bad := [name for name in names if not _NAME.fullmatch(name)]:
            raise ValueError(f"clients: {bad[0]!r} is not a name; use letters, digits, - and _")
        if len({name.casefold() for name in names}) < len(names):
            raise ValueError("clients: two of them have one name")
        if self.min_clients > len(names):
            raise ValueError(f"min_clients is {self.min_clients}, but there are {len(names)} clients")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises InputError that says which key is wrong."""
        return parse(cls, read_toml(path, "the file of the clients"), str(path))

    def of(self, recipe: Path, changes: Sequence[str], folder: Path) -> list[Client]:
        """The clients by the common recipe with `changes`; `folder` is what their roots are relative to.

        Raises InputError for a change that the recipe does not know, with the name of the client.
        """
        return [Client(site.name, _recipe(site, recipe, changes, folder), site.records) for site in self.clients]


def _recipe(site: Site, recipe: Path, changes: Sequence[str], folder: Path) -> Recipe[Any]:
    root = {} if site.root is None else {"data.root": str(folder / site.root)}
    # What JSON writes of these values is TOML too.
    own = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in (root | site.set).items()]
    try:
        return load_recipe(recipe, [*changes, *own])
    except InputError as error:
        raise InputError(f"client {site.name}: {error}") from error

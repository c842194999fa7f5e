"""What recipes, bundles and calls set up: fields that are checked when they are set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from textome.errors import InputError, explain


class Fields(BaseModel):
    """Fields that do not change after they are set, and no others: a table of a recipe, an entry of a bundle.

    old_keys   keys in older recipes and bundles, and what they are called now
    """

    old_keys: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _rename_old_keys(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {cls.old_keys.get(key, key): value for key, value in values.items()}


class Settings(Fields):
    """What a step, a model or a generation is set up with.

    settings_of   what the settings are of, which a message about a wrong one begins with
    """

    settings_of: ClassVar[str]

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Self:
        """The settings from values of any origin. Raises InputError that names the one that is wrong."""
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise InputError(explain(error, cls.settings_of)) from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The values of a file of TOML. Raises InputError that says so where `what` cannot be read."""
    import tomllib  # few calls read such a file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {what} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {what} is not valid TOML ({error})") from error

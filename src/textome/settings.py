"""Settings: what a step, a model or a generation is set up with, from values of any origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from textome.errors import InputError, explain


class Settings(BaseModel):
    """Fields that are checked when they are set, and do not change afterwards.

    settings_of   what the settings are of, which a message about a wrong one begins with
    """

    settings_of: ClassVar[str]

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Self:
        """The settings from values of any origin. Raises InputError that names the one that is wrong."""
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise InputError(explain(error, cls.settings_of)) from error

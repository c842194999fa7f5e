"""What every step has."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from textome.documents import Document
from textome.errors import InputError, explain


class StepSettings(BaseModel):
    """A step: its fields are its settings; called with documents, it gives each back, in order, with more annotations.

    adds_types   the types of the entities that it adds of its own accord; not those of a model whose entities it copies
    """

    adds_types: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Self:
        """The step with these settings. Raises InputError that names the setting that is wrong."""
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise InputError(explain(error, f"step {cls.__name__}")) from error

    @abstractmethod
    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents, one after another and in order; memory does not grow with their number."""

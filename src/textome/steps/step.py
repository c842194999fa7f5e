"""What every step has."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from textome.documents import Document
from textome.settings import Settings


class StepSettings(Settings):
    """A step: its fields are its settings; called with documents, it gives each back, in order, with more annotations.

    adds_types   the types of the entities that it adds of its own accord; not those of a model whose entities it copies
    """

    adds_types: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.settings_of = f"step {cls.__name__}"

    @abstractmethod
    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents, one after another and in order; memory does not grow with their number."""

"""`RelationFinder`: relations between entities, by the name that older programs use; for one more version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from textome.documents import Document
from textome.errors import InputError
from textome.runtime.model import Model


class RelationFinder:
    """A model that finds relations between the entities that documents have. `textome.load` gives a pipeline that does so.

    name            of the task where the bundle has several
    min_confidence  relations below it are left out
    """

    def __init__(self, model: Model, name: str | None = None, min_confidence: float = 0.0) -> None:
        if not 0.0 <= min_confidence <= 1.0:
            raise InputError(f"the minimum confidence is {min_confidence}; give a probability from 0 to 1")
        self.name = model.bundle.task_of("relations", name)
        self.model = model.choosing(tasks=(self.name,), min_confidence=min_confidence)

    @classmethod
    def load(cls, model: str | Path, name: str | None = None, *, min_confidence: float = 0.0, **settings: Any) -> Self:
        """Load a bundle; `settings` are those of `runtime.model.ModelSettings`."""
        return cls(Model.load(model, **settings), name, min_confidence)

    def stream(self, documents: Iterable[Document], *, replace: bool = False) -> Iterator[Document]:
        """The documents with relations added, in order, one pool after another.

        replace   drop the relations that a document already has
        """
        if replace:
            documents = (document.with_annotations(document.entities) for document in documents)
        yield from self.model(documents)

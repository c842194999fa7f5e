"""`Annotator`, the name that `textome.load` had for a model that finds entities; for one more version."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from copy import copy
from pathlib import Path
from typing import Any, Self, overload

from textome.documents import Document, as_document
from textome.errors import InputError
from textome.runtime.model import Model


class Annotator:
    """A model that finds entities. `textome.load` gives a pipeline that does the same, with all tasks and steps.

    types           the entity types to look for; by default those that the bundle names as its defaults
    min_confidence  entities below it are left out; None: the thresholds that the bundle names for its types, if any
    flat            of entities that overlap, only the most probable is found

    Raises ModelError where the model finds no entities, InputError for a type that it does not know.
    """

    def __init__(
        self,
        model: Model,
        types: Collection[str] | None = None,
        min_confidence: float | None = None,
        flat: bool = False,
    ) -> None:
        bundle = self.bundle = model.bundle
        _ = bundle.entities  # a bundle of other tasks says so
        if unknown := [name for name in types or () if name not in bundle.types]:
            raise InputError(
                f"model {bundle.name!r} does not know the type {unknown[0]!r}; it knows {', '.join(bundle.types)}"
            )
        if min_confidence is not None and not 0.0 <= min_confidence <= 1.0:
            raise InputError(f"the minimum confidence is {min_confidence}; give a probability from 0 to 1")
        self.name = bundle.task_of("entities")
        chosen = tuple(types) if types else None
        self.model = model.choosing(tasks=(self.name,), types=chosen, min_confidence=min_confidence, flat=flat)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        types: Collection[str] | None = None,
        min_confidence: float | None = None,
        flat: bool = False,
        **settings: Any,
    ) -> Self:
        """Load a bundle by directory or hub name; `settings` are those of `runtime.model.ModelSettings`."""
        return cls(Model.load(model, **settings), types, min_confidence, flat)

    def choosing(
        self, types: Collection[str] | None = None, min_confidence: float | None = None, flat: bool = False
    ) -> Self:
        """The same loaded model with other choices of what to find; nothing is loaded again."""
        other = copy(self)
        Annotator.__init__(other, self.model, types, min_confidence, flat)
        return other

    @overload
    def annotate(self, documents: str | Document, *, replace: bool = False) -> Document: ...  # type: ignore[overload-overlap]
    @overload
    def annotate(self, documents: Iterable[str | Document], *, replace: bool = False) -> list[Document]: ...
    def annotate(
        self, documents: str | Document | Iterable[str | Document], *, replace: bool = False
    ) -> Document | list[Document]:
        """Find entities: a text or document gives a document, several give a list in the same order.

        replace   drop the annotations that a document already has; by default they stay and new ones are added
        """
        if isinstance(documents, str | Document):
            return next(self.stream([as_document(documents)], replace=replace))
        return list(self.stream((as_document(item, n) for n, item in enumerate(documents, 1)), replace=replace))

    def stream(self, documents: Iterable[Document], *, replace: bool = False) -> Iterator[Document]:
        """Annotate documents one pool after another, in order; memory does not grow with their number."""
        return self.model(item.with_annotations(()) for item in documents) if replace else self.model(documents)

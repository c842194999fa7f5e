"""What a bundle finds in documents, explained: entities, labels of texts, pairs and sentences, relations, and answers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

from textome.documents import Document
from textome.errors import InputError
from textome.explain.occlusion import Explanation, explain_record
from textome.runtime.bundle import ENTITIES
from textome.runtime.model import Model


class Explainer:
    """A loaded bundle, asked why.

    name   the task that is explained; "entities" for entities
    """

    def __init__(self, model: Model, name: str = ENTITIES) -> None:
        self._model, self.name, self.bundle = model, name, model.bundle
        self._task = model.task(name)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        task: str | None = None,
        *,
        types: Collection[str] | None = None,
        min_confidence: float | None = None,
        precision: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """Load a bundle by directory or hub name; None is the bundled default.

        task                    the name of one of its tasks; by default the entities, or the only task there is
        types, min_confidence   of entities

        Raises ModelError for a task that it does not have, InputError for one whose findings are not explained.
        """
        chosen = None if types is None else tuple(types)
        loaded = Model.load(model, precision=precision, threads=threads, types=chosen, min_confidence=min_confidence)
        bundle = loaded.bundle
        if bundle.has_entities and task in (None, ENTITIES):
            if unknown := [name for name in types or () if name not in bundle.types]:
                raise InputError(
                    f"model {bundle.name!r} does not know the type {unknown[0]!r}; it knows {', '.join(bundle.types)}"
                )
            return cls(loaded)
        name = bundle.only_task(task)
        if not bundle.tasks[name].output_kind:
            raise InputError(f"task {name!r} annotates nothing, so there is nothing to explain")
        if types is not None or min_confidence is not None:
            raise InputError(f"types and a least confidence are for entities; task {name!r} finds none")
        return cls(loaded, name)

    def explain(self, document: Document, *, label: str | None = None, pair: str | None = None) -> list[Explanation]:
        """What the model finds in a document, each finding with the weights of the words.

        label   the label to explain instead of those that are given, also for each pair of entities
        pair    the second text, for a task that reads two: the text that the document's question or sentence is asked of

        Without `label`, relations are explained where the model sees one. Raises InputError as `check` does, and for a
        document that the task cannot read.
        """
        self.check(label, pair)
        model, task = self._model, self._task
        question = None
        if pair is not None:
            document, question = Document.from_text(pair, document.id), document.text
        records = task.records(task.ready(document), question)
        skipped: list[bool] = [False] * len(records)
        if label is None and task.output_kind == "relations":
            skipped = [task.is_nothing(prediction) for prediction in model.predictions(self.name, records)]
        return [
            explanation
            for record, skip in zip(records, skipped, strict=True)
            if not skip and model.examples(self.name, [record])
            for explanation in explain_record(model, self.name, record, label, self._id(record, document))
        ]

    def check(self, label: str | None, pair: str | None) -> None:
        """Raises InputError for a label that the task does not have, and for a second text where it reads none, or the
        other way round."""
        task = self._task
        if task.output_kind == "entities":
            for value, what in ((label, "a label"), (pair, "a second text")):
                if value is not None:
                    raise InputError(f"{what} is for tasks that give labels; this one finds entities")
            return
        if task.reads_pairs != (pair is not None):
            why = "reads pairs of texts; give the second one" if task.reads_pairs else "does not read pairs of texts"
            raise InputError(f"task {self.name!r} {why}")
        if label is not None and label not in task.label_names:
            raise InputError(f"task {self.name!r} has no label {label!r}; it has {', '.join(task.label_names)}")

    def _id(self, record: Any, document: Document) -> str:
        return document.id if self._task.output_kind == "entities" else str(record.id)

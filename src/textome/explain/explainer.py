"""What a bundle finds in documents, explained: entities, labels of texts, pairs and sentences, and relations."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

from textome.documents import Document
from textome.errors import InputError
from textome.explain.occlusion import Explanation, explain_entities, explain_record
from textome.runtime.annotator import Annotator
from textome.runtime.bundle import ENTITIES, Bundle, resolve_model
from textome.runtime.tasks import TaskRunner
from textome.tasks.labels import LabelTask
from textome.tasks.relations import with_ids


class Explainer:
    """A loaded bundle, asked why.

    name   the task that is explained; "entities" for entities
    """

    def __init__(self, model: Annotator | TaskRunner, name: str = ENTITIES) -> None:
        self._model, self.name, self.bundle = model, name, model.bundle

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
        types, min_confidence   of entities, as for `Annotator`

        Raises ModelError for a task that it does not have, InputError for one whose findings are not explained.
        """
        bundle = Bundle.load(resolve_model(model))
        if bundle.has_entities and task in (None, ENTITIES):
            options: dict[str, Any] = {"types": types, "min_confidence": min_confidence}
            return cls(Annotator.load(bundle.directory, precision=precision, threads=threads, **options))
        name = bundle.only_task(task)
        if not isinstance(bundle.tasks[name], LabelTask):
            raise InputError(
                f"task {name!r} gives no labels, so it is not explained; of an answer, `textome ask` shows the sentence"
            )
        if types is not None or min_confidence is not None:
            raise InputError(f"types and a least confidence are for entities; task {name!r} gives labels")
        return cls(TaskRunner.load(bundle.directory, precision=precision, threads=threads), name)

    def explain(self, document: Document, *, label: str | None = None, pair: str | None = None) -> list[Explanation]:
        """What the model finds in a document, each finding with the weights of the words.

        label   the label to explain instead of those that are given, also for each pair of entities
        pair    the second text, for a task that reads two

        Without `label`, relations are explained where the model sees one. Raises InputError as `check` does, and for a
        document that the task cannot read.
        """
        self.check(label, pair)
        if isinstance(self._model, Annotator):
            return list(explain_entities(self._model, document))
        task = self._model.task(self.name)
        question = None
        if task.reads_pairs and pair is not None:
            document, question = Document.from_text(pair, document.id), document.text
        records = task.records(with_ids(document), question)
        found = self._model.predictions(self.name, records)
        return [
            explanation
            for record, prediction in zip(records, found, strict=True)
            if label is not None or not task.is_nothing(prediction)
            for explanation in explain_record(self._model, self.name, record, label)
        ]

    def check(self, label: str | None, pair: str | None) -> None:
        """Raises InputError for a label that the task does not have, and for a second text where it reads none, or the
        other way round."""
        if isinstance(self._model, Annotator):
            for value, what in ((label, "a label"), (pair, "a second text")):
                if value is not None:
                    raise InputError(f"{what} is for tasks that give labels; this one finds entities")
            return
        task = self._model.task(self.name)
        if task.reads_pairs != (pair is not None):
            wrong = "reads pairs of texts; give the second one" if task.reads_pairs else "does not read pairs of texts"
            raise InputError(f"task {self.name!r} {wrong}")
        if label is not None and label not in task.label_names:
            raise InputError(f"task {self.name!r} has no label {label!r}; it has {', '.join(task.label_names)}")

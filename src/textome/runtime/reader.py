"""Entities and labels of a text in one pass of the encoder, for bundles that were trained for both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from textome.datasets.labelled import LabelledText
from textome.documents import Document
from textome.errors import ModelError
from textome.runtime.batching import Batch, in_batches
from textome.runtime.bundle import ENTITIES
from textome.runtime.model import Model
from textome.tasks import Task
from textome.tasks.examples import Example, Floats
from textome.tasks.labels import Classified


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says of a text: its entities, in `document`, and for each task the text's labels."""

    document: Document
    labels: Mapping[str, Classified]


class Reader:
    """Asks every head of a bundle that reads single texts, the entities among them, in one pass of the encoder.

    Those are its classification tasks without pairs and markers; the other tasks read inputs of their own. A text is read
    whole, or in windows where it is longer than the model, and not cut into sentences.
    """

    def __init__(self, model: Model) -> None:
        self.model = model.choosing(sentences=False)
        self.tasks = tuple(name for name, task in model.tasks.items() if task.shares_pass)
        if not self.tasks or not model.bundle.has_entities:
            raise ModelError(f"{model.directory}: the model does not both find entities and label single texts")

    @classmethod
    def load(cls, model: str | Path, **settings: Any) -> Self:
        """Load a bundle; `settings` are those of `ModelSettings`. Raises ModelError where it lacks one of the two."""
        return cls(Model.load(model, **settings))

    def read(self, texts: Iterable[str]) -> list[Reading]:
        """One reading for each text, in order. Raises InputError for a text without any word."""
        documents = [Document.from_text(text, id=str(number)) for number, text in enumerate(texts, 1)]
        items = [LabelledText(document.id, document.text, None) for document in documents]
        examples = self.model.examples(self.tasks[0], items)
        _, records, spans = self.model.prepare(ENTITIES, documents)
        scores = in_batches(examples, self.model.settings.token_budget, self._run)
        labels = {
            name: self._task(name).decode(items, examples, [row[number][None] for row in scores])
            for number, name in enumerate(self.tasks)
        }
        logits = [row[-1][example.positions] for row, example in zip(scores, spans, strict=True)]
        annotated = self.model.complete(ENTITIES, documents, records, spans, logits)
        return [
            Reading(document, {name: labels_of[number] for name, labels_of in labels.items()})
            for number, document in enumerate(annotated)
        ]

    def _task(self, name: str) -> Task[LabelledText, Classified]:
        return cast("Task[LabelledText, Classified]", self.model.task(name))

    def _run(self, examples: list[Example]) -> list[tuple[Floats, ...]]:
        """For each example the scores of each head: (num_labels,) of a task, last (S, num_labels) of the entities."""
        return list(zip(*self.model.session.run((*self.tasks, ENTITIES), Batch.of(examples)), strict=True))

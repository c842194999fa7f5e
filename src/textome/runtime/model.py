"""A model: a bundle's tasks, asked with records or as a step of a pipeline, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, Self

from textome.documents import Document
from textome.errors import InputError, ModelError
from textome.runtime.batching import Batch, in_batches
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.session import Session
from textome.runtime.step import ModelSettings, ModelStep
from textome.tasks import SomeRecord, SomeTask
from textome.tasks.examples import Example, Floats
from textome.text.tokenization import Tokenizer


class Model(ModelStep):
    """A loaded bundle of an encoder of texts. As a step it annotates documents with its tasks, entities first."""

    def __init__(self, bundle: Bundle, session: Session, settings: ModelSettings | None = None) -> None:
        super().__init__(bundle, settings)
        self.session = session
        self.tokenizer = Tokenizer.load(bundle.directory)

    @classmethod
    def of(cls, bundle: Bundle, settings: ModelSettings, with_hidden_states: bool = False) -> Self:
        cls.check_bundle(bundle)
        session = Session.of(
            bundle, settings.precision, settings.threads, with_hidden_states, settings.early_exit, settings.device
        )
        return cls(bundle, session, settings)

    @staticmethod
    def check_bundle(bundle: Bundle) -> None:
        """Raises ModelError for a bundle that is not an encoder of texts with heads."""
        _ = bundle.text  # a model of something else says so
        for name, task in bundle.tasks.items():
            if task.run_by != "encoder":
                raise ModelError(
                    f"{bundle.directory}: this model has no heads over texts, which this needs; its task {name} is a "
                    f"{task.kind}, asked by textome annotate, generate or translate"
                )

    @classmethod
    def load(cls, model: str | Path | None = None, *, with_hidden_states: bool = False, **settings: object) -> Self:
        """Load a bundle by folder or hub name; None is the bundled one.

        with_hidden_states   the session gives the hidden states too
        settings      the other fields of `ModelSettings`

        Raises ModelError where the bundle cannot be loaded, InputError for settings that are wrong.
        """
        chosen = ModelSettings.of({"model": None if model is None else str(model), **settings})
        return cls.of(Bundle.load(resolve_model(chosen.model)), chosen, with_hidden_states)

    def choosing(self, **settings: object) -> Self:
        """The same loaded model with other settings of what to look for; nothing is loaded again."""
        other = copy(self)
        other._choose(ModelSettings.of(self.settings.model_dump() | settings))
        return other

    def apply(self, name: str, documents: Sequence[Document]) -> list[Document]:
        prepared, records, examples = self.prepare(name, documents)
        return self.complete(name, prepared, records, examples, self.scores(name, examples))

    def prepare(
        self, name: str, documents: Sequence[Document]
    ) -> tuple[list[Document], list[list[SomeRecord]], list[Example]]:
        """Before the encoder: the documents as the task needs them, their records, and the examples of all records."""
        task = self.tasks[name]
        prepared = [task.ready(document) for document in documents]
        records = [self._records(task, document) for document in prepared]
        try:
            return prepared, records, self.examples(name, [record for own in records for record in own])
        except InputError:
            if self.report is None:
                raise
        for number, (document, own) in enumerate(zip(prepared, records, strict=True)):
            try:
                self.examples(name, own)
            except InputError as error:
                self.report(document, error)
                records[number] = []
        return prepared, records, self.examples(name, [record for own in records for record in own])

    def complete(
        self,
        name: str,
        documents: Sequence[Document],
        records: Sequence[Sequence[SomeRecord]],
        examples: Sequence[Example],
        scores: Sequence[Floats],
    ) -> list[Document]:
        """After the encoder: the prepared documents with the task's annotations."""
        task = self.tasks[name]
        predictions = iter(task.decode([record for own in records for record in own], examples, scores))
        return [
            task.annotate(name, document, own, list(islice(predictions, len(own)))) if own else document
            for document, own in zip(documents, records, strict=True)
        ]

    def _records(self, task: SomeTask, document: Document) -> list[SomeRecord]:
        """What of a document the task is asked about; nothing of a document without any text."""
        if not document.text.strip():
            return []
        return task.records(document, self.settings.question if task.reads_pairs else None)

    def examples(self, name: str, records: Sequence[Any], tokenizer: Tokenizer | None = None) -> list[Example]:
        """The model's inputs for records of the task `name`, by its own tokenizer or another one.

        Raises InputError for a record that it cannot read.
        """
        tokenizer = tokenizer or self.tokenizer
        return self.task(name).examples(records, tokenizer, self.bundle.window, self.bundle.overlap)

    def predictions(self, name: str, records: Sequence[Any]) -> list[Any]:
        examples = self.examples(name, records)
        return self.task(name).decode(records, examples, self.scores(name, examples))

    def scores(self, name: str, examples: Sequence[Example]) -> list[Floats]:
        """The scores (m, num_labels) of each example at its positions, run in batches of nearly equal length."""
        task = self.task(name)
        pooled = task.head_shape.num_pooled_positions

        def run(chosen: list[Example]) -> list[Floats]:
            if task.reads_hidden_states:
                batch = Batch.of(chosen)
                return list(task.scores_of(self.session.hidden_states(batch), batch.lengths))
            (scores,) = self.session.run([name], Batch.of(chosen, pooled > 1))
            if pooled > 1:
                return [row[: len(example.positions)] for row, example in zip(scores, chosen, strict=True)]
            if pooled:
                return [row[None] for row in scores]
            return [row[example.positions] for row, example in zip(scores, chosen, strict=True)]

        return in_batches(examples, self.settings.token_budget, run)

    def check_record(self, name: str, record: Any) -> None:
        self.examples(name, [record])

"""A model: a bundle's tasks, asked with records or as a step of a pipeline, without PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textome.documents import Document
from textome.errors import InputError, ModelError, plain_message
from textome.formats.reading.sources import Quarantine
from textome.runtime.batching import Batch, in_batches
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.session import Session
from textome.tasks import Task
from textome.tasks.examples import Example, Floats
from textome.tasks.task import Choice
from textome.text.tokenization import Tokenizer

# Characters of documents that are read together: enough that batches hold inputs of equal lengths, few enough that memory
# stays small and flat.
POOL_CHARACTERS = 400_000
# Records that are read together.
POOL_RECORDS = 256
# Called with a document that a task cannot read, and why.
Report = Callable[[Document, InputError], None]


class ModelSettings(BaseModel):
    """What a model of a pipeline is, and what it looks for.

    model           a bundle's folder or hub name; None: the bundled one
    precision       "int8", "bf16" or "fp32", where the bundle has several
    tasks           names of the bundle's tasks that are asked; None: all that read documents
    types           the entity types to look for; by default those that the bundle names as its defaults. A type that the
                    bundle does not know is left to the pipeline's other models
    min_confidence  what is below it is left out; None: the thresholds of the bundle
    flat            of entities that overlap, only the most probable is found
    sentences       False takes each passage as one sentence, for corpora that are cut into sentences already
    question        what is asked of every document, by tasks that read two texts; without it those are not asked
    threads         processor threads; None: all cores
    token_budget    tokens, padding included, of one batch
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None
    precision: str | None = None
    tasks: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    flat: bool = False
    sentences: bool = True
    question: str | None = Field(default=None, min_length=1)
    threads: int | None = Field(default=None, ge=1)
    token_budget: int = Field(default=1024, ge=1)

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Self:
        """The settings from values of any origin. Raises InputError that names the one that is wrong."""
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            item = error.errors()[0]
            name = ".".join(map(str, item["loc"]))
            raise InputError(f"model: {name}: {plain_message(item)}") from error

    @property
    def choice(self) -> Choice:
        return Choice(self.types, self.min_confidence, self.flat, self.sentences)


class Model:
    """A loaded bundle. As a step it annotates documents with its tasks, one after another: entities first.

    tasks    by name, as the settings choose
    report   called with a document that a task cannot read, which goes on without its annotations; None raises
    """

    def __init__(self, bundle: Bundle, session: Session, settings: ModelSettings | None = None) -> None:
        self.bundle, self.session = bundle, session
        self.tokenizer = Tokenizer.load(bundle.directory)
        self.report: Report | None = None
        self._choose(settings or ModelSettings())

    def _choose(self, settings: ModelSettings) -> None:
        self.settings = settings
        names = self.bundle.tasks if settings.tasks is None else settings.tasks
        if unknown := [name for name in names if name not in self.bundle.tasks]:
            able = ", ".join(self.bundle.tasks)
            raise InputError(f"model {self.bundle.name!r} has no task {unknown[0]!r}; its tasks are {able}")
        self.tasks = {name: self.bundle.tasks[name].with_choice(settings.choice) for name in names}

    @classmethod
    def load(cls, model: str | Path | None = None, *, with_states: bool = False, **settings: object) -> Self:
        """Load a bundle by folder or hub name; None is the bundled one.

        with_states   the session gives the hidden states too
        settings      the other fields of `ModelSettings`

        Raises ModelError where the bundle cannot be loaded, InputError for settings that are wrong.
        """
        chosen = ModelSettings.of({"model": None if model is None else str(model), **settings})
        bundle = Bundle.load(resolve_model(chosen.model))
        return cls(bundle, Session.of(bundle, chosen.precision, chosen.threads, with_states), chosen)

    def choosing(self, **settings: object) -> Self:
        """The same loaded model with other settings of what to look for; nothing is loaded again."""
        other = copy(self)
        other._choose(ModelSettings.of(self.settings.model_dump() | settings))
        return other

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def directory(self) -> Path:
        return self.bundle.directory

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types that it knows."""
        return self.bundle.types if self.bundle.has_entities else ()

    @property
    def asked(self) -> dict[str, Task[Any, Any]]:
        """The tasks that annotate documents: those that read one text, and with a question the others too."""
        question = self.settings.question is not None
        found = {
            name: task
            for name, task in self.tasks.items()
            if task.gives and (question or not task.reads_pairs) and not self._is_other_models(task)
        }
        return dict(sorted(found.items(), key=lambda item: item[1].gives != "entities"))  # relations are between them

    @property
    def gives(self) -> set[str]:
        """The kinds of annotations that it makes: "entities", "relations", "labels"."""
        return {task.gives for task in self.asked.values()}

    def check(self) -> None:
        """Raises InputError where none of the tasks annotates documents."""
        able = [name for name, task in self.tasks.items() if task.gives]
        if not able:
            names = ", ".join(self.tasks)
            raise InputError(
                f"{self.directory}: this model annotates nothing; its tasks are {names}; see textome.Embedder"
            )
        if self.settings.question is None and all(self.tasks[name].reads_pairs for name in able):
            raise InputError(f"{self.directory}: the tasks of this model ({', '.join(able)}) need a question; give one")

    def _is_other_models(self, task: Task[Any, Any]) -> bool:
        """Whether the types that are asked for are all left to other models."""
        return (
            task.gives == "entities"
            and self.settings.types is not None
            and not set(self.settings.types) & {*self.types}
        )

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents with annotations, one pool after another, in order; memory does not grow with their number."""
        asked = self.asked
        for pool in pools(documents):
            for name in asked:
                pool = self.apply(name, pool)
            yield from pool

    def apply(self, name: str, documents: Sequence[Document]) -> list[Document]:
        """The documents with the annotations of one task. Raises InputError for one that it cannot read, unless there is a
        `report`."""
        prepared, records, examples = self.prepare(name, documents)
        return self.complete(name, prepared, records, examples, self.scores(name, examples))

    def prepare(
        self, name: str, documents: Sequence[Document]
    ) -> tuple[list[Document], list[list[Any]], list[Example]]:
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
        records: Sequence[Sequence[Any]],
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

    def _records(self, task: Task[Any, Any], document: Document) -> list[Any]:
        """What of a document the task is asked about; nothing of a document without any text."""
        if not document.text.strip():
            return []
        return task.records(document, self.settings.question if task.reads_pairs else None)

    def task(self, name: str) -> Task[Any, Any]:
        """The task of this name. Raises ModelError where there is none."""
        if name not in self.tasks:
            raise ModelError(f"{self.directory}: the model has no task {name!r}; its tasks are {', '.join(self.tasks)}")
        return self.tasks[name]

    def examples(self, name: str, records: Sequence[Any], tokenizer: Tokenizer | None = None) -> list[Example]:
        """The model's inputs for records of the task `name`, by its own tokenizer or another one.

        Raises InputError for a record that it cannot read.
        """
        tokenizer = tokenizer or self.tokenizer
        return self.task(name).examples(records, tokenizer, self.bundle.window, self.bundle.overlap)

    def predictions(self, name: str, records: Sequence[Any]) -> list[Any]:
        """What the task `name` says of each record. Raises InputError for a record that it cannot read."""
        examples = self.examples(name, records)
        return self.task(name).decode(records, examples, self.scores(name, examples))

    def stream(self, name: str, items: Iterable[Any], quarantine: Quarantine, place: str) -> Iterator[tuple[Any, Any]]:
        """Each record with what the task `name` says of it, in order; records that it cannot read are quarantined.

        place   where the records are from, for the quarantine
        """
        waiting = iter(items)
        while pool := list(islice(waiting, POOL_RECORDS)):
            try:
                found = self.predictions(name, pool)
            except InputError:  # one of them is bad, which is told before anything is computed
                pool = [item for item in pool if self._readable(name, item, quarantine, place)]
                found = self.predictions(name, pool)
            yield from zip(pool, found, strict=True)

    def scores(self, name: str, examples: Sequence[Example]) -> list[Floats]:
        """The scores (m, num_labels) of each example at its positions, run in batches of nearly equal length."""
        pooled = self.task(name).head.num_pooled_positions

        def run(chosen: list[Example]) -> list[Floats]:
            (scores,) = self.session.run([name], Batch.of(chosen, pooled > 1))
            if pooled > 1:
                return [row[: len(example.positions)] for row, example in zip(scores, chosen, strict=True)]
            if pooled:
                return [row[None] for row in scores]
            return [row[example.positions] for row, example in zip(scores, chosen, strict=True)]

        return in_batches(examples, self.settings.token_budget, run)

    def _readable(self, name: str, record: Any, quarantine: Quarantine, place: str) -> bool:
        try:
            self.examples(name, [record])
        except InputError as error:
            where = f"record {record.id}"
            quarantine.add(place, where, str(error).removeprefix(f"{where}: "))
            return False
        return True


def pools(documents: Iterable[Document], characters: int = POOL_CHARACTERS) -> Iterator[list[Document]]:
    """The documents in groups of about so many characters."""
    pool: list[Document] = []
    size = 0
    for document in documents:
        pool.append(document)
        size += len(document.text) + 1
        if size >= characters:
            yield pool
            pool, size = [], 0
    if pool:
        yield pool

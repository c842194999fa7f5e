"""What every loaded model has, whatever its bundle holds: as a step of a pipeline it annotates documents or records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from textome.documents import Document
from textome.errors import InputError, MissingExtraError, ModelError
from textome.formats import Quarantine, Source, read_documents
from textome.runtime.bundle import Bundle, Device, resolve_model
from textome.settings import Settings
from textome.tasks import SomeTask
from textome.tasks.task import Choice

# Characters of documents that are read together: enough that batches hold inputs of equal lengths, few enough that memory
# stays small and flat.
POOL_CHARACTERS = 400_000
# Records that are read together.
POOL_RECORDS = 256
# Called with a document that a task cannot read, and why.
Report = Callable[[Document, InputError], None]
# What runs a bundle, by `Task.run_by`; modules are imported when a bundle needs them, and one of them needs PyTorch.
MODELS = {
    "encoder": ("textome.runtime.model", "Model"),
    "sequence_encoder": ("textome.runtime.predictor", "Predictor"),
    "pair_encoder": ("textome.runtime.pairs", "PairPredictor"),
    "map_encoder": ("textome.runtime.pixels.predictor", "MapPredictor"),
    "language_model": ("textome.runtime.generation.model", "LanguageModel"),
    "text_to_text": ("textome.runtime.generation.text_to_text", "TextToTextModel"),
    "decoder": ("textome.training.translation.step", "TranslationModel"),
}


class ModelSettings(Settings):
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
    device          "cpu", or "cuda" with a GPU of NVIDIA and onnxruntime-gpu
    early_exit      False has every token pass all layers of a model whose plain words leave early, which is slower
    """

    settings_of: ClassVar[str] = "model"

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
    device: Device = "cpu"
    early_exit: bool = True

    @property
    def choice(self) -> Choice:
        return Choice(self.types, self.min_confidence, self.flat, self.sentences)


class ModelStep(ABC):
    """A loaded bundle, whose tasks annotate documents.

    tasks    by name, as the settings choose
    report   called with a document that a task cannot read, which goes on without its annotations; None raises
    """

    # Records that are read together.
    pool_records: ClassVar[int] = POOL_RECORDS

    def __init__(self, bundle: Bundle, settings: ModelSettings | None = None) -> None:
        self.bundle = bundle
        self.report: Report | None = None
        self._choose(settings or ModelSettings())

    @classmethod
    @abstractmethod
    def of(cls, bundle: Bundle, settings: ModelSettings) -> Self:
        """The model of a bundle. Raises ModelError where it cannot be loaded, InputError for settings that are wrong."""

    @abstractmethod
    def predictions(self, name: str, records: Sequence[Any]) -> list[Any]:
        """What the task `name` says of each record. Raises InputError for a record that it cannot read."""

    @abstractmethod
    def apply(self, name: str, documents: Sequence[Document]) -> list[Document]:
        """The documents with the annotations of one task. Raises InputError for one that it cannot read, unless there is a
        `report`."""

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
    def asked(self) -> dict[str, SomeTask]:
        """The tasks that annotate documents: those that read one text, and with a question the others too."""
        question = self.settings.question is not None
        tasks = {
            name: task
            for name, task in self.tasks.items()
            if task.output_kind and (question or not task.reads_pairs) and not self._is_other_models(task)
        }
        return dict(
            sorted(tasks.items(), key=lambda item: item[1].output_kind != "entities")
        )  # relations are between them

    @property
    def output_kinds(self) -> set[str]:
        """The kinds of annotations that it makes: "entities", "relations", "labels"."""
        return {task.output_kind for task in self.asked.values()}

    def check(self) -> None:
        """Raises InputError where none of the tasks annotates documents."""
        able = [name for name, task in self.tasks.items() if task.output_kind]
        if not able:
            names = ", ".join(self.tasks)
            raise InputError(f"{self.directory}: this model annotates nothing; its tasks are {names}")
        if self.settings.question is None and all(self.tasks[name].reads_pairs for name in able):
            raise InputError(f"{self.directory}: the tasks of this model ({', '.join(able)}) need a question; give one")

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents with annotations, one pool after another, in order; memory does not grow with their number."""
        asked = self.asked
        for pool in self._pools(documents):
            for name in asked:
                pool = self.apply(name, pool)
            yield from pool

    def documents(
        self, path: str | Path | Source, quarantine: Quarantine, format: str | None = None, **options: str
    ) -> Iterator[Document]:
        """The documents of a file to annotate; `format` and `options` as for `textome.read_documents`."""
        return read_documents(path, format, quarantine, **options)

    def read(
        self, name: str, path: str, quarantine: Quarantine, layout: str | None = None, **columns: str
    ) -> Iterator[Any]:
        """The labelled records of a file for the task `name`. Bad ones are quarantined.

        columns   the names of a table's columns, as `text_column` and `label_column`, where they do not tell themselves

        Raises InputError for columns that the task does not read.
        """
        read = self.task(name).read
        if strange := [column for column in columns if column not in signature(read).parameters]:
            raise InputError(f"--{strange[0].replace('_', '-')}: the task {name} reads no table with such a column")
        return read(path, layout, quarantine, **columns)

    def stream_predictions(
        self, name: str, items: Iterable[Any], quarantine: Quarantine, path: str
    ) -> Iterator[tuple[Any, Any]]:
        """Each record with what the task `name` says of it, in order; records that it cannot read are quarantined.

        path   where the records are from, for the quarantine
        """
        waiting = iter(items)
        while pool := list(islice(waiting, self.pool_records)):
            try:
                predictions = self.predictions(name, pool)
            except InputError:  # one of them is bad, which is reported before anything is computed
                pool = [item for item in pool if self._is_readable(name, item, quarantine, path)]
                predictions = self.predictions(name, pool)
            yield from zip(pool, predictions, strict=True)

    @abstractmethod
    def check_record(self, name: str, record: Any) -> None:
        """Raises InputError for a record that the task cannot read."""

    def _is_readable(self, name: str, record: Any, quarantine: Quarantine, path: str) -> bool:
        try:
            self.check_record(name, record)
        except InputError as error:
            where = f"record {record.id}"
            quarantine.add(path, where, str(error).removeprefix(f"{where}: "))
            return False
        return True

    def task(self, name: str) -> SomeTask:
        """The task of this name. Raises ModelError where there is none."""
        if name not in self.tasks:
            raise ModelError(f"{self.directory}: the model has no task {name!r}; its tasks are {', '.join(self.tasks)}")
        return self.tasks[name]

    def _choose(self, settings: ModelSettings) -> None:
        self.settings = settings
        names = self.bundle.tasks if settings.tasks is None else settings.tasks
        if unknown := [name for name in names if name not in self.bundle.tasks]:
            able = ", ".join(self.bundle.tasks)
            raise InputError(f"model {self.bundle.name!r} has no task {unknown[0]!r}; its tasks are {able}")
        self.tasks = {name: self.bundle.tasks[name].with_choice(settings.choice) for name in names}

    def _pools(self, documents: Iterable[Document]) -> Iterator[list[Document]]:
        return pools(documents)

    def _is_other_models(self, task: SomeTask) -> bool:
        """Whether the types that are asked for are all left to other models."""
        return (
            task.output_kind == "entities"
            and self.settings.types is not None
            and not set(self.settings.types) & {*self.types}
        )


def load_model(settings: ModelSettings) -> ModelStep:
    """The model of a bundle by folder or hub name, whatever its tasks are.

    Raises ModelError where the bundle cannot be loaded, InputError for settings that are wrong.
    """
    return model_of(Bundle.load(resolve_model(settings.model)), settings)


def model_of(bundle: Bundle, settings: ModelSettings) -> ModelStep:
    """The model of a loaded bundle. Raises as `load_model`."""
    module, name = MODELS[next(iter(bundle.tasks.values())).run_by]
    try:
        kind: type[ModelStep] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{bundle.directory}: running this model", "train") from error
    return kind.of(bundle, settings)


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

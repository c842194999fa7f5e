"""A model as a step of a pipeline: its bundle's tasks annotate documents, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textome.documents import Document
from textome.errors import InputError
from textome.runtime.annotator import Annotator
from textome.runtime.bundle import ENTITIES, Bundle, resolve_model
from textome.runtime.relations import RelationFinder
from textome.runtime.session import Session, TaskSession
from textome.runtime.tasks import TaskRunner


class ModelSettings(BaseModel):
    """What a model of a pipeline is, and what it looks for.

    model           a bundle's folder or hub name; None: the bundled one
    precision       "int8", "bf16" or "fp32", where the bundle has several
    types           the entity types to look for; by default those that the bundle names as its defaults. A type that the
                    bundle does not know is left to the pipeline's other models
    min_confidence  entities and relations below it are left out; None: the thresholds of the bundle
    flat            of entities that overlap, only the most probable is found
    sentences       False takes each passage as one sentence, for corpora that are cut into sentences already
    threads         processor threads; None: all cores
    token_budget    tokens, padding included, of one batch
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None
    precision: str | None = None
    types: tuple[str, ...] | None = None
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    flat: bool = False
    sentences: bool = True
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
            raise InputError(f"model: {name}: {item['msg'].removeprefix('Value error, ')}") from error


class Model:
    """A loaded bundle that annotates documents with all its tasks that read documents alone.

    gives   the kinds of annotations that it makes: "entities", "relations", "labels"
    """

    def __init__(self, bundle: Bundle, session: Session | TaskSession, settings: ModelSettings) -> None:
        self.bundle, self.settings = bundle, settings
        self.annotator: Annotator | None = None
        self.relations: list[RelationFinder] = []
        found = bundle.has_entities
        self.types = bundle.types if found else ()
        chosen = [name for name in settings.types or () if name in self.types]
        if found and (chosen or settings.types is None):
            head = session.entities(ENTITIES) if isinstance(session, TaskSession) else session
            self.annotator = Annotator(
                bundle,
                head,
                types=chosen,
                min_confidence=settings.min_confidence,
                flat=settings.flat,
                sentences=settings.sentences,
                token_budget=settings.token_budget,
            )
        if isinstance(session, TaskSession):
            runner = TaskRunner(bundle, session)
            names = [name for name, task in bundle.tasks.items() if task.kind == "relations"]
            self.relations = [RelationFinder(runner, name, settings.min_confidence or 0.0) for name in names]

    @classmethod
    def load(cls, settings: ModelSettings | None = None) -> Self:
        """Load a bundle. Raises ModelError where that is not possible."""
        settings = settings or ModelSettings()
        bundle = Bundle.load(resolve_model(settings.model))
        path = bundle.onnx_path(settings.precision)
        session = TaskSession(path, bundle.heads, settings.threads) if bundle.heads else Session(path, settings.threads)
        return cls(bundle, session, settings)

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def directory(self) -> Path:
        return self.bundle.directory

    @property
    def gives(self) -> tuple[str, ...]:
        return ("entities",) * (self.annotator is not None) + ("relations",) * bool(self.relations)

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        if self.annotator is not None:
            documents = self.annotator.stream(documents)
        for finder in self.relations:
            documents = finder.stream(documents)
        yield from documents

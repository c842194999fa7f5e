"""The loaded models and what a request asks of them, apart from HTTP's routes and headers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from textome.documents import Document
from textome.errors import InputError, ModelError, plain_message
from textome.formats import Quarantine, Source, bioc, guess_format, jsonl, read_documents
from textome.pipeline import Pipeline, PipelineChoice
from textome.runtime.bundle import ENTITIES, Bundle, resolve_model
from textome.runtime.embedder import Embedder
from textome.runtime.model import Model
from textome.runtime.session import Session, names_states
from textome.runtime.states import states_output
from textome.runtime.step import ModelSettings
from textome.serve.engine import Engine
from textome.serve.limits import Limits, Memory, check_file, is_packed, strict_json, unpack
from textome.serve.outputs import MEDIA_TYPES
from textome.serve.problems import (
    Problem,
    bad_request,
    inconsistent,
    overloaded,
    too_large,
    too_slow,
    unsupported,
    without_text,
)
from textome.serve.queueing import ClosedError, QueueFullError, Settings
from textome.serve.schemas import (
    ConvertRequest,
    DocumentModel,
    DocumentsRequest,
    ModelInfo,
    Models,
    Quarantined,
    TaskInfo,
)
from textome.tasks.examples import Floats

Body = TypeVar("Body", bound=BaseModel)
T = TypeVar("T")
# The task that a model has whose graph names its hidden states.
EMBEDDINGS = "embeddings"
# A body below this is parsed on the event loop: handing it to a thread would take longer.
SMALL = 32_768
# Members of a request's outermost object: each that is unknown would be an error of its own.
_MEMBERS = 100


@dataclass(frozen=True)
class LoadedModel:
    """A model under the name that requests use, with the engines that run it: for its tasks and, where its graph names the
    hidden states, for vectors of texts. They share one graph in memory.
    """

    name: str
    model: Model
    engine: Engine
    vectors: Engine | None = None

    @classmethod
    def load(cls, name: str, settings: ModelSettings, bounds: Settings, threads: int | None) -> LoadedModel:
        """Load a bundle. Raises ModelError where that is not possible."""
        bundle = Bundle.load(resolve_model(settings.model))
        path = bundle.onnx_path(settings.precision)
        gives_vectors = bundle.embeddings or names_states(path, states_output(bundle.config, bool(bundle.heads)))
        chosen = settings.model_copy(update={"threads": threads, "token_budget": bounds.token_budget})
        model = Model(bundle, Session.of(bundle, chosen.precision, threads, bool(gives_vectors)), chosen)
        vectors = Engine(Embedder(model), bounds) if gives_vectors else None
        return cls(name, model, Engine(model, bounds), vectors)

    @property
    def bundle(self) -> Bundle:
        return self.model.bundle

    @property
    def engines(self) -> list[Engine]:
        return [self.engine, *([self.vectors] if self.vectors else [])]

    @property
    def tasks(self) -> list[str]:
        """What the bundle can do; a task's routes exist where a model has it."""
        kinds = [task.kind for task in self.bundle.other_tasks.values()]
        own = [ENTITIES] * self.bundle.has_entities + list(dict.fromkeys(kinds))
        return own + [EMBEDDINGS] * (self.vectors is not None)

    def info(self, default: bool) -> ModelInfo:
        found = self.bundle.has_entities
        return ModelInfo(
            name=self.name,
            bundle=self.bundle.name,
            default=default,
            tasks=self.tasks,
            types=list(self.bundle.types) if found else [],
            default_types=list(self.bundle.default_types) if found else [],
            heads=[
                TaskInfo(name=name, kind=task.kind, labels=list(task.label_names))
                for name, task in self.bundle.other_tasks.items()
            ],
            window=self.bundle.window,
        )


@dataclass
class Service:
    """All models of a process, and the steps that follow each of them.

    `draining` is set when it was told to stop: it is not ready any more.

    pubmed   the address of PubMed's EFetch, where the service may ask it for citations
    """

    models: Mapping[str, LoadedModel]
    limits: Limits = field(default_factory=Limits)
    steps: Pipeline = field(default_factory=lambda: Pipeline(()))
    draining: bool = False
    pubmed: str | None = None
    memory: Memory = field(init=False)

    def __post_init__(self) -> None:
        self.memory = Memory(self.limits.memory_bytes)

    @classmethod
    def load(
        cls,
        models: Mapping[str, ModelSettings],
        steps: PipelineChoice | None = None,
        *,
        limits: Limits | None = None,
        settings: Settings | None = None,
        threads: int | None = None,
    ) -> Service:
        """Load bundles by name, and the steps behind them. Raises ModelError where a bundle cannot be loaded."""
        settings = settings or Settings()
        loaded = {name: LoadedModel.load(name, model, settings, threads) for name, model in models.items()}
        if not loaded:
            raise ModelError("there is no model to serve; name one with --model NAME=FOLDER")
        rules = [step.load() for step in steps.steps] if steps else []
        return cls(loaded, limits or Limits(), Pipeline(rules))

    def start(self) -> None:
        for engine in self._engines():
            engine.start()

    def close(self) -> None:
        """Finish what was accepted and stop."""
        self.draining = True
        for engine in self._engines():
            engine.close()

    def _engines(self) -> Iterator[Engine]:
        for model in self.models.values():
            yield from model.engines

    @property
    def ready(self) -> bool:
        return not self.draining and all(engine.alive for engine in self._engines())

    @property
    def tasks(self) -> set[str]:
        return {task for model in self.models.values() for task in model.tasks}

    def info(self) -> Models:
        default = next(iter(self.models))
        return Models(
            models=[model.info(name == default) for name, model in self.models.items()],
            formats=list(MEDIA_TYPES),
            pubmed=self.pubmed is not None,
        )

    def model(self, name: str, task: str = ENTITIES) -> LoadedModel:
        """The model of a name, or the first that has the task. Raises Problem (404) where there is none."""
        able = {key: model for key, model in self.models.items() if task in model.tasks}
        if not name and able:
            return next(iter(able.values()))
        if name not in able:
            raise Problem(
                404,
                "unknown-model",
                "There is no such model",
                f"this service has the models {', '.join(able)}; name one",
            )
        return able[name]

    def embedder(self, name: str) -> LoadedModel:
        """The model of a name that gives vectors; where none is named, first one that was made for that.

        Raises Problem (404) where there is none.
        """
        made = (key for key, model in self.models.items() if model.bundle.embeddings)
        if name or EMBEDDINGS in self.tasks:
            return self.model(name or next(made, ""), EMBEDDINGS)
        raise Problem(
            404,
            "no-embeddings",
            "No model gives vectors",
            "no model's graph names its hidden states; export one again with `textome export`, and restart the service",
        )

    def part(self, name: str, task: str, kinds: Collection[str]) -> tuple[LoadedModel, str]:
        """The model of a name, or the first, that has a task of one of these kinds (of this name, where one is given).

        Raises Problem (404) where there is none, and where there are several to choose from.
        """
        able = [
            (model, [key for key, it in model.bundle.tasks.items() if it.kind in kinds and task in ("", key)])
            for model in self.models.values()
            if name in ("", model.name)
        ]
        model, found = next(((model, found) for model, found in able if found), (None, []))
        if model is not None and len(found) == 1:
            return model, found[0]
        if model is not None:
            detail = f"the model {model.name} has the tasks {', '.join(found)}; name one as task"
            raise Problem(404, "unknown-task", "Which task?", detail, tasks=found)
        there = [
            f"{key} of model {model.name}"
            for model in self.models.values()
            for key, it in model.bundle.tasks.items()
            if it.kind in kinds
        ]
        detail = f"no such model has such a task; there are {', '.join(there)}"
        raise Problem(404, "unknown-task", "There is no such task", detail)

    def chosen(self, model: LoadedModel, types: Sequence[str], **choices: object) -> Model:
        """The model with a request's choices, see `ModelSettings`.

        Raises Problem (422) for a type that neither it knows nor a step adds.
        """
        known = [*model.model.types, *self.steps.added_types]
        if any(name not in known for name in types):
            raise Problem(
                422,
                "unknown-type",
                "There is no such type",
                f"model {model.name} knows {', '.join(known)}; choose among them",
                known_types=known,
            )
        return model.model.choosing(types=list(types) or None, **choices)

    async def annotate(
        self, model: LoadedModel, documents: Sequence[Document], chosen: Model, replace: bool, steps: bool = True
    ) -> list[Document]:
        """The documents with the annotations of the chosen model and, with `steps`, of the steps behind it.

        Problems: 503 where the engine is full or stops, 504 where time is up, 422 for a document that a task cannot read.
        """
        behind = self.steps.for_types(chosen.settings.types or ()) if steps else Pipeline(())
        drop = Pipeline([chosen, *behind.steps]).without_annotations if replace else None

        async def annotated() -> list[Document]:
            found = await model.engine.annotate(documents, chosen, drop)
            return await asyncio.to_thread(behind.annotate, found) if behind.steps else found

        return await self._in_time(annotated())

    async def predict(
        self, model: LoadedModel, task: str, make: Callable[[Any], Sequence[Any]], characters: int
    ) -> tuple[Any, list[Any]]:
        """The records that `make` gives and what the task says of them; problems as for `annotate`, and 422 for a record
        that the task cannot read."""
        return await self._in_time(model.engine.predict(task, make, characters))

    async def embed(self, model: LoadedModel, texts: Sequence[str], pooling: str) -> list[Floats]:
        """The vector of each text, pooled as named; problems as for `predict`."""
        assert model.vectors is not None
        work = model.vectors.predict(pooling, lambda _: texts, sum(map(len, texts)))
        return (await self._in_time(work))[1]

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                return await work
        except InputError as error:
            raise Problem(422, "unreadable", "The task cannot read this", without_text(error)) from error
        except QueueFullError as error:
            raise overloaded(error.retry_after, f"the queue is full; try again in {error.retry_after} s") from error
        except ClosedError as error:
            raise overloaded(5, "the service is shutting down; try again in 5 s") from error
        except TimeoutError as error:
            raise too_slow(self.limits.request_seconds) from error


def validated(data: bytes, kind: type[Body], limits: Limits) -> tuple[Body, dict[str, Any]]:
    """A request from its JSON, checked, and the members as they were. Raises Problem (400) that points at what is wrong."""
    value = strict_json(data, limits)
    if isinstance(value, dict):
        if len(value) > _MEMBERS:
            raise bad_request(
                f"the request has {len(value):,} members, and no request has so many; see /v1/openapi.json"
            )
        for name in ("documents", "texts", "pairs"):
            if isinstance(items := value.get(name), list):
                _check_number(len(items), limits)
    try:
        return kind.model_validate(value), value
    except ValidationError as error:
        raise invalid(error.errors(include_input=False, include_url=False, include_context=False)) from error


def invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """A problem from what pydantic found. Only the places are told, and what was expected there."""
    first = errors[0]
    place = "".join(f"/{part}" for part in first["loc"] if not _is_branch(part))[:200]
    message = "there is no such member" if first["type"] == "extra_forbidden" else plain_message(first)
    return bad_request(f"{place or 'the request'}: {message}; see /v1/openapi.json", pointer=place)


def requested_documents(request: DocumentsRequest, value: Mapping[str, Any], limits: Limits) -> list[Document]:
    """The documents of a checked request. Raises Problem where they are too many, too large, or contradict themselves."""
    if "text" in request.model_fields_set:
        return bounded([Document.from_text(request.text)], limits)
    if "documents" in request.model_fields_set:
        return bounded(_textome_documents(request.documents, limits), limits)
    items = value["bioc"]["documents"]
    _check_number(len(items), limits)
    return bounded(_consistent(items, lambda item, _: bioc.document_from(item)), limits)


def corrected_documents(request: ConvertRequest, limits: Limits) -> list[Document]:
    """The documents of a request to convert."""
    return bounded(_textome_documents(request.documents, limits), limits)


def uploaded_documents(
    data: bytes, format: str | None, limits: Limits, name: str = "upload"
) -> tuple[list[Document], list[Quarantined]]:
    """The documents of a file in any format that Textome reads, and the records that could not be read.

    Raises Problem where nothing could be read.
    """
    if is_packed(data):
        data = unpack(data, limits.body_bytes)
    source = Source(name, data=data)
    quarantine = Quarantine(keep=100)
    try:
        chosen = format or guess_format(source)
        check_file(data, chosen, limits)
        if chosen == "parquet":
            raise unsupported("Parquet is not read here; send JSON lines or CSV, or use textome bulk")
        if chosen == "brat":
            raise unsupported("brat is two files; send one of the other formats, for instance the .txt file alone")
        documents = bounded(read_documents(source, chosen, quarantine), limits)
    except InputError as error:
        raise unsupported(without_text(error).removeprefix(f"{name}: ")) from error
    bad = [
        Quarantined(position=item.position.split(", ")[0], reason=without_text(InputError(item.reason)))
        for item in quarantine.records
    ]
    if quarantine.count > len(bad):
        bad.append(Quarantined(position="", reason=f"and {quarantine.count - len(bad):,} more records"))
    if not documents:
        reason = f"{bad[0].position}: {bad[0].reason}".removeprefix(": ") if bad else "it holds no documents"
        raise inconsistent(f"no document could be read ({reason})", quarantined=[item.model_dump() for item in bad])
    return documents, bad


def bounded(documents: Iterable[Document], limits: Limits) -> list[Document]:
    """The documents, as long as they stay within the limits. Raises Problem (413) at the first beyond them."""
    kept: list[Document] = []
    characters = annotations = annotated = sentences = 0
    for document in documents:
        kept.append(document)
        characters += document.length
        annotations += len(document.entities) + len(document.relations) + len(document.labels)
        annotated += _annotated_characters(document)
        sentences += sum(map(document.text.count, ".!?\n"))
        _check_number(len(kept), limits)
        if characters > limits.characters:
            raise too_large(f"more than {limits.characters:,} characters; send fewer documents at a time")
        if sentences > limits.sentences:
            raise too_large(f"more than {limits.sentences:,} sentences or lines; send fewer documents at a time")
        if annotations > limits.annotations:
            raise too_large(f"more than {limits.annotations:,} annotations; send fewer documents at a time")
        if annotated > limits.characters:
            raise too_large(f"more than {limits.characters:,} characters in entities; send fewer documents at a time")
    return kept


def _annotated_characters(document: Document) -> int:
    """Characters of entities, each from its beginning to its end, and again for every relation that names them: as many
    as an answer may show."""
    sizes = {entity.id: entity.end - entity.start + sum(map(len, entity.curies)) for entity in document.entities}
    named = (sizes.get(target, 0) for relation in document.relations for _, target in relation.arguments)
    return sum(entity.end - entity.start for entity in document.entities) + sum(named)


def _textome_documents(items: Sequence[str | DocumentModel], limits: Limits) -> Iterator[Document]:
    _check_number(len(items), limits)
    # One at a time: all of them once more would fill the memory.
    values = (item if isinstance(item, str) else item.model_dump(exclude_unset=True) for item in items)
    return _consistent(values, lambda item, number: jsonl.document_from(item, str(number)))


def _consistent(items: Iterable[Any], make: Any) -> Iterator[Document]:
    for number, item in enumerate(items, 1):
        try:
            yield make(item, number)
        except InputError as error:
            raise inconsistent(
                f"document {number}: {without_text(error)}", pointer=f"/documents/{number - 1}"
            ) from error


def _check_number(number: int, limits: Limits) -> None:
    if number > limits.documents:
        raise too_large(f"more than {limits.documents:,} documents; send fewer at a time")


def _is_branch(part: object) -> bool:
    """Is this part of a place the name of a union's branch, which says nothing to a client?"""
    return part in ("str", "constrained-str", "DocumentModel", "IdentifierModel", "body", "query")

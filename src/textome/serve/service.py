"""The loaded models and what a request asks of them, apart from HTTP's routes and headers."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, ClassVar, TypeVar

from textome.documents import Document
from textome.errors import InputError, ModelError
from textome.pipeline import Pipeline, PipelineChoice
from textome.runtime.bundle import ENTITIES, Bundle, resolve_model
from textome.runtime.embedder import Embedder
from textome.runtime.generation.settings import GenerationSettings
from textome.runtime.generation.writer import Text, Writer
from textome.runtime.hidden_states import hidden_states_output
from textome.runtime.model import Model
from textome.runtime.session import names_hidden_states
from textome.runtime.step import ModelSettings, model_of
from textome.serve.engine import Engine
from textome.serve.limits import Limits, Memory
from textome.serve.outputs import MEDIA_TYPES
from textome.serve.problems import (
    Problem,
    overloaded,
    too_large,
    too_slow,
    without_text,
)
from textome.serve.queueing import ClosedError, Queue, QueueFullError, Settings, TooManyTokensError
from textome.serve.schemas import (
    ModelInfo,
    Models,
    TaskInfo,
)
from textome.serve.writing.engine import WritingEngine
from textome.tasks import SomeTask
from textome.tasks.examples import Floats

T = TypeVar("T")
L = TypeVar("L", bound="Loaded")
# The task that a model has whose graph names its hidden states.
EMBEDDINGS = "embeddings"
# The task of models that write texts, and what runs them, as `Task.run_by` names it.
GENERATION = "generation"
_WRITERS = ("language_model", "text_to_text")
# A body below this is parsed on the event loop: handing it to a thread would take longer.
SMALL = 32_768


@dataclass(frozen=True)
class Loaded(ABC):
    """A model under the name that requests use."""

    name: str

    @property
    @abstractmethod
    def bundle(self) -> Bundle: ...

    @property
    @abstractmethod
    def engines(self) -> Sequence[Queue]:
        """What runs it."""

    @property
    @abstractmethod
    def tasks(self) -> list[str]:
        """What the bundle can do; a task's routes exist where a model has it."""

    @property
    def heads(self) -> Mapping[str, SomeTask]:
        """The tasks other than entities, by name."""
        return self.bundle.other_tasks

    def info(self, default: bool) -> ModelInfo:
        has_entities = self.bundle.has_entities
        return ModelInfo(
            name=self.name,
            bundle=self.bundle.name,
            default=default,
            tasks=self.tasks,
            types=list(self.bundle.types) if has_entities else [],
            default_types=list(self.bundle.default_types) if has_entities else [],
            heads=[
                TaskInfo(name=name, kind=task.kind, labels=list(task.label_names), prefix=getattr(task, "prefix", ""))
                for name, task in self.heads.items()
            ],
            window=self.bundle.window,
        )


@dataclass(frozen=True)
class LoadedWriter(Loaded):
    """A model that writes texts, with the engine that runs it."""

    engine: WritingEngine
    tasks: ClassVar[list[str]] = [GENERATION]

    @property
    def bundle(self) -> Bundle:
        return self.engine.writer.bundle

    @property
    def heads(self) -> Mapping[str, SomeTask]:
        return self.bundle.tasks

    @property
    def engines(self) -> Sequence[Queue]:
        return [self.engine]


@dataclass(frozen=True)
class LoadedModel(Loaded):
    """A model that reads texts, with the engines that run it: for its tasks and, where its graph names the hidden states,
    for vectors of texts. They share one graph in memory.
    """

    model: Model
    engine: Engine
    vectors: Engine | None = None

    @classmethod
    def load(cls, name: str, settings: ModelSettings, bounds: Settings, threads: int | None) -> LoadedModel:
        """Load a bundle. Raises ModelError where that is not possible."""
        bundle = Bundle.load(resolve_model(settings.model))
        Model.check_bundle(bundle)
        path = bundle.onnx_path(settings.precision)
        has_vectors = bundle.embeddings or names_hidden_states(
            path, hidden_states_output(bundle.config, bool(bundle.heads))
        )
        chosen = settings.model_copy(update={"threads": threads, "token_budget": bounds.token_budget})
        model = Model.of(bundle, chosen, bool(has_vectors))
        vectors = Engine(Embedder(model), bounds) if has_vectors else None
        return cls(name, model, Engine(model, bounds), vectors)

    @property
    def bundle(self) -> Bundle:
        return self.model.bundle

    @property
    def engines(self) -> Sequence[Queue]:
        return [self.engine, *([self.vectors] if self.vectors else [])]

    @property
    def tasks(self) -> list[str]:
        kinds = [task.kind for task in self.bundle.other_tasks.values()]
        own = [ENTITIES] * self.bundle.has_entities + list(dict.fromkeys(kinds))
        return own + [EMBEDDINGS] * (self.vectors is not None)


def load(name: str, settings: ModelSettings, bounds: Settings, threads: int | None) -> Loaded:
    """Load a bundle, whatever it does. Raises ModelError where that is not possible."""
    bundle = Bundle.load(resolve_model(settings.model))
    if any(task.run_by in _WRITERS for task in bundle.tasks.values()):
        writer = model_of(bundle, settings.model_copy(update={"threads": threads}))
        assert isinstance(writer, Writer)
        return LoadedWriter(name, WritingEngine(writer, bounds))
    return LoadedModel.load(name, settings, bounds, threads)


@dataclass
class Service:
    """All models of a process, and the steps that follow each of them.

    `draining` is set when it was told to stop: it is not ready any more.

    pubmed   the address of PubMed's EFetch, where the service may ask it for citations
    """

    models: Mapping[str, Loaded]
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
        loaded = {name: load(name, model, settings, threads) for name, model in models.items()}
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

    def _engines(self) -> Iterator[Queue]:
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
        return self._able(name, {key: model for key, model in self._readers.items() if task in model.tasks})

    def writer(self, name: str) -> LoadedWriter:
        """The model of a name that writes texts, or the first that does. Raises Problem (404) where there is none."""
        able = {key: model for key, model in self.models.items() if isinstance(model, LoadedWriter)}
        if not able:
            detail = "no model of this service writes; start it with a language model or a text-to-text model"
            raise Problem(404, "no-generation", "No model writes texts", detail)
        return self._able(name, able)

    def _able(self, name: str, able: Mapping[str, L]) -> L:
        """The model of a name among those that are able, or the first of them."""
        if not name and able:
            return next(iter(able.values()))
        if name not in able:
            cannot = f"the model {name} cannot do this; those that can" if name in self.models else "those for this"
            raise Problem(
                404, "unknown-model", "There is no such model", f"{cannot} are {', '.join(able) or 'none'}; name one"
            )
        return able[name]

    @property
    def _readers(self) -> dict[str, LoadedModel]:
        return {name: model for name, model in self.models.items() if isinstance(model, LoadedModel)}

    def embedder(self, name: str) -> LoadedModel:
        """The model of a name that gives vectors; where none is named, first one that was made for that.

        Raises Problem (404) where there is none.
        """
        names = (key for key, model in self._readers.items() if model.bundle.embeddings)
        if name or EMBEDDINGS in self.tasks:
            return self.model(name or next(names, ""), EMBEDDINGS)
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
            for model in self._readers.values()
            if name in ("", model.name)
        ]
        model, tasks = next(((model, tasks) for model, tasks in able if tasks), (None, []))
        if model is not None and len(tasks) == 1:
            return model, tasks[0]
        if model is not None:
            detail = f"the model {model.name} has the tasks {', '.join(tasks)}; name one as task"
            raise Problem(404, "unknown-task", "Which task?", detail, tasks=tasks)
        there = [
            f"{key} of model {model.name}"
            for model in self._readers.values()
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

        Problems: 503 where the engine is full or stops, 504 where time is up, 422 for a document that a task cannot read,
        413 where the model would read too many tokens.
        """
        behind = self.steps.for_types(chosen.settings.types or ()) if steps else Pipeline(())
        drop = Pipeline([chosen, *behind.steps]).without_annotations if replace else None

        gone = threading.Event()  # a thread cannot be cancelled: after the deadline it begins no further document

        async def annotated() -> list[Document]:
            results = await model.engine.annotate(documents, chosen, drop)
            if not behind.steps:
                return results
            waited_for = takewhile(lambda _: not gone.is_set(), results)
            return await asyncio.to_thread(lambda: list(behind.stream(waited_for)))

        try:
            return await self.in_time(annotated())
        finally:
            gone.set()

    async def predict(
        self, model: LoadedModel, task: str, make: Callable[[Any], Sequence[Any]], characters: int
    ) -> tuple[Any, list[Any]]:
        """The records that `make` gives and what the task says of them; problems as for `annotate`, and 422 for a record
        that the task cannot read."""
        return await self.in_time(model.engine.predict(task, make, characters))

    async def embed(self, model: LoadedModel, texts: Sequence[str], pooling: str) -> list[Floats]:
        """The vector of each text, pooled as named; problems as for `predict`."""
        assert model.vectors is not None
        work = model.vectors.predict(pooling, lambda _: texts, sum(map(len, texts)))
        return (await self.in_time(work))[1]

    async def generate(
        self, model: LoadedWriter, prompts: Sequence[str], settings: GenerationSettings
    ) -> list[list[Text]]:
        """The texts that follow each prompt; problems as for `predict`."""
        return await self.in_time(model.engine.generate(prompts, settings))

    async def in_time(self, work: Awaitable[T]) -> T:
        """The result of `work`; problems as for `annotate`."""
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                return await work
        except InputError as error:
            raise Problem(422, "unreadable", "The task cannot read this", without_text(error)) from error
        except QueueFullError as error:
            raise overloaded(error.retry_after, f"the queue is full; try again in {error.retry_after} s") from error
        except TooManyTokensError as error:
            raise too_large(str(error)) from error
        except ClosedError as error:
            raise overloaded(5, "the service is shutting down; try again in 5 s") from error
        except TimeoutError as error:
            raise too_slow(self.limits.request_seconds) from error

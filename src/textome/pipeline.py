"""Pipelines: what is done to documents, one step after another.

A step is anything that takes documents and gives them back with more annotations: a model with its tasks, a rule, a
look-up. A pipeline is a list of steps and itself a step. Every entrance takes a pipeline and knows no step by name.

A pipeline file is TOML with a table for each step: `kind` is "model" or a name of `textome.steps.STEPS`, and the other
keys are the settings of that step (`runtime.model.ModelSettings`, or the fields of the step's class):

    [[steps]]
    kind = "model"
    model = "./bundle"          # "./" and "../" count from the file's folder; without `model`: the bundled one
    types = ["Disease"]

    [[steps]]
    kind = "abbreviations"
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, overload

from textome.documents import Document, as_document
from textome.errors import InputError
from textome.formats import Quarantine, Source, read_documents
from textome.formats.reading.sources import StrictQuarantine
from textome.runtime.bundle import DEFAULT_MODEL, TEXT
from textome.runtime.step import ModelSettings, ModelStep, Report, load_model
from textome.settings import read_toml
from textome.steps import STEPS, load_step
from textome.steps.step import StepSettings

MODEL = "model"


class Step(Protocol):
    """Takes documents and gives each back, in order, with more annotations."""

    def __call__(self, documents: Iterable[Document], /) -> Iterator[Document]: ...


class Pipeline:
    """Steps, one after another. Documents stream through: memory does not grow with their number."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)

    @overload
    def __call__(self, documents: str | Document) -> Document: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, documents: Iterable[str | Document]) -> Iterator[Document]: ...
    def __call__(self, documents: str | Document | Iterable[str | Document]) -> Document | Iterator[Document]:
        """A text or document with annotations; of several, one after another and in order.

        Texts become documents without id where there is one, and otherwise with their number from 1 as id.
        """
        if isinstance(documents, str | Document):
            return next(self.stream([as_document(documents, 0)]))
        return self.stream(as_document(item, number) for number, item in enumerate(documents, 1))

    @overload
    def annotate(self, documents: str | Document, *, replace: bool = False) -> Document: ...  # type: ignore[overload-overlap]
    @overload
    def annotate(self, documents: Iterable[str | Document], *, replace: bool = False) -> list[Document]: ...
    def annotate(
        self, documents: str | Document | Iterable[str | Document], *, replace: bool = False
    ) -> Document | list[Document]:
        """As the pipeline called, but several documents come as a list; `replace` as for `stream`."""
        if isinstance(documents, str | Document):
            return next(self.stream([as_document(documents, 0)], replace=replace))
        return list(self.stream((as_document(item, n) for n, item in enumerate(documents, 1)), replace=replace))

    def stream(self, documents: Iterable[Document], *, replace: bool = False) -> Iterator[Document]:
        """The documents with annotations, in order.

        replace   drop the annotations that documents have already of the kinds that the pipeline's models give
        """
        if replace:
            documents = map(self.without_annotations, documents)
        for step in self.steps:
            documents = step(documents)
        yield from documents

    def for_types(self, types: Collection[str]) -> Pipeline:
        """Without the steps that add only entities of other types; with all steps where no type is named."""
        return Pipeline([step for step in self.steps if not types or not _adds_only_others(step, types)])

    @property
    def added_types(self) -> list[str]:
        """The types of the entities that steps other than models add."""
        return [name for step in self.steps if isinstance(step, StepSettings) for name in step.adds_types]

    @property
    def models(self) -> list[ModelStep]:
        return [step for step in self.steps if isinstance(step, ModelStep)]

    def report_to(self, report: Report) -> None:
        """Have `report` called with each document that a task cannot read; it goes on without that task's annotations."""
        for model in self.models:
            model.report = report

    def without_annotations(self, document: Document) -> Document:
        """The document without annotations of the kinds that the steps give; without entities there are no relations."""
        kinds = {kind for model in self.models for kind in model.output_kinds}
        kinds |= {"entities"} if self.added_types else set()
        if "entities" in kinds:
            document = document.with_annotations(())
        elif "relations" in kinds:
            document = document.with_annotations(document.entities)
        return document.with_labels(()) if "labels" in kinds else document

    @property
    def reads(self) -> str:
        """What its first model reads: "text", or "image", "dna" ..."""
        return self.models[0].bundle.reads if self.models else TEXT

    def read(
        self,
        path: str | Path | Source,
        quarantine: Quarantine | None = None,
        format: str | None = None,
        **options: str,
    ) -> Iterator[Document]:
        """The documents of a file, or the images, sounds and the like that the pipeline's first model reads.

        format, options   as for `textome.read_documents`

        Raises InputError where the file cannot be read, and for a bad record where there is no quarantine.
        """
        problems = StrictQuarantine() if quarantine is None else quarantine
        if self.models:
            return self.models[0].documents(path, problems, format, **options)
        return read_documents(path, format, problems, **options)


@dataclass(frozen=True)
class StepChoice:
    """A step by its kind, with its settings: a table of a pipeline file."""

    kind: str
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def model(self) -> ModelSettings:
        """The settings of a step of the kind "model". Raises InputError that names the setting that is wrong."""
        return ModelSettings.of(self.settings)

    def describe(self) -> str:
        """The kind with all settings of a step that is not a model, given ones and defaults."""
        return f"{self.kind} {load_step(self.kind, **self.settings).model_dump_json()}"

    def load(self) -> Step:
        """Raises InputError for settings that are wrong, and ModelError where a model cannot be loaded."""
        if self.kind == MODEL:
            model = load_model(self.model)
            model.check()
            return model
        return load_step(self.kind, **self.settings)


@dataclass(frozen=True)
class PipelineChoice:
    """The steps of a pipeline before they are loaded: small, and the same in every process.

    in_order   the steps run as they stand; otherwise models that only relate entities run after all other steps, since
               concepts are told by what those find, as identifiers
    """

    steps: tuple[StepChoice, ...]
    in_order: bool = True

    def load(self, **model_settings: object) -> Pipeline:
        """The pipeline; `model_settings` are added to those of every model, as `threads`.

        Raises InputError for settings that are wrong, and ModelError where a model cannot be loaded.
        """
        chosen = self.with_settings(MODEL, model_settings)
        steps = [step.load() for step in chosen.steps]
        if not self.in_order:
            steps.sort(key=_only_relates)
        pipeline = Pipeline(steps)
        if not pipeline.steps:
            raise InputError("the pipeline has no step; name a model or a step")
        self.check_types([name for model in pipeline.models for name in model.types])
        return pipeline

    def check_types(self, known: Sequence[str]) -> None:
        """Raises InputError for an entity type that is asked for and that neither the models know, by `known`, nor a step
        adds."""
        known = [*known, *(name for step in self.rules.steps for name in STEPS[step.kind].adds_types)]
        if unknown := [name for model in self.models for name in model.types or () if name not in known]:
            able = f"knows {', '.join(dict.fromkeys(known))}" if known else "finds no entities"
            raise InputError(f"the model does not know the type {unknown[0]!r}; it {able}")

    @property
    def models(self) -> list[ModelSettings]:
        return [step.model for step in self.steps if step.kind == MODEL]

    @property
    def rules(self) -> PipelineChoice:
        """The steps that are not models."""
        return PipelineChoice(tuple(step for step in self.steps if step.kind != MODEL))

    def with_model(self, model: str | Path) -> PipelineChoice:
        """With another model at the end, which has the settings of the first one but for types."""
        first = next((step.settings for step in self.steps if step.kind == MODEL), {})
        settings = {key: value for key, value in first.items() if key != "types"} | {"model": str(model)}
        return replace(self, steps=(*self.steps, StepChoice(MODEL, settings)))

    def with_settings(self, kind: str, settings: Mapping[str, object]) -> PipelineChoice:
        """With these settings in place of those of all steps of a kind."""
        steps = (
            replace(step, settings={**step.settings, **settings}) if step.kind == kind else step for step in self.steps
        )
        return replace(self, steps=tuple(steps))


def choose_pipeline(
    file: str | Path | None = None,
    models: Sequence[str | Path | None] = (),
    *,
    add: Collection[str] = (),
    leave_out: Collection[str] = (),
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> PipelineChoice:
    """A pipeline by a file, or of models (the bundled one where none is named) with the default steps behind them.

    Steps that add entities of types of their own are a default only behind the bundled model, since others have purposes of
    their own.

    add         names of steps that the pipeline has besides
    leave_out   names of steps that it has not
    settings    by the name of a step, or "model" for all models, settings that take the place of others; a step that has
                some is added. Of the steps that add entities of their own, the `types` of the model choose

    Raises InputError for a file that cannot be read, an unknown step, and settings of a step that is left out.
    """
    settings = settings or {}
    for name in {*add, *leave_out, *settings} - {MODEL}:
        if name not in STEPS:
            raise InputError(f"there is no step {name!r}; the steps are {', '.join(STEPS)}")
    if file is not None and models:
        raise InputError("give a pipeline file or models, not both: the file names its models")
    if problem := [name for name in leave_out if name in settings]:
        raise InputError(f"step {problem[0]!r} is left out, but has settings; leave out one of the two")
    if file is not None:
        steps = _read(Path(file))
    else:
        steps = [StepChoice(MODEL, {"model": None if model is None else str(model)}) for model in models or (None,)]
        bundled = not models or not {None, DEFAULT_MODEL}.isdisjoint(models)
        defaults = [name for name, row in STEPS.items() if row.default]
        steps += [StepChoice(name) for name in defaults if bundled or not STEPS[name].adds_types]
    have = {step.kind for step in steps}
    chosen_steps = {*add, *settings} - {MODEL}
    asked = settings.get(MODEL, {}).get("types")
    if isinstance(asked, list | tuple):
        adding = {name: STEPS[name].adds_types for name in STEPS}
        chosen_steps |= {name for name, types in adding.items() if {*types} & {*asked}} - {*leave_out}
        if file is None:
            others = {name for name, types in adding.items() if types} - chosen_steps
            steps = [step for step in steps if step.kind not in others]
    missing = chosen_steps - have
    steps += [StepChoice(name) for name in STEPS if name in missing]
    if file is None:
        order = {name: number for number, name in enumerate(STEPS)}
        steps.sort(key=lambda step: order.get(step.kind, -1))
    chosen = PipelineChoice(tuple(step for step in steps if step.kind not in leave_out), in_order=file is not None)
    for name, values in settings.items():
        chosen = chosen.with_settings(name, values)
    return chosen


def _adds_only_others(step: Step, types: Collection[str]) -> bool:
    return isinstance(step, StepSettings) and bool(step.adds_types) and not {*step.adds_types} & {*types}


def _only_relates(step: Step) -> bool:
    return isinstance(step, ModelStep) and step.output_kinds == {"relations"}


def setting(text: str) -> tuple[str, str, object]:
    """`STEP.KEY=VALUE` as the three; the value as TOML has it, or else the text itself.

    Raises InputError for a text of another form.
    """
    import tomllib  # few pipelines come from files or have settings

    name, equals, value = text.partition("=")
    step, dot, key = name.strip().partition(".")
    if not (equals and dot and step and key):
        raise InputError(f"{text!r} is not a setting; give STEP.KEY=VALUE, as abbreviations.agree=false")
    try:
        return step, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return step, key, value


def _read(path: Path) -> list[StepChoice]:
    """The steps of a pipeline file."""
    content = read_toml(path, "the pipeline")
    tables = content.pop("steps", None)
    if content or not isinstance(tables, list) or not tables:
        problem = f"{next(iter(content))!r} is not a key of a pipeline" if content else "there are no steps"
        raise InputError(f"{path}: {problem}; a pipeline has tables [[steps]], each with a kind")
    steps = []
    for number, table in enumerate(tables, 1):
        kind = table.pop("kind", None) if isinstance(table, dict) else None
        if kind != MODEL and kind not in STEPS:
            raise InputError(f"{path}, step {number}: kind is {kind!r}; choose one of {', '.join([MODEL, *STEPS])}")
        steps.append(StepChoice(kind, {key: _located(value, path.parent) for key, value in table.items()}))
    return steps


def _located(value: object, folder: Path) -> object:
    """A path that begins with `./` or `../` counts from the folder of the file."""
    if isinstance(value, list):
        return [_located(item, folder) for item in value]
    return str(folder / value) if isinstance(value, str) and value.startswith(("./", "../")) else value

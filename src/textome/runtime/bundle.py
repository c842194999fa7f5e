"""Model bundles: a directory in the Hugging Face layout with `textome.json` beside it, checked before it is used."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from textome.encoders import encoder_of
from textome.errors import ModelError, explain
from textome.runtime import hub
from textome.runtime.model_files import read_json, refuse_adapter
from textome.tasks import AnyTask, HeadShape, SomeTask, kind_named, task_class
from textome.tasks.entities import Entities

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from textome.inputs.records import Modality
    from textome.tasks.embedding import Embedding
    from textome.tasks.target import Target

DEFAULT_MODEL = "default"
# The group of entry points by which a package brings a bundle: `NAME = "MODULE"`, whose folder "bundle" it is.
INSTALLED_BUNDLES = "textome.bundles"
# Bundles of our own that are not in the base package, and the packages that bring them.
_PACKAGES = {"relations": "textome-relations-minilm"}
ENTITIES = "entities"
TEXT = "text"
PRECISIONS = ("int8", "bf16", "fp32")
# Where a graph runs; "cuda" is the first GPU of NVIDIA.
Device = Literal["cpu", "cuda"]


class Text(BaseModel):
    """Texts are read in windows of at most `window` tokens, special ones included, that share `overlap` tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["text"] = "text"
    window: int = Field(ge=8)
    overlap: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap >= self.window - 2:
            raise ValueError(f"the overlap {self.overlap} must be smaller than the window")
        return self


def _read_input(entry: Any) -> Any:
    """What a model reads, of an entry {"kind": ..., ...}. Raises ValueError that names the key that is wrong."""
    if not isinstance(entry, Mapping):
        return entry
    try:
        if entry.get("kind", TEXT) == TEXT:
            return Text.model_validate(entry)
        from textome.inputs import AnyModality  # only models of other things than text need it

        return TypeAdapter[Any](AnyModality).validate_python(entry)
    except ValidationError as error:
        raise ValueError(_explain(error)) from error


class Description(BaseModel):
    """`textome.json`, version 2: what a model reads, and its tasks by name.

    The entries of tasks and of the input are those of `textome.tasks` and `textome.inputs`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[2] = 2
    name: str
    input: Annotated[SerializeAsAny[InstanceOf[BaseModel]], BeforeValidator(_read_input)]
    tasks: dict[str, AnyTask] = Field(min_length=1)
    provenance: dict[str, Any] = {}

    @model_validator(mode="after")
    def _vectors_alone(self) -> Self:
        if len(self.tasks) > 1 and any(task.reads_hidden_states for task in self.tasks.values()):
            raise ValueError("a model for embeddings has no other task")
        return self


def reads_records(directory: str | Path) -> bool:
    """Whether a folder is the bundle of a model of images, sounds, sequences and the like, and not of texts."""
    path = Path(directory) / "textome.json"
    return path.is_file() and described(read_json(path)).get("input", {}).get("kind", TEXT) != TEXT


def described(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a `textome.json` of any version as those of version 2."""
    upgraded = dict(values)
    if upgraded.get("format_version") != 1:
        return upgraded
    upgraded["format_version"] = 2
    if "modality" in upgraded:
        target = upgraded.pop("target") | {"pooling": upgraded.pop("pooling", "mean")}
        entry = task_class("masked_tokens").from_version_1(target)  # one class has all kinds of targets
        return upgraded | {"input": upgraded.pop("modality"), "tasks": {"target": entry}}
    if translation := upgraded.pop("translation", None):
        upgraded["input"] = {"kind": TEXT, "window": translation["longest"]}
        return upgraded | {"tasks": {"translation": {"kind": "translation"} | translation}}
    upgraded["input"] = {"kind": "text"} | {key: upgraded.pop(key) for key in ("window", "overlap") if key in upgraded}
    old = upgraded.get("tasks", {})
    tasks: dict[str, Any] = {}
    if entities := old.get("entities"):
        tasks[ENTITIES] = {"kind": "entities"} | entities | upgraded.get("confidence", {})
    tasks |= old.get("parts", {})
    if (embeddings := old.get("embeddings")) is not None:
        tasks["embeddings"] = {"kind": "embedding"} | embeddings
    upgraded.pop("confidence", None)
    return upgraded | {"tasks": {name: _entry(values) for name, values in tasks.items()}}


def _entry(values: Mapping[str, Any]) -> dict[str, Any]:
    """A task's entry of version 1 as one of version 2."""
    return task_class(str(values.get("kind"))).from_version_1(values)


@dataclass(frozen=True)
class Bundle:
    """A checked bundle; see `Bundle.load`."""

    directory: Path
    config: dict[str, Any]
    description: Description

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read and check a bundle's `config.json` and `textome.json`.

        Raises ModelError that names the file: one that is missing or damaged, an unknown key, or labels that do not
        match the classifier's size.
        """
        directory = Path(directory)
        if not directory.is_dir():
            raise ModelError(f"{directory}: there is no such model directory")
        path = directory / "textome.json"
        foreign = _of_other_library(directory)
        for name in ("config.json", "textome.json")[: 1 if foreign else 2]:
            _check_there(directory, name)
        config, values = read_json(directory / "config.json"), foreign or described(read_json(path))
        try:
            description = Description.model_validate(values)
        except ValidationError as error:
            raise ModelError(f"{path}: {_explain(error)}") from error
        except ValueError as error:
            raise ModelError(f"{path}: {error}") from error
        bundle = cls(directory, config, description)
        if isinstance(description.input, Text):
            _check_there(directory, "tokenizer.json")
            bundle._check_sizes()
        else:
            bundle._check_other_task()
        return bundle

    def _check_other_task(self) -> None:
        """Raises ModelError where what is not text has other tasks than one of its own."""
        if len(self.tasks) > 1 or any(task.trained_by in ("text", "translation") for task in self.tasks.values()):
            names = ", ".join(task.kind for task in self.tasks.values())
            raise ModelError(f"{self.directory / 'textome.json'}: a model of {self.reads} has no tasks {names}")

    def _check_sizes(self) -> None:
        """Raises ModelError where the labels, or the window, are not those of `config.json`."""
        outputs = len(self.config.get("id2label", {}))
        needed = self.entities.head_shape.num_labels if len(self.tasks) == 1 and self.has_entities else outputs
        if outputs != needed:
            raise ModelError(
                f"{self.directory}: textome.json names {len(self.types)} types, which need {needed} outputs, but "
                f"config.json has {outputs} labels"
            )
        if not all(task.has_graph for task in self.tasks.values()):
            return  # its architecture is not an encoder alone
        if self.config.get("is_encoder_decoder"):
            return  # its positions are relative, so that no window is too long
        try:
            max_length = encoder_of(self.config).max_length(self.config)
        except ValueError as error:
            raise ModelError(f"{self.directory / 'config.json'}: {error}") from error
        if self.window > max_length:
            raise ModelError(
                f"{self.directory / 'textome.json'}: the window of {self.window} tokens is larger than the model's "
                f"{max_length} positions"
            )

    @property
    def reads(self) -> str:
        """The kind of its input: "text", "image", "dna" ..."""
        return str(getattr(self.description.input, "kind", TEXT))

    @property
    def text(self) -> Text:
        """How texts are read. Raises ModelError where something else is."""
        if not isinstance(self.description.input, Text):
            raise ModelError(
                f"{self.directory}: this model reads {self.reads}, and not text; ask it with: textome predict -m "
                f"{self.directory}"
            )
        return self.description.input

    @property
    def modality(self) -> Modality:
        """How images, sounds and the like are read. Raises ModelError of a model of texts."""
        from textome.inputs.records import Modality

        if not isinstance(self.description.input, Modality):
            raise ModelError(
                f"{self.directory}: this model reads text; ask it with: textome annotate -m {self.directory}"
            )
        return self.description.input

    @property
    def target(self) -> Target:
        """The task of a model of other things than text. Raises ModelError where it has another."""
        from textome.tasks.target import Target

        tasks: list[object] = [*self.tasks.values()]
        if len(tasks) > 1 or not isinstance(task := tasks[0], Target):
            names = ", ".join(task.kind for task in self.tasks.values())
            raise ModelError(
                f"{self.directory}: a model of the task {names} says nothing of whole records; ask it with: textome "
                f"predict -m {self.directory}"
            )
        return task

    @property
    def name(self) -> str:
        return self.description.name

    @property
    def provenance(self) -> dict[str, Any]:
        """The recipe, data and scores that the model came from."""
        return self.description.provenance

    @property
    def tasks(self) -> dict[str, SomeTask]:
        """All tasks by name."""
        return dict(self.description.tasks)

    @property
    def entities(self) -> Entities:
        """The entity task. Raises ModelError where the bundle has other tasks."""
        task: object = self.description.tasks.get(ENTITIES)
        if not isinstance(task, Entities):
            raise ModelError(f"{self.directory}: this model finds no entities; its tasks are {', '.join(self.tasks)}")
        return task

    @property
    def has_entities(self) -> bool:
        return ENTITIES in self.description.tasks

    @property
    def types(self) -> tuple[str, ...]:
        return self.entities.types

    @property
    def default_types(self) -> tuple[str, ...]:
        return self.entities.default_types or self.types

    @property
    def other_tasks(self) -> dict[str, SomeTask]:
        """The tasks with heads other than that of entities, by name."""
        return {name: task for name, task in self.tasks.items() if name != ENTITIES and task.head_shape.num_labels}

    @property
    def heads(self) -> dict[str, HeadShape]:
        """The shape of each head of a graph with several, that of entities among them; see models.heads."""
        heads = {name: task.head_shape for name, task in self.tasks.items()}
        return heads if self.other_tasks or any(head.recurrent for head in heads.values()) else {}

    @property
    def embeddings(self) -> Embedding | None:
        """How texts become vectors, of a model that is for nothing else; any encoder can be asked for them."""
        from textome.tasks.embedding import Embedding

        tasks: list[object] = [*self.tasks.values()]
        return next((task for task in tasks if isinstance(task, Embedding)), None)

    def only_task(self, name: str | None) -> str:
        """The name of the task that is named, or of the only one there is. Raises ModelError otherwise."""
        if name is None and len(self.tasks) == 1:
            return next(iter(self.tasks))
        name = ENTITIES if name == "ner" else name  # the name of older programs
        if name is None or name not in self.tasks:
            problem = "name one of its tasks" if name is None else f"it has no task {name!r}, only"
            raise ModelError(f"{self.directory}: {problem}: {', '.join(self.tasks)}")
        return name

    def task_of(self, kind: str, name: str | None = None) -> str:
        """The name of the task of a kind: the one named, or the only one there is. Raises ModelError otherwise."""
        names = [key for key, task in self.tasks.items() if task.kind == kind_named(kind) and name in (None, key)]
        if len(names) == 1:
            return names[0]
        if names:
            raise ModelError(f"{self.directory}: the model has several such tasks; name one of: {', '.join(names)}")
        able = ", ".join(f"{key} ({task.kind})" for key, task in self.tasks.items())
        raise ModelError(f"{self.directory}: the model has no task {name or kind!r}; it has: {able}")

    @property
    def window(self) -> int:
        return self.text.window

    @property
    def overlap(self) -> int:
        return self.text.overlap

    @property
    def temperature(self) -> dict[str, float]:
        return self.entities.temperature

    @property
    def thresholds(self) -> dict[str, float]:
        return self.entities.thresholds

    def check_graph(self) -> None:
        """Raises ModelError where a task of the model has no graph, exported or not."""
        for name, task in self.tasks.items():
            if not task.has_graph:
                raise ModelError(
                    f"{self.directory}: the task {name} ({task.kind}) runs on PyTorch alone, so there is no graph to export"
                )

    def onnx_path(self, precision: str | None = None, device: Device = "cpu") -> Path:
        """The exported graph: of the given precision, or the smallest there is, on a GPU the largest, which has no int8
        products. Raises ModelError if there is none."""
        self.check_graph()
        precisions = (precision,) if precision else PRECISIONS if device == "cpu" else PRECISIONS[::-1]
        for name in precisions:
            if (path := self.directory / f"model.{name}.onnx").is_file():
                return path
        raise ModelError(
            f"{self.directory}: there is no model.{precisions[0]}.onnx; make it with: "
            f"textome export {self.directory} --output {self.directory} --precision {precisions[0]}"
        )


def _check_there(directory: Path, name: str) -> None:
    if not (directory / name).is_file():
        raise ModelError(f"{directory}: there is no {name}, so this is not a complete Textome bundle; {_HINTS[name]}")


def _of_other_library(directory: Path) -> dict[str, Any] | None:
    """The `textome.json` of a token classifier, a T5 or a language model of transformers; None where there is one, or the
    folder is something else.

    Raises ModelError for an adapter, and for labels that are not those of entities.
    """
    if (directory / "textome.json").is_file():
        return None
    refuse_adapter(directory)
    if not (directory / "config.json").is_file():
        return None
    from textome.runtime.hugging_face import language_model, text_to_text, token_classifier

    config = read_json(directory / "config.json")
    return token_classifier(directory, config) or text_to_text(directory, config) or language_model(directory, config)


_HINTS = {
    "config.json": "give the directory that `textome finetune` or `textome export` wrote",
    "textome.json": "fine-tune the checkpoint with `textome finetune` first, so that its labels are known",
    "tokenizer.json": "copy it from the model that the bundle was trained from",
}


def is_installed(name: str) -> bool:
    """Whether a model of this name comes with Textome or with another package."""
    return name == DEFAULT_MODEL or bool(_entry_points(name))


def _entry_points(name: str) -> EntryPoints:
    from importlib.metadata import entry_points  # reads the metadata of all packages; the bundled model needs none

    return entry_points(group=INSTALLED_BUNDLES, name=name)


def resolve_model(model: str | Path | None, pickled: bool = False) -> Path:
    """The directory of a model: None and "default" are the bundled one, then the name of a bundle that a package
    brings, a directory, or a name on the hub.

    pickled   have the hub send old weights too, for `textome convert-checkpoint`

    Raises ModelError that says what to do where there is none.
    """
    if model is None or str(model) == DEFAULT_MODEL:
        directory = Path(__file__).parent.parent / "bundled" / DEFAULT_MODEL
        if not directory.is_dir():
            raise ModelError("this installation has no bundled model; name one with --model")
        return directory
    name = str(model)
    for point in _entry_points(name):
        from importlib.resources import files

        return Path(str(files(point.value) / "bundle"))
    if (path := Path(model)).is_dir():
        return path
    if name in _PACKAGES:
        raise ModelError(
            f"the model {name!r} is not installed; `pip install {_PACKAGES[name]}` installs it, and in a checkout "
            f"`pip install packages/{name}`"
        )
    if path.is_absolute() or name.startswith(".") or name.count("/") != 1 or path.exists():
        raise ModelError(f"{name}: there is no such model directory")
    return hub.cached(name, pickled)


def _explain(error: ValidationError) -> str:
    item = error.errors()[0]
    if item["type"] != "extra_forbidden":
        return explain(error)
    key = ".".join(map(str, item["loc"]))
    near = difflib.get_close_matches(str(item["loc"][-1]), [*Description.model_fields, *Text.model_fields], n=1)
    return f"{key} is not a key of textome.json" + (f"; did you mean {near[0]!r}?" if near else "")

"""Model bundles: a directory in the Hugging Face layout with `textome.json` beside it, checked before it is used."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from textome.errors import ModelError
from textome.tasks.relation import relation_states

DEFAULT_MODEL = "default"
ENTITIES = "entities"
PRECISIONS = ("int8", "bf16", "fp32")
# What is taken from a hub: data only, nothing that could run.
_HUB_PATTERNS = ["*.json", "*.safetensors", "*.onnx", "*.txt", "README.md"]
_PICKLED = ["pytorch_model*.bin"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EntitiesTask(_Section):
    """The heads of the entity task: `types` in the order of the classifier's outputs, three labels each."""

    types: list[str] = Field(min_length=1)
    labels: list[Literal["O", "B", "I"]]
    default_types: list[str]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.labels != ["O", "B", "I"]:
            raise ValueError(f"the labels must be O, B, I in this order, not {', '.join(self.labels)}")
        if len(set(self.types)) < len(self.types):
            raise ValueError("a type is named twice")
        if unknown := [name for name in self.default_types if name not in self.types]:
            raise ValueError(f"default_types names {unknown[0]!r}, which is not in types")
        return self


class ClassificationTask(_Section):
    """A label, or with `multi_label` those from `threshold` on, for each text or pair; see tasks.classification.

    negative and metric say how it is scored, see evaluation.classification.
    """

    kind: Literal["classification"]
    labels: list[str] = Field(min_length=1)
    negative: list[str] = []
    metric: str = "micro_f1"
    multi_label: bool = False
    pairs: bool = False
    threshold: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0)
    markers: list[str] = []

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head, see encoders.heads."""
        return len(self.labels), 1 + len(self.markers)


class SentencesTask(_Section):
    """A label for each sentence of an abstract; see tasks.classification."""

    kind: Literal["sentences"]
    labels: list[str] = Field(min_length=2)
    negative: list[str] = []
    metric: str = "weighted_f1"
    temperature: float = Field(1.0, gt=0)

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head, see encoders.heads."""
        return len(self.labels), 0


class RelationsTask(_Section):
    """Relations between the entities of a document; see tasks.relation."""

    kind: Literal["relations"]
    labels: list[str] = Field(min_length=1)
    negative: list[str] = []
    metric: str = "micro_f1"
    pairs: list[tuple[str, str]] = []
    scope: Literal["sentence", "document"] = "sentence"
    directed: bool = False
    split: bool = True
    none: str = "none"
    multi_label: bool = False
    threshold: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0)
    one_pass: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head, see encoders.heads."""
        return len(self.labels), relation_states(self.one_pass)


class AnswersTask(_Section):
    """Spans of texts that answer questions; see tasks.question_answering."""

    kind: Literal["answers"]
    labels: list[str] = ["start", "end"]
    negative: list[str] = []
    metric: str = "f1"
    longest: int = Field(12, ge=1)
    threshold: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0)

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head, see encoders.heads."""
        return 2, 0


class EmbeddingsTask(_Section):
    """An encoder that was trained to give texts as vectors: how its last hidden states are pooled."""

    pooling: Literal["mean", "cls"] = "mean"


Part = Annotated[ClassificationTask | SentencesTask | RelationsTask | AnswersTask, Field(discriminator="kind")]


class Tasks(_Section):
    """What a bundle can do: find entities, the other tasks by name, or nothing but give texts as vectors."""

    entities: EntitiesTask | None = None
    parts: dict[str, Part] = {}
    embeddings: EmbeddingsTask | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.entities is None and not self.parts and self.embeddings is None:
            raise ValueError("there is no task")
        if self.embeddings is not None and (self.entities is not None or self.parts):
            raise ValueError("a model for embeddings has no other task")
        if self.entities is not None and "entities" in self.parts:
            raise ValueError("a task has the name of the entities")
        return self


class Confidence(_Section):
    """How sure a model is, by type of entity.

    temperature  what logits are divided by before probabilities are taken; 1 where a type is missing
    thresholds   entities below it are left out where a user names no least confidence; 0 where a type is missing
    """

    temperature: dict[str, float] = {}
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}


class Description(_Section):
    """`textome.json`, version 1. `window` and `overlap` count tokens, special ones included."""

    format_version: Literal[1]
    name: str
    tasks: Tasks
    window: int = Field(ge=8)
    overlap: int = Field(ge=0)
    confidence: Confidence = Confidence()
    provenance: dict[str, Any] = {}


@dataclass(frozen=True)
class Bundle:
    """A checked bundle; see `Bundle.load`."""

    directory: Path
    config: dict[str, Any]
    description: Description

    @classmethod
    def load(cls, directory: str | Path) -> Bundle:
        """Read and check a bundle's `config.json` and `textome.json`.

        Raises ModelError that names the file: one that is missing or damaged, an unknown key, or labels that do not
        match the classifier's size.
        """
        directory = Path(directory)
        if not directory.is_dir():
            raise ModelError(f"{directory}: there is no such model directory")
        for name in ("config.json", "textome.json", "tokenizer.json"):
            if not (directory / name).is_file():
                raise ModelError(
                    f"{directory}: there is no {name}, so this is no complete Textome bundle; {_HINTS[name]}"
                )
        config = read_json(directory / "config.json")
        path = directory / "textome.json"
        try:
            description = Description.model_validate(read_json(path))
        except ValidationError as error:
            raise ModelError(f"{path}: {_explain(error)}") from error
        types = description.tasks.entities.types if description.tasks.entities else []
        outputs = len(config.get("id2label", {}))
        if types and not description.tasks.parts and outputs != 3 * len(types):
            raise ModelError(
                f"{directory}: textome.json names {len(types)} types, which need {3 * len(types)} outputs, but "
                f"config.json has {outputs} labels"
            )
        if description.window > config.get("max_position_embeddings", description.window):
            raise ModelError(
                f"{path}: the window of {description.window} tokens is larger than the model's "
                f"{config['max_position_embeddings']} positions"
            )
        if description.overlap >= description.window - 2:
            raise ModelError(f"{path}: the overlap {description.overlap} must be smaller than the window")
        return cls(directory, config, description)

    @property
    def name(self) -> str:
        return self.description.name

    @property
    def entities(self) -> EntitiesTask:
        """The entity task. Raises ModelError where the bundle has other tasks."""
        if self.description.tasks.entities is None:
            able = ", ".join(self.parts) or "embeddings"
            raise ModelError(f"{self.directory}: this model finds no entities; its tasks are {able}")
        return self.description.tasks.entities

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(self.entities.types)

    @property
    def default_types(self) -> tuple[str, ...]:
        return tuple(self.entities.default_types or self.types)

    @property
    def parts(self) -> dict[str, Part]:
        """The tasks other than entities, by name."""
        return self.description.tasks.parts

    @property
    def heads(self) -> dict[str, tuple[int, int]]:
        """(num_labels, states) of each head of a graph with several, that of the entities among them."""
        sizes = {name: part.size for name, part in self.parts.items()}
        entities = self.description.tasks.entities
        return sizes | ({ENTITIES: (3 * len(entities.types), 0)} if entities and sizes else {})

    @property
    def embeddings(self) -> EmbeddingsTask | None:
        """How texts become vectors, of a model that is for nothing else; any encoder can be asked for them."""
        return self.description.tasks.embeddings

    def only_part(self, name: str | None) -> str:
        """The name of the task that is named, or of the only one there is. Raises ModelError otherwise."""
        if name is None and len(self.heads) == 1:
            return next(iter(self.parts))
        if name not in self.parts:
            wrong = "name one of its tasks" if name is None else f"it has no task {name!r}, only"
            raise ModelError(f"{self.directory}: {wrong}: {', '.join(self.heads)}")
        return str(name)

    def part(self, kind: str, name: str | None = None) -> str:
        """The name of the task of a kind: the one named, or the only one there is. Raises ModelError otherwise."""
        found = [key for key, part in self.parts.items() if part.kind == kind and name in (None, key)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelError(f"{self.directory}: the model has several such tasks; name one of: {', '.join(found)}")
        able = ", ".join(f"{key} ({part.kind})" for key, part in self.parts.items()) or "entities"
        raise ModelError(f"{self.directory}: the model has no task {name or kind!r}; it has: {able}")

    @property
    def window(self) -> int:
        return self.description.window

    @property
    def overlap(self) -> int:
        return self.description.overlap

    @property
    def temperature(self) -> dict[str, float]:
        return self.description.confidence.temperature

    @property
    def thresholds(self) -> dict[str, float]:
        return self.description.confidence.thresholds

    def onnx_path(self, precision: str | None = None) -> Path:
        """The exported graph: of the given precision, or the smallest there is. Raises ModelError if there is none."""
        wanted = (precision,) if precision else PRECISIONS
        for name in wanted:
            if (path := self.directory / f"model.{name}.onnx").is_file():
                return path
        raise ModelError(
            f"{self.directory}: there is no model.{wanted[0]}.onnx; make it with: "
            f"textome export {self.directory} --output {self.directory} --precision {wanted[0]}"
        )


_HINTS = {
    "config.json": "give the directory that `textome finetune` or `textome export` wrote",
    "textome.json": "fine-tune the checkpoint with `textome finetune` first, so that its labels are known",
    "tokenizer.json": "copy it from the model that the bundle was trained from",
}


def resolve_model(model: str | Path | None, pickled: bool = False) -> Path:
    """The directory of a model: None is the bundled default, then a directory, then a name on the hub.

    pickled   have the hub send old weights too, for `textome convert-checkpoint`

    Raises ModelError that says what to do where there is none.
    """
    if model is None or str(model) == DEFAULT_MODEL:
        directory = Path(str(files("textome") / "bundled" / DEFAULT_MODEL))
        if not directory.is_dir():
            raise ModelError("this installation has no bundled model; name one with --model")
        return directory
    if (path := Path(model)).is_dir():
        return path
    name = str(model)
    if path.is_absolute() or name.startswith(".") or name.count("/") != 1 or path.exists():
        raise ModelError(f"{name}: there is no such model directory")
    return _from_hub(name, pickled)


def _from_hub(name: str, pickled: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_PATTERNS + _PICKLED * pickled))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{name}: no such directory, and the hub did not give it ({reason}); check the name"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a bundle. Raises ModelError where there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error})") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return values


def _explain(error: ValidationError) -> str:
    item = error.errors()[0]
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{place}: {item['msg'].removeprefix('Value error, ')}"
    keys = [
        "format_version",
        "name",
        "tasks",
        "window",
        "overlap",
        "confidence",
        "provenance",
        "entities",
        "types",
        "labels",
        "default_types",
        "embeddings",
        "pooling",
        "temperature",
        "thresholds",
    ]
    near = difflib.get_close_matches(str(item["loc"][-1]), keys, n=1)
    return f"{place} is no key of textome.json" + (f"; did you mean {near[0]!r}?" if near else "")

"""Label Studio's machine learning backend: its wire format, the corrections that it submits, and training on them as a job.

The format is that of label-studio-ml-backend: `/setup` and `/predict` with a project's label configuration, `/webhook` with
what annotators did. Offsets count code points, as Label Studio's exports do.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from lxml import etree
from pydantic import BaseModel, ConfigDict, Field

from textome.documents import Document, Relation
from textome.errors import InputError
from textome.formats import write_documents
from textome.formats.jsonl import document_from
from textome.formats.reading.sources import atomic_file
from textome.serve.schemas import Items

MAX_TASKS = 20_000  # that a folder keeps
MAX_BYTES = 200_000  # of a corrected task
_MAX_CONFIG = 100_000  # characters
_MAX_LABELS = 500
_EPOCHS = 5
_VALIDATION = 5  # one task of so many
Id = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class TaskMessage(_Message):
    """A task of Label Studio: its id, and its data by name."""

    id: Id
    data: dict[str, Any]


class ProjectMessage(_Message):
    id: Id
    label_config: Annotated[str, Field(max_length=_MAX_CONFIG)] = ""


class AnnotationMessage(_Message):
    result: Items[dict[str, Any]] = []
    was_cancelled: bool | None = False


class SetupRequest(_Message):
    """What Label Studio sends when the backend is connected: the project, as `id.timestamp`, and its configuration."""

    project: str = Field("", max_length=100)
    schema_: str = Field("", alias="schema", max_length=_MAX_CONFIG)


class PredictRequest(_Message):
    """Tasks whose entities are asked for."""

    tasks: Items[TaskMessage]
    project: str | int | None = None
    label_config: Annotated[str, Field(max_length=_MAX_CONFIG)] = ""


class WebhookRequest(_Message):
    """What an annotator did, or START_TRAINING."""

    action: str = Field(max_length=100)
    project: ProjectMessage
    task: TaskMessage | None = None
    annotation: AnnotationMessage | None = None


@dataclass(frozen=True)
class LabelConfig:
    """What a project's configuration says: the names of its <Labels> and its <Text>, the member of a task's data that
    holds the text, and the labels."""

    from_name: str
    to_name: str
    member: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, xml: str) -> LabelConfig:
        """Raises InputError where there are no labels for a text."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        try:
            root = etree.fromstring(xml.encode(), parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            raise InputError("the label configuration is not XML") from error
        texts = {item.get("name"): item.get("value", "") for item in root.iter("Text")}
        for item in root.iter("Labels"):
            to_name = item.get("toName", "")
            labels = tuple(label.get("value", "") for label in item.iter("Label"))
            if to_name in texts and any(labels):
                if len(labels) > _MAX_LABELS:
                    raise InputError(f"the label configuration has more than {_MAX_LABELS} labels")
                return cls(item.get("name", ""), to_name, texts[to_name].removeprefix("$"), labels)
        raise InputError("the label configuration has no <Labels> for a <Text>; this backend finds entities in texts")

    def text_of(self, task: TaskMessage) -> str:
        """The text of a task. Raises InputError where it has none."""
        text = task.data.get(self.member)
        if not isinstance(text, str):
            raise InputError(f"task {task.id}: data has no text {self.member!r}, which the label configuration names")
        return text

    def types(self, known: Sequence[str]) -> dict[str, str]:
        """The label for each type of a model that the project labels, whatever their case."""
        labels = {label.casefold(): label for label in self.labels}
        return {type: labels[type.casefold()] for type in known if type.casefold() in labels}

    def prediction(self, document: Document, labels: dict[str, str], version: str) -> dict[str, Any]:
        """The entities of a document as a prediction of Label Studio; a discontinuous one from its beginning to its end."""
        kept = [(f"e{number}", item) for number, item in enumerate(document.entities) if item.type in labels]
        results: list[dict[str, Any]] = [
            {
                "id": id,
                "from_name": self.from_name,
                "to_name": self.to_name,
                "type": "labels",
                "score": item.confidence,
                "value": {
                    "start": item.start,
                    "end": item.end,
                    "text": document.text[item.start : item.end],
                    "labels": [labels[item.type]],
                },
            }
            for id, item in kept
        ]
        ids = {item.id: id for id, item in kept if item.id}
        results += _relations(document.relations, ids)
        scores = [item.confidence for _, item in kept if item.confidence is not None]
        return {"model_version": version, "score": min(scores, default=1.0), "result": results}


def _relations(relations: Sequence[Relation], ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    for relation in relations:
        ends = [ids.get(target) for _, target in relation.arguments]
        if len(ends) == 2 and all(ends):
            yield {
                "type": "relation",
                "from_id": ends[0],
                "to_id": ends[1],
                "direction": "right",
                "labels": [relation.type],
            }


class Project:
    """The corrections of a project in a folder, a file a task, and the models that were trained on them."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self._folder = folder / f"project-{number}"

    def keep(self, task: TaskMessage, annotation: AnnotationMessage, config: LabelConfig) -> None:
        """Keep the corrected annotation of a task, in place of an earlier one.

        Raises InputError where it cannot be read, or the project has too many tasks.
        """
        member = {"id": task.id, "data": {"text": config.text_of(task)}}
        value = member | {"annotations": [{"result": annotation.result}]}
        document_from(value, str(task.id))
        path, content = self._path(task.id), json.dumps(value).encode()
        if len(content) > MAX_BYTES:
            raise InputError(f"task {task.id}: text and annotations have more than {MAX_BYTES:,} bytes")
        kept = sum(1 for _ in self._folder.parent.glob("project-*/tasks/[0-9]*.json"))
        if kept >= MAX_TASKS and not path.exists():
            raise InputError(f"there are {MAX_TASKS:,} corrected tasks already, and no more are kept")
        with atomic_file(path) as stream:
            stream.write(content)

    def forget(self, task: TaskMessage) -> None:
        self._path(task.id).unlink(missing_ok=True)

    def bundle(self) -> Path | None:
        """The newest model that was trained on the project's corrections."""
        ready = [path.parent for path in self._folder.glob("run-*/ready")]
        return max((run / "bundle" for run in ready), key=lambda path: _number(path.parent), default=None)

    def new_run(self, base: Path) -> Path:
        """Write the corrections and a recipe that starts from the model `base`, and give the folder of a new run.

        Raises InputError where the corrections are too few, or hold no entity.
        """
        documents = [document_from(json.loads(path.read_bytes()), path.stem) for path in sorted(self._paths())]
        types = sorted({item.type for document in documents for item in document.entities})
        if len(documents) < 2 or not types:
            raise InputError(
                f"project {self.number} has {len(documents)} corrected tasks with {len(types)} labels; training needs two "
                f"tasks and a label at least"
            )
        validation = documents[::_VALIDATION]
        train = [item for number, item in enumerate(documents) if number % _VALIDATION]
        write_documents(train, self._folder / "train.jsonl")
        write_documents(validation, self._folder / "validation.jsonl")
        names = json.dumps(types)
        mapping = ", ".join(f"{json.dumps(type)} = {json.dumps(type)}" for type in types)
        recipe = (
            f'name = "label-studio-{self.number}"\n[model]\nbase = {json.dumps(str(base.resolve()))}\n'
            f'[[tasks]]\nname = "entities"\nkind = "entities"\ntypes = {names}\n'
            f'[[tasks.corpora]]\nname = "corrections"\nformat = "jsonl"\ntrain = ["./train.jsonl"]\n'
            f'validation = ["./validation.jsonl"]\ntypes = {{ {mapping} }}\n'
            f"[training]\nepochs = {_EPOCHS}\nlearning_rate = 5e-5\nhead_learning_rate = 5e-4\n"
        )
        with atomic_file(self._folder / "recipe.toml") as stream:
            stream.write(recipe.encode())
        numbers = [_number(path) for path in self._folder.glob("run-*")]
        return self._folder / f"run-{max(numbers, default=0) + 1}"

    def commands(self, run: Path) -> list[list[str]]:
        """What is to be run one after the other: training, and the export of its model."""
        textome, bundle = [sys.executable, "-m", "textome"], str(run / "bundle")
        return [
            [*textome, "finetune", str(self._folder / "recipe.toml"), "--output", str(run)],
            [*textome, "export", bundle, "--output", bundle, "--precision", "int8"],
        ]

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a command; what it says is added to `training.log` in the project's folder."""
        with (self._folder / "training.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def _path(self, task: int) -> Path:
        return self._folder / "tasks" / f"{task}.json"

    def _paths(self) -> list[Path]:
        return list((self._folder / "tasks").glob("[0-9]*.json"))


def _number(run: Path) -> int:
    """The number of a run's folder, `run-3`; 0 for any other name."""
    match = re.fullmatch(r"run-(\d{1,9})", run.name)
    return int(match[1]) if match else 0

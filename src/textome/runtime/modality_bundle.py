"""Bundles of sequence models: `textome.json` tells the modality, its settings and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textome.errors import ModelError, plain_message
from textome.inputs import AnyModality
from textome.inputs.records import Modality
from textome.runtime.bundle import PRECISIONS, TEXT, described, input_kind, read_json
from textome.tasks import AnyTask
from textome.tasks.target import Target

SEQUENCE_MODEL = "textome-sequence"


class _Description(BaseModel):
    """`textome.json`, version 2, of a model of anything but text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[2]
    name: str
    input: AnyModality
    tasks: dict[str, AnyTask] = Field(min_length=1, max_length=1)
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class ModalityBundle:
    """A bundle's files, checked: what it reads, what it answers, and the sizes of its encoder (`config.json`)."""

    directory: Path
    name: str
    modality: Modality
    target: Target
    config: dict[str, Any]
    provenance: dict[str, Any]

    @classmethod
    def load(cls, directory: str | Path) -> ModalityBundle:
        """Raises ModelError where a file is missing or not what it should be."""
        folder = Path(directory)
        description, config = (read_json(folder / name) for name in ("textome.json", "config.json"))
        try:
            found = _Description.model_validate(described(description))
        except ValidationError as error:
            item = error.errors()[0]
            place = ".".join(map(str, item["loc"]))
            raise ModelError(f"{folder / 'textome.json'}: {place}: {plain_message(item)}") from error
        (target,) = found.tasks.values()
        if not isinstance(target, Target):
            raise ModelError(f"{folder / 'textome.json'}: a model of {found.input.kind} has no task {target.kind}")
        return cls(folder, found.name, found.input, target, config, found.provenance)

    @property
    def pooling(self) -> str:
        return self.target.pooling

    @staticmethod
    def is_at(directory: str | Path) -> bool:
        """Whether a folder is the bundle of a sequence model, and not of a model over text."""
        path = Path(directory) / "textome.json"
        return path.is_file() and input_kind(read_json(path)) != TEXT

    def graph(self, precision: str | None = None) -> Path:
        """The exported graph, the smallest first. Raises ModelError where it is not there."""
        for name in (precision,) if precision else PRECISIONS:
            if (path := self.directory / f"model.{name}.onnx").is_file():
                return path
        wanted = f"model.{precision}.onnx" if precision else "exported graph"
        raise ModelError(
            f"{self.directory}: there is no {wanted}; run: textome export {self.directory} --output {self.directory}"
        )

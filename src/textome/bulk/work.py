"""What a worker does, on this machine or another: annotate a chunk and put its results on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from textome.bulk.chunks import Chunk, Located, unreadable
from textome.bulk.ledger import Done
from textome.bulk.output import write_chunk
from textome.documents import Document
from textome.formats.reading.sources import BadRecord
from textome.pipeline import PipelineChoice, choose_pipeline
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.step import ModelSettings
from textome.version import __version__

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Options:
    """What decides the results, beside the input. A run refuses to go on with others than it began with.

    to           the format of the results
    format       the format of the input, where it is not to be guessed
    text_column  the column of a table that holds the texts, where its name does not tell
    replace      drop the annotations that the input has already, of the kinds that the models give
    """

    pipeline: PipelineChoice = field(default_factory=choose_pipeline)
    replace: bool = False
    to: str = "parquet"
    format: str | None = None
    text_column: str | None = None

    def settings(self) -> dict[str, Any]:
        """The options as the ledger keeps them: models by their content, not by the place where they lie.

        Raises InputError for types that no model knows and for settings that a step does not take, and ModelError for a
        model that is missing.
        """
        models = [(model, Bundle.load(resolve_model(model.model))) for model in self.pipeline.models]
        for _, bundle in models:
            _ = bundle.text  # a model of something else says so
        known = [name for _, bundle in models for name in _types(bundle)]
        self.pipeline.check_types(known)
        chosen: dict[str, list[Any]] = {
            "model": [fingerprint(bundle, model) for model, bundle in models],
            "precision": [bundle.onnx_path(model.precision, model.device).name for model, bundle in models],
            "types": [sorted(model.types or _default_types(bundle)) for model, bundle in models],
            "min_confidence": [model.min_confidence for model, _ in models],
            "flat": [model.flat for model, _ in models],
        }
        return {name: values[0] if len(values) == 1 else values for name, values in chosen.items()} | {
            "steps": [step.describe() for step in self.pipeline.rules.steps],
            "replace": self.replace,
            "to": self.to,
            "format": self.format,
            "text_column": self.text_column,
            "textome": __version__,
        }


def _types(bundle: Bundle) -> tuple[str, ...]:
    return bundle.types if bundle.has_entities else ()


def _default_types(bundle: Bundle) -> tuple[str, ...]:
    return bundle.default_types if bundle.has_entities else ()


def fingerprint(bundle: Bundle, model: ModelSettings) -> str:
    """The bundle's name and a hash of all that decides what it predicts."""
    digest = hashlib.sha256()
    for path in (*(bundle.directory / name for name in ("config.json", "textome.json", "tokenizer.json")),
                 bundle.onnx_path(model.precision, model.device)):  # fmt: skip
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    if not model.early_exit:
        digest.update(b"all layers")
    return f"{bundle.name} sha256:{digest.hexdigest()}"


class Worker:
    """A loaded pipeline that turns chunks into results in `output`. One thread: there are as many workers as cores."""

    def __init__(self, output: Path, options: Options, threads: int = 1) -> None:
        self._output = output
        self._options = options
        self._pipeline = options.pipeline.load(threads=threads)

    def __call__(self, chunk: Chunk) -> Done:
        """Annotate and write a chunk; returns what the ledger is to keep, once all of it is on disk.

        A document that the model cannot be run on is a bad record. Raises OSError where the results cannot be written.
        """
        bad: list[BadRecord] = []
        counts = (0, 0, 0)
        if chunk.windows:
            about = chunk.about
            written = write_chunk(self._output, self._options.to, about.part, about.number, self._annotated(chunk, bad))
            counts = tuple(written)  # type: ignore[assignment]
        return replace(
            chunk.about,
            documents=counts[0],
            entities=counts[1],
            relations=counts[2],
            quarantined=chunk.about.quarantined + len(bad),
            bad=(*chunk.about.bad, *bad),
        )

    def _annotated(self, chunk: Chunk, bad: list[BadRecord]) -> Iterator[Located]:
        for window in chunk.documents():
            try:
                annotated = self._annotate([document for _, _, document in window])
            except (OSError, MemoryError):
                raise
            except Exception:
                # One of them breaks the model, whatever it is: the others must not be lost with it.
                yield from self._one_by_one(window, bad)
            else:
                for (source, record, _), document in zip(window, annotated, strict=True):
                    yield source, record, document

    def _one_by_one(self, window: list[Located], bad: list[BadRecord]) -> Iterator[Located]:
        for source, record, document in window:
            try:
                yield source, record, self._annotate([document])[0]
            except (OSError, MemoryError):
                raise
            except Exception as error:
                bad.append(unreadable(source, record, error))

    def _annotate(self, documents: list[Document]) -> list[Document]:
        return self._pipeline.annotate(documents, replace=self._options.replace)

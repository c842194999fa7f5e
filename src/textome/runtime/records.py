"""What models of images, sounds, signals and the like have in common: records that files hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Self

from textome.documents import Document, Record
from textome.errors import InputError
from textome.formats import Quarantine, Source, read_documents
from textome.inputs.records import read_records
from textome.runtime.bundle import Bundle
from textome.runtime.session import open_graph
from textome.runtime.step import ModelSettings, ModelStep


class RecordModel(ModelStep):
    """A loaded bundle that reads something else than text.

    Raises ModelError where the bundle or its graph is damaged or missing.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: str | None = None,
        threads: int | None = None,
        settings: ModelSettings | None = None,
    ) -> None:
        super().__init__(bundle, settings or ModelSettings(precision=precision, threads=threads))
        self.input = bundle.modality
        self._graph = bundle.onnx_path(self.settings.precision, self.settings.device)
        self._session = open_graph(self._graph, self.settings.threads, device=self.settings.device)
        self._prepare()

    def _prepare(self) -> None:
        """What a kind of model needs besides its graph. Raises ModelError where the bundle is of another kind."""

    @classmethod
    def load(cls, directory: str | Path, precision: str | None = None, threads: int | None = None) -> Self:
        """From a bundle's folder; precision "int8" or "fp32", by default the first that is there."""
        return cls(Bundle.load(directory), precision, threads)

    @classmethod
    def of(cls, bundle: Bundle, settings: ModelSettings) -> Self:
        return cls(bundle, settings=settings)

    def documents(
        self, path: str | Path | Source, quarantine: Quarantine, format: str | None = None, **options: str
    ) -> Iterator[Document]:
        """The records of a file or folder, or with a format documents, whose texts are sequences, say."""
        if format:
            return read_documents(path, format, quarantine, **options)
        return read_records(self.input, str(path), quarantine)

    def read(
        self, name: str, path: str, quarantine: Quarantine, layout: str | None = None, **columns: str
    ) -> Iterator[Record]:
        """The records of a file or folder, or of `PATH#RULE` for some of them, see `inputs.records.read_records`.

        Raises InputError for `columns`: the model's input names its own.
        """
        if columns:
            raise InputError(f"--{next(iter(columns)).replace('_', '-')} is for tables of texts; this model reads none")
        return read_records(self.input, path, quarantine)

    def stream(self, path: str, quarantine: Quarantine) -> Iterator[tuple[Record, Any]]:
        """Each record of a file or folder (`PATH#RULE` for some of them) with what the model says of it, in order.

        Records that cannot be read, or of which nothing can be made, are quarantined. Raises InputError where the path
        cannot be read at all.
        """
        return self.stream_predictions("", self.read("", path, quarantine), quarantine, path)

    def _pools(self, documents: Iterable[Document]) -> Iterator[list[Document]]:
        waiting = iter(documents)
        while pool := list(islice(waiting, self.pool_records)):
            yield pool

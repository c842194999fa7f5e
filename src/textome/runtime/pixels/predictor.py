"""What a model of pixels says of images, masks or boxes, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from textome.documents import Document
from textome.errors import InputError, ModelError
from textome.formats import Quarantine, Source, read_documents
from textome.inputs.pixels.pixels import Pixels
from textome.inputs.pixels.regions import Picture
from textome.inputs.records import Floats, read_records
from textome.runtime.bundle import Bundle
from textome.runtime.session import open_graph
from textome.runtime.step import ModelSettings, ModelStep
from textome.tasks import Task
from textome.tasks.pixels.maps import MapTask


class MapPredictor(ModelStep):
    """A bundle of a model of pixels: as a step it labels images.

    Raises ModelError where the bundle or its graph is damaged or missing.
    """

    pool_records: ClassVar[int] = 1  # an image is large, and its tiles are computed one by one

    def __init__(self, bundle: Bundle, settings: ModelSettings | None = None) -> None:
        super().__init__(bundle, settings)
        if not isinstance(bundle.modality, Pixels):
            raise ModelError(f"{bundle.directory}: a model that gives maps reads pixels, and not {bundle.reads}")
        self.input = bundle.modality
        path = bundle.onnx_path(self.settings.precision, self.settings.device)
        self._session = open_graph(path, self.settings.threads, device=self.settings.device)

    @classmethod
    def load(cls, directory: str | Path, precision: str | None = None, threads: int | None = None) -> Self:
        """From a bundle's folder; precision "int8" or "fp32", by default the first that is there."""
        return cls(Bundle.load(directory), ModelSettings(precision=precision, threads=threads))

    @classmethod
    def of(cls, bundle: Bundle, settings: ModelSettings) -> Self:
        return cls(bundle, settings)

    @property
    def only_task(self) -> MapTask[Any]:
        """The model's task."""
        (task,) = self.tasks.values()
        return cast(MapTask[Any], task)

    def documents(
        self, path: str | Path | Source, quarantine: Quarantine, format: str | None = None, **options: str
    ) -> Iterator[Document]:
        """The images of a file or folder."""
        if format:
            return read_documents(path, format, quarantine, **options)
        return read_records(self.input, str(path), quarantine)

    def read(
        self, name: str, path: str, quarantine: Quarantine, layout: str | None = None, **columns: str
    ) -> Iterator[Picture]:
        """The images of a file or folder, or of `PATH#RULE` for some of them, see `inputs.records.read_records`.

        Raises InputError for `columns`, which are of tables.
        """
        if columns:
            raise InputError(
                f"--{next(iter(columns)).replace('_', '-')} is for tables of texts; this model reads images"
            )
        return cast(Iterator[Picture], read_records(self.input, path, quarantine))

    def predict(self, image: NDArray[np.uint8]) -> Any:
        """What the model says of an image (height, width, channels) of any size: a `Segmented`, or a tuple of `Box`.

        Raises InputError for an array of another kind.
        """
        task = self.only_task
        maps = self.input.maps(image, task.stride, self._run)
        return task.read_off(maps, image.shape[0], image.shape[1], self.input.scale)

    def predictions(self, name: str, records: Sequence[Picture]) -> list[Any]:
        return [self.predict(record.content) for record in records]

    def check_record(self, name: str, record: Picture) -> None:
        self.input.check(record.content)

    def stream(self, path: str, quarantine: Quarantine) -> Iterator[tuple[Picture, Any]]:
        """Each image of a file or folder (`PATH#RULE` for some of them) with its prediction, in order.

        Images that cannot be read are quarantined. Raises InputError where the path cannot be read at all.
        """
        return self.stream_predictions("", self.read("", path, quarantine), quarantine, path)

    def apply(self, name: str, documents: Sequence[Document]) -> list[Document]:
        labelled, task = [], cast("Task[Document, Any]", self.tasks[name])
        for document in documents:
            try:
                prediction = self.predict(self.input.content_of(document))
            except InputError as error:
                if self.report is None:
                    raise InputError(f"document {document.id!r}: {error}") from error
                self.report(document, error)
                labelled.append(document)
            else:
                labelled.append(task.annotate(name, document, [document], [prediction]))
        return labelled

    def _pools(self, documents: Iterable[Document]) -> Iterator[list[Document]]:
        for document in documents:
            yield [document]

    def _run(self, tile: Floats) -> Floats:
        """The maps of one tile: alone, so that they are the same whatever else is asked."""
        (scores,) = self._session.run(None, {"image": tile[None]})
        return self.only_task.activated(np.asarray(scores[0], np.float32))

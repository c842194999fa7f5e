"""What a model of pixels says of images, masks or boxes, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from textome.documents import Document
from textome.errors import InputError, ModelError
from textome.inputs.pixels.pixels import Pixels
from textome.inputs.pixels.regions import Picture
from textome.inputs.records import Floats
from textome.runtime.records import RecordModel
from textome.tasks import Task
from textome.tasks.pixels.maps import MapTask


class MapPredictor(RecordModel):
    """A bundle of a model of pixels: as a step it labels images.

    Raises ModelError where the bundle or its graph is damaged or missing.
    """

    input: Pixels
    pool_records: ClassVar[int] = 1  # an image is large, and its tiles are computed one by one

    def _prepare(self) -> None:
        if not isinstance(self.bundle.modality, Pixels):
            raise ModelError(
                f"{self.bundle.directory}: a model that gives maps reads pixels, and not {self.bundle.reads}"
            )

    @property
    def only_task(self) -> MapTask[Any]:
        """The model's task."""
        (task,) = self.tasks.values()
        return cast(MapTask[Any], task)

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

    def _run(self, tile: Floats) -> Floats:
        """The maps of one tile: alone, so that they are the same whatever else is asked."""
        (scores,) = self._session.run(None, {"image": tile[None]})
        return self.only_task.activated(np.asarray(scores[0], np.float32))

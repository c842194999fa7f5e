"""What a sequence model answers about images, sounds, signals and the like, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from textome.documents import Document, Record
from textome.errors import InputError, ModelError
from textome.formats import Quarantine, Source, read_documents
from textome.inputs.records import Floats, Segments, Shape, read_records
from textome.runtime.bundle import Bundle
from textome.runtime.session import open_graph
from textome.runtime.step import POOL_RECORDS, ModelSettings, ModelStep
from textome.tasks import Task

TOKEN_BUDGET = 8192


class Predictor(ModelStep):
    """A bundle of a sequence model: as a step it labels records.

    Raises ModelError where the bundle or its graph is damaged or missing.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: str | None = None,
        threads: int | None = None,
        settings: ModelSettings | None = None,
    ) -> None:
        super().__init__(bundle, settings)
        self.input, self.target = bundle.modality, bundle.target
        self._shapes = self.input.shapes()
        path = bundle.onnx_path(precision, self.settings.device)
        self._session = open_graph(path, threads, device=self.settings.device)
        if (names := {item.name for item in self._session.get_inputs()}) != self.input_names():
            raise ModelError(f"{path}: the graph has the inputs {sorted(names)}, which are not those of textome.json")

    def input_names(self) -> set[str]:
        """The inputs that its graph has."""
        return {f"{name}.{kind}" for name in self._shapes for kind in ("values", "mask", "positions")}

    @classmethod
    def load(cls, directory: str | Path, precision: str | None = None, threads: int | None = None) -> Predictor:
        """From a bundle's folder; precision "int8" or "fp32", by default the first that is there."""
        return cls(Bundle.load(directory), precision, threads)

    @classmethod
    def of(cls, bundle: Bundle, settings: ModelSettings) -> Predictor:
        return cls(bundle, settings.precision, settings.threads, settings)

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

    def predictions(self, name: str, records: Sequence[Record]) -> list[Floats]:
        return list(self.answer([record.content for record in records]))

    def check_record(self, name: str, record: Record) -> None:
        self._views(record.content)

    def apply(self, name: str, documents: Sequence[Document]) -> list[Document]:
        views = [self._views_of(document) for document in documents]
        answers = iter(self._means([own for own in views if own]))
        task = cast("Task[Document, Floats]", self.tasks[name])
        return [
            task.annotate(name, document, [document], [next(answers)]) if own else document
            for document, own in zip(documents, views, strict=True)
        ]

    def stream(self, path: str, quarantine: Quarantine) -> Iterator[tuple[Record, Floats]]:
        """Each record of a file or folder (`PATH#RULE` for some of them) with its answer (num_labels,), in order.

        Records that cannot be read, or of which nothing can be made, are quarantined. Raises InputError where the path
        cannot be read at all.
        """
        return self.stream_predictions("", self.read("", path, quarantine), quarantine, path)

    def answer(self, contents: Sequence[Any]) -> Floats:
        """(B, num_labels) probabilities or numbers of contents as the input's reader makes them, e.g. pixels."""
        return self._means([self._views(content) for content in contents])

    def outputs(self, items: Sequence[Segments]) -> list[Floats]:
        """The scores of each sequence: (num_labels,), or of a model that guesses tokens (1 + tokens, vocabulary)."""
        outputs: list[Floats] = [np.empty(0, np.float32)] * len(items)
        lengths = [1 + sum(len(part.positions) for part in item.values()) for item in items]
        order = np.argsort(lengths, kind="stable").tolist()
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * lengths[order[end]] <= TOKEN_BUDGET:
                end += 1
            chosen = order[start:end]
            (scores,) = self._session.run(None, padded([items[index] for index in chosen], self._shapes))
            for index, row in zip(chosen, scores, strict=True):
                outputs[index] = row if row.ndim == 1 else row[: lengths[index]]
            start = end
        return outputs

    def _pools(self, documents: Iterable[Document]) -> Iterator[list[Document]]:
        waiting = iter(documents)
        while pool := list(islice(waiting, POOL_RECORDS)):
            yield pool

    def _views(self, content: Any) -> list[Segments]:
        return [self.input.features(view) for view in self.input.views(content)]

    def _views_of(self, document: Document) -> list[Segments]:
        """None where the document cannot be read, which is reported. Raises InputError where there is no `report`."""
        try:
            return self._views(self.input.content_of(document))
        except InputError as error:
            if self.report is None:
                raise InputError(f"document {document.id!r}: {error}") from error
            self.report(document, error)
            return []

    def _means(self, views: Sequence[Sequence[Segments]]) -> Floats:
        """(B, num_labels) the mean answer over each record's views."""
        if not self.target.gives:
            raise InputError(
                f"{self.bundle.directory}: this model was pretrained on hidden tokens and answers nothing else"
            )
        if not views:
            return np.empty((0, len(self.target.answer_names)), np.float32)
        outputs = np.stack(self.outputs([item for items in views for item in items]))
        answers = iter(self.target.answers(outputs))
        return np.stack([np.mean([next(answers) for _ in items], 0) for items in views])


def padded(items: Sequence[Segments], shapes: Mapping[str, Shape]) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """The inputs of a graph (see graph_sequence) for sequences of any lengths, padded with zeros."""
    feeds: dict[str, np.ndarray[Any, np.dtype[Any]]] = {}
    for name, shape in shapes.items():
        frames = max(1, *(len(item[name].values) for item in items if name in item), 1)
        tokens = frames
        for _ in range(shape.downsamplings):
            tokens = -(-tokens // 2)
        size = (len(items), frames)
        values = np.zeros(size, np.int64) if shape.kind == "tokens" else np.zeros((*size, shape.size), np.float32)
        mask = np.zeros(size, np.int32)
        positions = np.zeros((len(items), tokens, len(shape.axes)), np.int64)
        for number, item in enumerate(items):
            if name in item:
                part = item[name]
                values[number, : len(part.values)] = part.values
                mask[number, : len(part.values)] = 1
                positions[number, : len(part.positions)] = part.positions
        feeds |= {f"{name}.values": values, f"{name}.mask": mask, f"{name}.positions": positions}
    return feeds

"""What a sequence model answers about images, sounds, signals and the like, without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from textome.documents import Document, Record
from textome.encoders.sequence import ATTENTION
from textome.errors import InputError, ModelError
from textome.inputs.records import Floats, Segments, Shape
from textome.runtime.records import RecordModel
from textome.runtime.session import open_graph
from textome.tasks import Task

TOKEN_BUDGET = 8192


class Predictor(RecordModel):
    """A bundle of a sequence model: as a step it labels records.

    Raises ModelError where the bundle or its graph is damaged or missing.
    """

    def _prepare(self) -> None:
        self.target, self._shapes = self.bundle.target, self.input.shapes()
        self._attending: Any = None  # the same graph with its attention as outputs, opened when it is asked for
        if (names := {item.name for item in self._session.get_inputs()}) != self.input_names():
            raise ModelError(
                f"{self._graph}: the graph has the inputs {sorted(names)}, which are not those of textome.json"
            )

    def input_names(self) -> set[str]:
        """The inputs that its graph has."""
        return {f"{name}.{kind}" for name in self._shapes for kind in ("values", "mask", "positions")}

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

    def attention(self, item: Segments) -> tuple[dict[str, NDArray[np.int64]], Floats]:
        """The tokens of each segment of a sequence, by their numbers in it, and how much each token looks at each other,
        (layers, heads, tokens, tokens); the start token is number 0.

        Raises ModelError for a graph that does not name its attention.
        """
        layers = range(int(self.bundle.config["num_hidden_layers"]))
        if self._attending is None:
            names = [ATTENTION.format(layer=layer) for layer in layers]
            self._attending = open_graph(self._graph, self.settings.threads, names, self.settings.device)
        feeds = padded([item], self._shapes)
        positions, start = [0], 1
        tokens: dict[str, NDArray[np.int64]] = {}
        for name in self._shapes:
            if name in item:
                positions += range(start, start + len(item[name].positions))
                tokens[name] = np.arange(len(positions) - len(item[name].positions), len(positions))
            start += feeds[f"{name}.positions"].shape[1]
        _, *shares = self._attending.run(None, feeds)
        return tokens, np.stack([layer[0][:, positions][:, :, positions] for layer in shares])

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
        if not self.target.output_kind:
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

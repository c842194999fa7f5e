"""What a sequence model answers about images, sounds, signals and the like, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textome.errors import InputError, ModelError
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Floats, Record, Segments, Shape, read_records
from textome.runtime.modality_bundle import ModalityBundle
from textome.runtime.session import open_graph

TOKEN_BUDGET = 8192
# How many records are read before they are sorted by length and answered.
POOL = 256


class Predictor:
    """A bundle of a sequence model, ready to answer.

    `bundle` tells the modality and the labels. Raises ModelError where the bundle or its graph is damaged or missing.
    """

    def __init__(self, bundle: ModalityBundle, precision: str | None = None, threads: int | None = None) -> None:
        self.bundle = bundle
        self._shapes = bundle.modality.shapes()
        path = bundle.graph(precision)
        self._session = open_graph(path, threads)
        expected = {f"{name}.{kind}" for name in self._shapes for kind in ("values", "mask", "positions")}
        if (found := {item.name for item in self._session.get_inputs()}) != expected:
            raise ModelError(f"{path}: the graph has the inputs {sorted(found)}, which are not those of textome.json")

    @classmethod
    def load(cls, directory: str | Path, precision: str | None = None, threads: int | None = None) -> Predictor:
        """From a bundle's folder; precision "int8" or "fp32", by default the first that is there."""
        return cls(ModalityBundle.load(directory), precision, threads)

    def stream(self, place: str, quarantine: Quarantine) -> Iterator[tuple[Record, Floats]]:
        """Each record of a file or folder (`PLACE#RULE` for some of them) with its answer (num_labels,), in order.

        Records that cannot be read, or of which nothing can be made, are quarantined. Raises InputError where the place
        cannot be read at all.
        """
        pool: list[tuple[Record, list[Segments]]] = []
        for record in read_records(self.bundle.modality, place, quarantine):
            try:
                views = [self.bundle.modality.features(view) for view in self.bundle.modality.views(record.content)]
            except InputError as error:
                quarantine.add(place, f"record {record.id}", error)
                continue
            pool.append((record, views))
            if len(pool) == POOL:
                yield from self._answered(pool)
                pool = []
        yield from self._answered(pool)

    def answer(self, contents: Sequence[Any]) -> Floats:
        """(B, num_labels) probabilities or numbers of contents as the modality's reader makes them, e.g. pixels."""
        modality = self.bundle.modality
        views = [[modality.features(view) for view in modality.views(content)] for content in contents]
        return self._means(views)

    def outputs(self, items: Sequence[Segments]) -> list[Floats]:
        """The scores of each sequence: (num_labels,), or of a model that guesses tokens (1 + tokens, vocabulary)."""
        found: list[Floats] = [np.empty(0, np.float32)] * len(items)
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
                found[index] = row if row.ndim == 1 else row[: lengths[index]]
            start = end
        return found

    def _answered(self, pool: Sequence[tuple[Record, list[Segments]]]) -> Iterator[tuple[Record, Floats]]:
        if pool:
            answers = self._means([views for _, views in pool])
            yield from zip((record for record, _ in pool), answers, strict=True)

    def _means(self, views: Sequence[Sequence[Segments]]) -> Floats:
        """The mean answer over each record's views."""
        if self.bundle.target.kind == "masked_tokens":
            raise InputError(
                f"{self.bundle.directory}: this model was pretrained on hidden tokens and answers nothing else"
            )
        outputs = np.stack(self.outputs([item for items in views for item in items]))
        answers = iter(self.bundle.target.answers(outputs))
        return np.stack([np.mean([next(answers) for _ in items], 0) for items in views])


def padded(items: Sequence[Segments], shapes: Mapping[str, Shape]) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """The inputs of a graph (see graph_sequence) for sequences of any lengths, padded with zeros."""
    feeds: dict[str, np.ndarray[Any, np.dtype[Any]]] = {}
    for name, shape in shapes.items():
        frames = max(1, *(len(item[name].values) for item in items if name in item), 1)
        tokens = frames
        for _ in range(shape.halvings):
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

"""The two graphs of an encoder-decoder, with the keys and values of source and target kept; see encoders/t5/onnx.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import ModelError
from textome.runtime.bundle import Device
from textome.runtime.generation.decoding import Floats, Ids
from textome.runtime.session import open_graph
from textome.tasks.examples import Integers


class SourceSession:
    """Exported encoder and decoder. Raises ModelError where a file is missing, damaged or a graph of something else.

    path   of the decoder, `model.<precision>.onnx`; the encoder is `encoder.<precision>.onnx` beside it
    """

    def __init__(self, path: Path, threads: int | None = None, device: Device = "cpu") -> None:
        encoder = path.with_name(path.name.replace("model.", "encoder.", 1))
        if not encoder.is_file():
            raise ModelError(f"{encoder}: the graph of the encoder is missing; export the model with `textome export`")
        self._encoder, self._decoder = (open_graph(file, threads, device=device) for file in (encoder, path))
        shapes = {item.name: item.shape for item in self._decoder.get_inputs()}
        self.caches = [name for name in shapes if name.startswith("past.")]
        self.sources = [item.name for item in self._encoder.get_outputs()]
        if {"tokens", "attention_mask"} != shapes.keys() - {*self.caches, *self.sources} or not self.caches:
            raise ModelError(f"{path}: the graph writes no targets; export the model with `textome export`")
        _, self._heads, _, self._size = shapes[self.caches[0]]

    def start(self, sources: Sequence[Integers]) -> CachedTargets:
        """A decoder that has read the sources, and nothing of a target yet."""
        lengths = np.array([len(ids) for ids in sources])
        tokens = np.zeros((len(sources), int(lengths.max())), np.int64)
        for row, ids in enumerate(sources):
            tokens[row, : len(ids)] = ids
        mask = (np.arange(tokens.shape[1]) < lengths[:, None]).astype(np.int32)
        values = self._encoder.run(None, {"input_ids": tokens, "attention_mask": mask})
        empty = np.zeros((len(sources), self._heads, 0, self._size), np.float32)
        read: dict[str, NDArray[Any]] = {"attention_mask": mask, **dict(zip(self.sources, values, strict=True))}
        return CachedTargets(self, [empty] * len(self.caches), read)

    def step(
        self, tokens: Ids, caches: Sequence[Floats], sources: dict[str, NDArray[Any]]
    ) -> tuple[Floats, list[Floats]]:
        """The logits (B, vocab_size) of what follows `tokens` (B,), and the caches with these tokens in them."""
        feeds = {"tokens": tokens[:, None]} | sources | dict(zip(self.caches, caches, strict=True))
        logits, *present = self._decoder.run(None, feeds)
        return logits, present


class CachedTargets:
    """Targets in work, as `decoding.Decoder`.

    caches    keys and values (B, num_heads, P, size) of each target so far
    sources   those of its source, by name, and its mask
    """

    def __init__(self, session: SourceSession, caches: list[Floats], sources: dict[str, NDArray[Any]]) -> None:
        self.session, self.caches, self.sources = session, caches, sources

    def step(self, tokens: Ids) -> Floats:
        logits, self.caches = self.session.step(tokens, self.caches, self.sources)
        return logits

    def choose(self, rows: Ids) -> None:
        if np.array_equal(rows, np.arange(len(self.caches[0]))):
            return
        self.caches = [cache[rows] for cache in self.caches]
        self.sources = {name: values[rows] for name, values in self.sources.items()}

"""A graph that writes, with the keys and values of the tokens so far; see encoders/gpt/onnx.py for its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textome.errors import ModelError
from textome.runtime.bundle import Device
from textome.runtime.generation.decoding import Floats, Ids
from textome.runtime.session import open_graph


class DecoderSession:
    """An exported decoder. Raises ModelError where the file is damaged or a graph of something else."""

    def __init__(self, path: Path, threads: int | None = None, device: Device = "cpu") -> None:
        self._session = open_graph(path, threads, device=device)
        shapes = {item.name: item.shape for item in self._session.get_inputs()}
        self.caches = [name for name in shapes if name.startswith("past.")]
        if {"input_ids", "attention_mask", "positions"} != shapes.keys() - {*self.caches} or not self.caches:
            raise ModelError(f"{path}: the graph does not write texts; export the model with `textome export`")
        _, self._heads, _, self._size = shapes[self.caches[0]]

    def empty(self, rows: int) -> list[Floats]:
        """The keys and values of no token."""
        return [np.zeros((rows, self._heads, 0, self._size), np.float32) for _ in self.caches]

    def run(
        self, tokens: Ids, mask: NDArray[np.int32], positions: Sequence[int], caches: Sequence[Floats]
    ) -> tuple[Floats, list[Floats]]:
        """The logits (B, M, vocab_size) at `positions` of `tokens` (B, S), and the caches with these tokens in them.

        mask   (B, P + S), 0 where there is padding among the P tokens of the caches and the new ones
        """
        feeds = {"input_ids": tokens, "attention_mask": mask, "positions": np.asarray(positions, np.int64)}
        logits, *present = self._session.run(None, feeds | dict(zip(self.caches, caches, strict=True)))
        return logits, present

    def start(self, prompts: Sequence[Sequence[int]]) -> CachedDecoder:
        """A decoder that has read each prompt but for its last token, which `Limits.first` gives to the first step."""
        max_length = max(map(len, prompts)) - 1
        tokens = np.zeros((len(prompts), max_length), np.int64)
        mask = np.zeros((len(prompts), max_length), np.int32)
        for row, prompt in enumerate(prompts):
            # Padding stands in front, so that the newest tokens of all rows are in one column.
            start = max_length - len(prompt) + 1
            tokens[row, start:], mask[row, start:] = prompt[:-1], 1
        caches = self.empty(len(prompts))
        if max_length:
            _, caches = self.run(tokens, mask, [], caches)
        return CachedDecoder(self, caches, mask)


class CachedDecoder:
    """Sequences in work, as `decoding.Decoder`.

    caches   keys and values (B, num_heads, P, head_size) of the tokens so far
    mask     (B, P), 0 where a row has padding
    """

    def __init__(self, session: DecoderSession, caches: list[Floats], mask: NDArray[np.int32]) -> None:
        self.session, self.caches, self.mask = session, caches, mask

    def step(self, tokens: Ids) -> Floats:
        self.mask = np.pad(self.mask, ((0, 0), (0, 1)), constant_values=1)
        logits, self.caches = self.session.run(tokens[:, None], self.mask, [0], self.caches)
        return logits[:, 0]

    def choose(self, rows: Ids) -> None:
        if np.array_equal(rows, np.arange(len(self.mask))):
            return
        self.caches = [cache[rows] for cache in self.caches]
        self.mask = self.mask[rows]

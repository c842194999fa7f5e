"""Texts as vectors by the encoder of a bundle, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from textome.runtime.batching import Batch, in_batches
from textome.runtime.model import Model
from textome.tasks.embedding import Embedding
from textome.tasks.examples import Example, Floats
from textome.tasks.vectors import Pooling, normalised, pooled


class Embedder:
    """A loaded bundle that gives each text as a vector, from the last hidden states of its encoder.

    model   loaded with its hidden states
    """

    def __init__(self, model: Model) -> None:
        self.model, self.bundle = model, model.bundle
        self._task = model.bundle.embeddings or Embedding()

    @classmethod
    def load(cls, model: str | Path | None = None, **settings: Any) -> Self:
        """Load a bundle by directory or hub name; None is the bundled default. `settings` are those of `ModelSettings`.

        Raises ModelError where its graph does not name the hidden states, as one that was not made by `textome export`.
        """
        return cls(Model.load(model, with_hidden_states=True, **settings))

    @property
    def pooling(self) -> Pooling:
        """How the model was made to pool states; the mean where it was made for something else."""
        return self._task.pooling

    def embed(self, texts: Iterable[str], *, pooling: Pooling | None = None, normalise: bool = True) -> Floats:
        """The vectors of the texts, (N, hidden_size) in float32.

        pooling     the mean of all tokens' states, or that of [CLS]; by default the model's own
        normalise   to length 1, so that a product of two vectors is their cosine

        A text longer than the model's window is read in windows, and their vectors are averaged by their numbers of tokens.
        Raises InputError for a text without any word.
        """
        items = list(texts)
        examples = self.examples("", items)
        decoded = self._task.decode(items, examples, self.scores(pooling or self.pooling, examples))
        vectors = np.stack(decoded) if decoded else np.zeros((0, int(self.bundle.config["hidden_size"])), np.float32)
        return normalised(vectors) if normalise else vectors

    def task(self, name: str) -> Embedding:
        """The task; the same for each way of pooling, `name`."""
        return self._task

    def examples(self, name: str, records: Sequence[str]) -> list[Example]:
        """The model's inputs for texts. Raises InputError for a text without any word."""
        return self._task.examples(records, self.model.tokenizer, self.bundle.window, 0)

    def scores(self, name: str, examples: Sequence[Example]) -> list[Floats]:
        """The vector (hidden_size,) of each example, pooled as `name` says, run in batches of nearly equal length."""

        def run(chosen: list[Example]) -> list[Floats]:
            batch = Batch.of(chosen)
            return list(pooled(self.model.session.hidden_states(batch), batch.lengths, name))

        return in_batches(examples, self.model.settings.token_budget, run)

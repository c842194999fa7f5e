"""Texts as vectors by the encoder of a bundle, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from textome.runtime.annotator import batches
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.session import EncoderSession, Session, TaskSession
from textome.runtime.states import states_output
from textome.tasks.embedding import Embedding, Pooling, normalised, pooled
from textome.tasks.examples import Example, Floats
from textome.text.tokenization import Tokenizer


class Embedder:
    """A loaded bundle that gives each text as a vector, from the last hidden states of its encoder.

    session        one for an encoder alone, or opened with `states`
    token_budget   tokens, padding included, of one batch
    """

    def __init__(
        self, bundle: Bundle, session: Session | TaskSession | EncoderSession, token_budget: int = 2048
    ) -> None:
        self.bundle, self.session, self.token_budget = bundle, session, token_budget
        self.tokenizer = Tokenizer.load(bundle.directory)
        self._task = bundle.embeddings or Embedding()

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        precision: str | None = None,
        threads: int | None = None,
        token_budget: int = 2048,
    ) -> Self:
        """Load a bundle by directory or hub name; None is the bundled default.

        Raises ModelError where its graph does not name the hidden states, as one that was not made by `textome export`.
        """
        bundle = Bundle.load(resolve_model(model))
        path = bundle.onnx_path(precision)
        if bundle.embeddings:
            return cls(bundle, EncoderSession(path, threads), token_budget)
        states = states_output(bundle.config, bool(bundle.heads))
        session = TaskSession(path, bundle.heads, threads, states) if bundle.heads else Session(path, threads, states)
        return cls(bundle, session, token_budget)

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
        given = list(texts)
        examples = self.examples("", given)
        found = self._task.decode(given, examples, self.scores(pooling or self.pooling, examples))
        vectors = np.stack(found) if found else np.zeros((0, int(self.bundle.config["hidden_size"])), np.float32)
        return normalised(vectors) if normalise else vectors

    def task(self, name: str) -> Embedding:
        """The task; the same for each way of pooling, `name`."""
        return self._task

    def examples(self, name: str, records: Sequence[str]) -> list[Example]:
        """The model's inputs for texts. Raises InputError for a text without any word."""
        return self._task.examples(records, self.tokenizer, self.bundle.window, 0)

    def scores(self, name: str, units: Sequence[Example]) -> list[Floats]:
        """The vector (hidden_size,) of each example, pooled as `name` says, run in batches of nearly equal length."""
        results: list[Floats] = [np.empty(0, np.float32)] * len(units)
        for batch in batches(np.array([len(unit.input_ids) for unit in units], np.int64), self.token_budget):
            lengths = np.array([len(units[index].input_ids) for index in batch])
            ids = np.zeros((len(batch), int(lengths.max())), np.int64)
            for row, index in enumerate(batch):
                ids[row, : lengths[row]] = units[index].input_ids
            for index, vector in zip(
                batch, pooled(self.session.hidden_states(ids, lengths), lengths, name), strict=True
            ):
                results[index] = vector
        return results

"""Texts as vectors: what the model reads, and one vector of each text from those of its windows.

Source: Reimers and Gurevych 2019 (Sentence-BERT), section 3: the mean of all tokens' last hidden states, those of [CLS] and
[SEP] among them, or the state of [CLS].
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from textome.documents import Document
from textome.tasks.examples import Example, Floats, text_examples
from textome.tasks.task import Task
from textome.tasks.vectors import Pooling, normalised, pooled
from textome.text.tokenization import Tokenizer


class Embedding(Task[str, Floats]):
    """Texts as vectors of a sentence encoder; its bundle has no other task.

    pooling   how the last hidden states become one vector
    """

    trained_by: ClassVar[str] = ""
    reads_hidden_states: ClassVar[bool] = True
    output_kind: ClassVar[str] = "vectors"
    has_confidence: ClassVar[bool] = False

    kind: Literal["embedding"] = "embedding"
    metric: Literal["none"] = "none"
    pooling: Pooling = "mean"

    def records(self, document: Document, question: str | None = None) -> list[str]:
        return [document.text]

    def examples(self, records: Sequence[str], tokenizer: Tokenizer, window: int, overlap: int) -> list[Example]:
        """The inputs of the texts, in order, in windows that do not overlap. Raises InputError for a text without words."""
        return [
            example
            for number, tokens in enumerate(tokenizer.encode(records))
            for example in text_examples(number, str(number + 1), [tokens], tokenizer, window, 0)
        ]

    def decode(self, records: Sequence[str], examples: Sequence[Example], scores: Sequence[Floats]) -> list[Floats]:
        """The vector (hidden_size,) of each text: the mean of those of its examples, each by its number of tokens."""
        totals = np.zeros((len(records), scores[0].shape[-1] if scores else 0), np.float32)
        weights = np.zeros((len(records), 1), np.float32)
        for example, vector in zip(examples, scores, strict=True):
            totals[example.record] += example.weight * vector.reshape(-1)
            weights[example.record] += example.weight
        return list(totals / np.maximum(weights, 1))

    def scores_of(self, hidden_states: Floats, lengths: NDArray[Any]) -> Floats:
        return pooled(hidden_states, lengths, self.pooling)

    def annotate(
        self, name: str, document: Document, records: Sequence[str], predictions: Sequence[Floats]
    ) -> Document:
        """With the vector, of length 1 and as a JSON array, in the metadata `name`."""
        vector = [round(float(value), 6) for value in normalised(predictions[0])]
        return replace(document, metadata=document.metadata | {name: json.dumps(vector)})

"""Texts as vectors: what the model reads, and one vector of each text from those of its windows.

Source: Reimers and Gurevych 2019 (Sentence-BERT), section 3: the mean of all tokens' last hidden states, those of [CLS] and
[SEP] among them, or the state of [CLS].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.tasks.inputs import Floats, Unit, text_units
from textome.text.tokenization import Tokenizer

Pooling = Literal["mean", "cls"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


class Embeddings:
    """Units of texts, and vectors of texts from those of units.

    window   tokens of a unit, special ones included; a longer text is read in windows that do not overlap
    """

    def __init__(self, tokenizer: Tokenizer, window: int) -> None:
        self.tokenizer, self.window = tokenizer, window

    def units(self, texts: Sequence[str]) -> list[Unit]:
        """The units of the texts, in order. Raises InputError for a text without any word."""
        encoded = self.tokenizer.encode(texts)
        return [
            unit
            for number, tokens in enumerate(encoded)
            for unit in text_units(number, str(number + 1), [tokens], self.tokenizer, self.window, 0)
        ]

    def predictions(self, texts: Sequence[str], units: Sequence[Unit], vectors: Sequence[Floats]) -> list[Floats]:
        """The vector (hidden_size,) of each text: the mean of those of its units, each by its number of tokens."""
        totals = np.zeros((len(texts), vectors[0].shape[-1] if vectors else 0), np.float32)
        weights = np.zeros((len(texts), 1), np.float32)
        for unit, vector in zip(units, vectors, strict=True):
            totals[unit.item] += unit.weight * vector.reshape(-1)
            weights[unit.item] += unit.weight
        return list(totals / np.maximum(weights, 1))


def pooled(states: Floats, lengths: NDArray[Any], pooling: str) -> Floats:
    """The vector of each unit.

    Input   states (B, S, hidden_size), lengths (B,) the tokens of each row
    Output  (B, hidden_size)

    Raises InputError for a pooling that is not known.
    """
    if pooling not in POOLINGS:
        raise InputError(f"pooling {pooling!r} is not known; choose {' or '.join(POOLINGS)}")
    if pooling == "cls":
        return states[:, 0]
    mask = np.arange(states.shape[1]) < np.asarray(lengths)[:, None]
    total: Floats = np.einsum("bsh,bs->bh", states, mask.astype(np.float32))
    return total / np.asarray(lengths, np.float32)[:, None]


def normalised(vectors: Floats) -> Floats:
    """Vectors (N, hidden_size) of length 1, so that their products are cosines."""
    sizes = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(sizes, np.finfo(np.float32).tiny)  # type: ignore[no-any-return]

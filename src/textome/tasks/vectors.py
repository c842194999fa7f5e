"""One vector of a text from the last hidden states of an encoder."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.tasks.examples import Floats

Pooling = Literal["mean", "cls"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


def pooled(hidden: Floats, lengths: NDArray[Any], pooling: str) -> Floats:
    """The vector of each example.

    Input   states (B, S, hidden_size), lengths (B,) the tokens of each row
    Output  (B, hidden_size)

    Raises InputError for a pooling that is not known.
    """
    if pooling not in POOLINGS:
        raise InputError(f"pooling {pooling!r} is not known; choose {' or '.join(POOLINGS)}")
    if pooling == "cls":
        return hidden[:, 0]
    mask = np.arange(hidden.shape[1]) < np.asarray(lengths)[:, None]
    total: Floats = np.einsum("bsh,bs->bh", hidden, mask.astype(np.float32))
    return total / np.asarray(lengths, np.float32)[:, None]


def normalised(vectors: Floats) -> Floats:
    """Vectors (N, hidden_size) of length 1, so that their products are cosines."""
    sizes = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(sizes, np.finfo(np.float32).tiny)  # type: ignore[no-any-return]

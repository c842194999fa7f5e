"""One encoder for whatever becomes a sequence of vectors: image patches, sound, signals, bases, atoms, words."""

from __future__ import annotations

from typing import Literal, Protocol

# The tensor with the attention of a layer, (B, heads, S, S): a row is how much a token looks at each other.
ATTENTION = "bert.encoder.layer.{layer}.attention.shares"


class Shape(Protocol):
    """What an embedder needs to know of a segment, see inputs.records.Shape."""

    @property
    def kind(self) -> Literal["vectors", "tokens"]: ...

    @property
    def size(self) -> int: ...

    @property
    def axes(self) -> tuple[int, ...]: ...

    @property
    def downsamplings(self) -> int: ...

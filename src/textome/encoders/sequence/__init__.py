"""One encoder for whatever becomes a sequence of vectors: image patches, sound, signals, bases, atoms, words."""

from __future__ import annotations

from typing import Literal, Protocol


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

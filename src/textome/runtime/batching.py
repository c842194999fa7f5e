"""Inputs of nearly equal length in one batch, padded to the longest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from textome.tasks.examples import Example

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs of one pass of the encoder.

    input_ids        (B, S) int64, padded
    token_type_ids   (B, S) int64; None: all are of the first text
    lengths          (B,) the tokens of each row
    positions        (B, M, num_pooled_positions) of a head that joins several hidden states; None for others
    """

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64] | None
    lengths: NDArray[np.int64]
    positions: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, examples: Sequence[Example], pooled: bool = False) -> Self:
        """The examples padded with 0; positions, where a head pools them, with [CLS], whose scores nobody reads."""
        lengths = np.array([len(example.input_ids) for example in examples])
        input_ids = np.zeros((len(examples), int(lengths.max())), np.int64)
        token_types = None if examples[0].token_type_ids is None else np.zeros_like(input_ids)
        for row, example in enumerate(examples):
            input_ids[row, : lengths[row]] = example.input_ids
            if token_types is not None and example.token_type_ids is not None:
                token_types[row, : lengths[row]] = example.token_type_ids
        if not pooled:
            return cls(input_ids, token_types, lengths)
        most, width = max(len(example.positions) for example in examples), examples[0].positions.shape[1]
        positions = np.zeros((len(examples), most, width), np.int64)
        for row, example in enumerate(examples):
            positions[row, : len(example.positions)] = example.positions
        return cls(input_ids, token_types, lengths, positions)

    @property
    def mask(self) -> NDArray[np.int32]:
        """(B, S) 1 where there is a token."""
        return (np.arange(self.input_ids.shape[1]) < self.lengths[:, None]).astype(np.int32)


def batches(lengths: NDArray[Any], token_budget: int) -> list[list[int]]:
    """Indices of inputs, longest first, in groups whose padded size (rows times longest) is within `token_budget`.

    The longest come first so that the memory arena takes its final size at once.
    """
    groups: list[list[int]] = []
    width = 0
    for index in np.argsort(-lengths, kind="stable").tolist():
        if not groups or (len(groups[-1]) + 1) * width > token_budget:
            groups.append([])
            width = int(lengths[index])
        groups[-1].append(index)
    return groups


def in_batches(examples: Sequence[Example], token_budget: int, run: Callable[[list[Example]], Sequence[T]]) -> list[T]:
    """What `run` gives for each example, asked in batches of nearly equal length."""
    results: dict[int, T] = {}
    for batch in batches(np.array([len(example.input_ids) for example in examples], np.int64), token_budget):
        results |= zip(batch, run([examples[index] for index in batch]), strict=True)
    return [results[index] for index in range(len(examples))]

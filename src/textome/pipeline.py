"""Pipelines: what is done to documents, one step after another.

A step is anything that takes documents and gives them back with more annotations: a model with its tasks, a rule, a
look-up. A pipeline is a list of steps and itself a step. Every entrance takes a pipeline and knows no step by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from textome.documents import Document


class Step(Protocol):
    """Takes documents and gives each back, in order, with more annotations."""

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]: ...


class Pipeline:
    """Steps, one after another. Documents stream through: memory does not grow with their number."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        for step in self.steps:
            documents = step(documents)
        yield from documents

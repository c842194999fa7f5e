"""From documents with entities to documents with relations between them, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from textome.documents import Document
from textome.errors import InputError
from textome.runtime.tasks import TaskRunner
from textome.tasks.labels import Classified
from textome.tasks.pair_examples import Candidate
from textome.tasks.relations import Relations, with_ids, with_relations

# Candidate pairs that are sorted by length and run together: batches of equal lengths, in flat memory.
POOL = 2000


class RelationFinder:
    """A loaded bundle that finds relations between the entities that documents have.

    name            of the task where the bundle has several
    min_confidence  relations below it are left out
    """

    def __init__(self, runner: TaskRunner, name: str | None = None, min_confidence: float = 0.0) -> None:
        if not 0.0 <= min_confidence <= 1.0:
            raise InputError(f"the minimum confidence is {min_confidence}; give a probability from 0 to 1")
        self.runner, self.name, self.min_confidence = runner, runner.bundle.task_of("relations", name), min_confidence
        task = runner.task(self.name)
        assert isinstance(task, Relations)
        self.task = task

    @classmethod
    def load(cls, model: str | Path, name: str | None = None, *, min_confidence: float = 0.0, **options: Any) -> Self:
        """Load a bundle; `options` are those of `TaskRunner.load`."""
        return cls(TaskRunner.load(model, **options), name, min_confidence)

    def stream(self, documents: Iterable[Document], *, replace: bool = False) -> Iterator[Document]:
        """The documents with relations added, in order, one pool after another.

        replace   drop the relations that a document already has
        """
        pool: list[tuple[Document, list[Candidate]]] = []
        waiting = 0
        for document in documents:
            named, candidates = prepared(self.task, document)
            pool.append((named, candidates))
            waiting += len(candidates)
            if waiting >= POOL:
                yield from self._find(pool, replace)
                pool, waiting = [], 0
        yield from self._find(pool, replace)

    def _find(self, pool: Sequence[tuple[Document, list[Candidate]]], replace: bool) -> Iterator[Document]:
        items = [item for _, candidates in pool for item in candidates]
        predicted = iter(self.runner.predictions(self.name, items) if items else [])
        for document, candidates in pool:
            guesses = [next(predicted) for _ in candidates]
            yield completed(self.task, document, candidates, guesses, self.min_confidence, replace)


def prepared(task: Relations, document: Document) -> tuple[Document, list[Candidate]]:
    """The document with an id for every entity, and the pairs of it that the task asks about."""
    named = with_ids(document)
    return named, task.records(named)


def completed(
    task: Relations,
    document: Document,
    candidates: Sequence[Candidate],
    guesses: Sequence[Classified],
    min_confidence: float,
    replace: bool,
) -> Document:
    """The document with the relations that were found between its candidates."""
    found = task.relations(candidates, guesses, min_confidence)
    return with_relations(document, found, () if replace else document.relations)

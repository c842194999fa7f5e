"""Sentences of annotated files, as benchmarks name them on their command lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textome.formats import read_documents
from textome.tasks.entities import Entities
from textome.tasks.spans.mentions import Sentence


def read(data: str, task: Entities) -> Iterator[Sentence]:
    """The sentences of `[TYPES=]FILE`, annotated for the types that are named, as A,B, or else for all of the task's that
    stand in it. Bare tags of a table of tokens, B and I, are of the first type."""
    names, equals, path = data.rpartition("=")
    table = path.endswith(".tsv")
    options: dict[str, Any] = {"entity_type": names.split(",")[0]} if table and names else {}
    documents = list(read_documents(path, **options))
    present = {entity.type for document in documents for entity in document.entities}
    types = names.split(",") if equals else [kind for kind in task.types if kind in present]
    for number, document in enumerate(documents):
        yield from task.sentences(document, {kind: kind for kind in types}, not table, number)

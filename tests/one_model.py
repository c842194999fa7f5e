"""A model alone, asked as tests want it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from textome.datasets.labelled import LabelledSentences, LabelledText
from textome.documents import Document
from textome.pipeline import Pipeline
from textome.runtime.model import Model
from textome.tasks.labels import Classified


def entities_of(model: str | Path | None = None, **settings: object) -> Pipeline:
    """A pipeline of a bundle's entities and no other step; `settings` are those of `ModelSettings`."""
    return Pipeline([Model.load(model, tasks=("entities",), **settings)])


def labels_of(model: Model, name: str, texts: Iterable[str]) -> list[Classified]:
    """The labels that the task `name` gives to texts."""
    return model.predictions(name, [LabelledText(str(number), text, None) for number, text in enumerate(texts, 1)])


def labels_of_sentences(model: Model, name: str, abstracts: Iterable[Sequence[str]]) -> list[list[Classified]]:
    """The label of each sentence of each abstract, the sentences read together."""
    items = [LabelledSentences.unlabelled(str(number), sentences) for number, sentences in enumerate(abstracts, 1)]
    return model.predictions(name, items)


def related(model: Model, documents: Iterable[Document], **settings: object) -> Iterator[Document]:
    """The documents with the relations that a model finds between the entities that they have."""
    return model.choosing(tasks=(model.bundle.task_of("relations"),), **settings)(documents)

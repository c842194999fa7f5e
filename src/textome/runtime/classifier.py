"""`Classifier`: labels of texts, by the name that older programs use; for one more version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from textome.datasets.labelled import LabelledSentences, LabelledText
from textome.runtime.model import Model
from textome.tasks.labels import Classified


class Classifier:
    """A model that gives labels to texts, pairs of texts, or the sentences of abstracts.

    name   of the task where the bundle has several
    """

    def __init__(self, runner: Model, name: str | None = None, kind: str = "classification") -> None:
        self.runner, self.name = runner, runner.bundle.task_of(kind, name)

    @classmethod
    def load(cls, model: str | Path, name: str | None = None, *, kind: str = "classification", **options: Any) -> Self:
        """Load a bundle.

        kind      of the task: "classification" or "sentence_classification"
        options   the fields of `ModelSettings`
        """
        return cls(Model.load(model, **options), name, kind)

    def classify(self, texts: Iterable[str | tuple[str, str]]) -> list[Classified]:
        """The labels of each text or pair of texts, with the probability of every label."""
        items = [
            LabelledText(str(number), *((item, None) if isinstance(item, str) else item))
            for number, item in enumerate(texts, 1)
        ]
        return self.runner.predictions(self.name, items)

    def classify_sentences(self, abstracts: Iterable[Sequence[str]]) -> list[list[Classified]]:
        """The label of each sentence of each abstract, the sentences read together."""
        items = [LabelledSentences.unlabelled(str(number), sentences) for number, sentences in enumerate(abstracts, 1)]
        return self.runner.predictions(self.name, items)

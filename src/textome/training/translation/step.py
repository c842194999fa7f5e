"""A translation model as a step of a pipeline. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, cast

from textome.datasets.parallel import Pair
from textome.documents import Document
from textome.runtime.bundle import Bundle
from textome.runtime.step import ModelSettings, ModelStep
from textome.tasks import Task
from textome.training.translation.translator import Translator


class TranslationModel(ModelStep):
    """A loaded bundle that translates: each passage with words gets its translation as a label."""

    def __init__(self, bundle: Bundle, settings: ModelSettings | None = None) -> None:
        super().__init__(bundle, settings)
        self.translator = Translator.load(bundle.directory)

    @classmethod
    def of(cls, bundle: Bundle, settings: ModelSettings) -> Self:
        return cls(bundle, settings)

    def predictions(self, name: str, records: Sequence[Pair]) -> list[str]:
        return self.translator.translate([record.source for record in records])

    def check_record(self, name: str, record: Pair) -> None:
        """Every text can be translated."""

    def apply(self, name: str, documents: Sequence[Document]) -> list[Document]:
        task = cast("Task[Pair, str]", self.tasks[name])
        records = [task.records(document) for document in documents]
        texts = iter(self.translator.translate_layouts([record.source for own in records for record in own]))
        return [
            task.annotate(name, document, own, [next(texts) for _ in own])
            for document, own in zip(documents, records, strict=True)
        ]

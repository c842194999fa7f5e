"""The labels of a model for documents, their sentences, and records of files, as rows for people and machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from textome.datasets.labelled import LabelledSentences, LabelledText
from textome.documents import Document
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.model import Model
from textome.tasks.labels import Classified, LabelTask

Row = dict[str, Any]


class Labeller:
    """A bundle with a task that gives labels: to texts, to pairs of texts, or to the sentences of abstracts.

    name   of the task

    A row holds `label`, its `probability` and the `probabilities` of all labels, or of a task with several labels at once
    `labels` and `probabilities`; of a sentence also its `text`, and `start` and `end` in its document or, in a record whose
    sentences came apart, its number, `sentence`.
    """

    def __init__(self, runner: Model, name: str) -> None:
        self.runner, self.name = runner, name
        task: object = runner.task(name)
        assert isinstance(task, LabelTask)
        self.task: LabelTask[Any, Any] = task
        self.labels = self.task.label_names
        self.by_sentence, self.multi_label = self.task.by_sentence, self.task.multi_label
        self.pairs = self.task.reads_pairs

    @classmethod
    def load(cls, model: str | Path, task: str | None = None, **options: Any) -> Self:
        """Load a bundle by directory or hub name; `options` are the fields of `ModelSettings`.

        Raises InputError where it has no such task, or several and none is named.
        """
        bundle = Bundle.load(resolve_model(model))
        labels = {name: task_ for name, task_ in bundle.tasks.items() if task_.output_kind == "labels"}
        able = [name for name, task_ in labels.items() if isinstance(task_, LabelTask)]
        if task is None and len(able) == 1:
            (task,) = able
        if task not in able:
            if not able:
                raise InputError(
                    f"{model}: none of the model's tasks ({', '.join(bundle.tasks)}) is a classification of texts; ask it "
                    "with textome annotate, or questions with textome ask"
                )
            kinds = "name one of its tasks" if task is None else f"it has no task {task!r} that gives labels, only"
            raise InputError(f"{model}: {kinds}: {', '.join(able)}")
        return cls(Model.load(bundle.directory, **options), task)

    def documents(
        self, documents: Iterable[Document], quarantine: Quarantine, path: str, question: str | None = None
    ) -> Iterator[tuple[str, list[Row]]]:
        """The id of each document with its rows, in order: one, or one for each sentence.

        question   the first text of every pair, for a task that reads pairs; the document is the second
        path      where they are from, for the quarantine, which takes documents that cannot be read

        Raises InputError as `check` does.
        """
        self.check(question)

        def items() -> Iterator[LabelledText | LabelledSentences]:
            for document in documents:
                try:
                    yield from self.task.records(document, question)
                except InputError as error:
                    name = f"document {document.id}"
                    quarantine.add(path, name, str(error).removeprefix(f"{name}: "))

        return self._answered(items(), quarantine, path)

    def check(self, question: str | None) -> None:
        """Raises InputError where a question is missing, or given to a task that reads no pairs."""
        if self.pairs and question is None:
            raise InputError(f"task {self.name} reads pairs of texts: give a question, or records that have both texts")
        if question is not None and not self.pairs:
            raise InputError(f"task {self.name} does not read pairs of texts: leave the question out")

    def records(
        self, records: Iterable[LabelledText | LabelledSentences], quarantine: Quarantine, path: str
    ) -> Iterator[tuple[str, list[Row]]]:
        """The same of records as `datasets.labelled` reads them; their own labels do not matter."""

        def fitting() -> Iterator[LabelledText | LabelledSentences]:
            for record in records:
                if isinstance(record, LabelledSentences) != self.by_sentence:
                    kinds = "the sentences of abstracts" if self.by_sentence else "texts or pairs, not single sentences"
                elif isinstance(record, LabelledText) and (record.pair is not None) != self.pairs:
                    kinds = "pairs of texts" if self.pairs else "single texts"
                else:
                    yield record
                    continue
                quarantine.add(path, f"record {record.id}", f"task {self.name} reads {kinds}")

        return self._answered(fitting(), quarantine, path)

    def _answered(
        self, items: Iterable[LabelledText | LabelledSentences], quarantine: Quarantine, path: str
    ) -> Iterator[tuple[str, list[Row]]]:
        for item, predictions in self.runner.stream_predictions(self.name, items, quarantine, path):
            if isinstance(item, LabelledText):
                yield item.id, [self._row(predictions)]
                continue
            rows = []
            for number, (text, one) in enumerate(zip(item.sentences, predictions, strict=True)):
                where: Row = {"sentence": number + 1}
                if item.spans:
                    where = dict(zip(("start", "end"), item.spans[number], strict=True))
                rows.append(where | {"text": text} | self._row(one))
            yield item.id, rows

    def _row(self, prediction: Classified) -> Row:
        shares = {name: round(share, 6) for name, share in prediction.scores.items()}
        if self.multi_label:
            return {"labels": list(prediction.labels), "probabilities": shares}
        return {"label": prediction.labels[0], "probability": shares[prediction.labels[0]], "probabilities": shares}

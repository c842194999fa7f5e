"""Entities and labels of a text in one pass of the encoder, for bundles that were trained for both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from textome.documents import Document
from textome.errors import ModelError
from textome.formats.labelled import LabelledText
from textome.runtime.annotator import Annotator, batches
from textome.runtime.annotator import Unit as Sentence
from textome.runtime.bundle import ENTITIES
from textome.runtime.tasks import TaskRunner
from textome.tasks.entities import with_entities
from textome.tasks.examples import Example, Floats
from textome.tasks.iob import LABELS
from textome.tasks.labels import Classified
from textome.tasks.windows import windows


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says of a text: its entities, in `document`, and for each task the text's labels."""

    document: Document
    labels: Mapping[str, Classified]


class Reader:
    """Asks every head of a bundle that reads single texts, the entities among them, in one pass of the encoder.

    Those are its classification tasks without pairs and markers; the other tasks read inputs of their own. A text is read
    whole, or in windows where it is longer than the model, and not cut into sentences.
    """

    def __init__(self, runner: TaskRunner) -> None:
        self.runner = runner
        self.tasks = tuple(name for name, task in runner.bundle.tasks.items() if task.shares_pass)
        if not self.tasks or not runner.bundle.has_entities:
            raise ModelError(f"{runner.bundle.directory}: the model does not both find entities and label single texts")
        self._annotator = Annotator(runner.bundle, runner.session.entities(ENTITIES), sentences=False)

    @classmethod
    def load(cls, model: str | Path, **options: Any) -> Self:
        """Load a bundle; `options` are those of `TaskRunner.load`. Raises ModelError where it lacks one of the two."""
        return cls(TaskRunner.load(model, **options))

    def read(self, texts: Iterable[str]) -> list[Reading]:
        """One reading for each text, in order. Raises InputError for a text without any word."""
        documents = [Document.from_text(text, id=str(number)) for number, text in enumerate(texts, 1)]
        items = [LabelledText(document.id, document.text, None) for document in documents]
        tasks = {name: self.runner.task(name) for name in self.tasks}
        units = self.runner.examples(self.tasks[0], items)
        scores = self._scores(units)
        labels = {
            name: task.decode(items, units, [found[name][None] for found in scores]) for name, task in tasks.items()
        }
        size, overlap = self.runner.bundle.window - 2, self.runner.bundle.overlap
        rows = iter(scores)
        readings = []
        for number, document in enumerate(documents):
            (tokens,) = self.runner.tokenizer.encode([document.text])
            sentence = Sentence(number, 0, tokens, tuple(windows(tokens, size, overlap)))
            logits = [next(rows)[ENTITIES] for _ in sentence.windows]
            entities = list(self._annotator.entities(document, sentence, logits))
            readings.append(
                Reading(with_entities(document, entities), {name: found[number] for name, found in labels.items()})
            )
        return readings

    def _scores(self, units: list[Example]) -> list[dict[str, Floats]]:
        """For each unit the scores of each head: (num_labels,) of a task, (n, types, 3) of the entities."""
        results: list[dict[str, Floats]] = [{}] * len(units)
        for batch in batches(np.array([len(unit.input_ids) for unit in units], np.int64), self.runner.token_budget):
            lengths = np.array([len(units[index].input_ids) for index in batch])
            ids = np.zeros((len(batch), int(lengths.max())), np.int64)
            for row, index in enumerate(batch):
                ids[row, : lengths[row]] = units[index].input_ids
            found = self.runner.session.together((*self.tasks, ENTITIES), ids, np.zeros_like(ids), lengths)
            for row, index in enumerate(batch):
                results[index] = {name: found[name][row] for name in self.tasks}
                spans = found[ENTITIES][row, : lengths[row]]
                results[index][ENTITIES] = spans.reshape(len(spans), -1, len(LABELS))
        return results

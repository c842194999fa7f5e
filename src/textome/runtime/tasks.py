"""Bundles with tasks other than entities: loaded once, asked with records, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats.labelled import LabelledSentences, LabelledText
from textome.formats.sources import Quarantine
from textome.runtime.annotator import batches
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.session import TaskSession
from textome.tasks import Task
from textome.tasks.examples import Example, Floats, Integers
from textome.tasks.labels import Classified
from textome.text.tokenization import Tokenizer

# Records that are read before they are sorted by length and answered.
POOL = 256


class TaskRunner:
    """A loaded bundle whose tasks can be asked by name.

    token_budget   tokens, padding included, of one batch
    """

    def __init__(self, bundle: Bundle, session: TaskSession, token_budget: int = 2048) -> None:
        self.bundle, self.token_budget = bundle, token_budget
        self.session = session
        self.tokenizer = Tokenizer.load(bundle.directory)

    @classmethod
    def load(
        cls, model: str | Path, *, precision: str | None = None, threads: int | None = None, **options: Any
    ) -> Self:
        """Load a bundle by directory or hub name. Raises ModelError where it has only entities."""
        bundle = Bundle.load(resolve_model(model))
        return cls(bundle, TaskSession(bundle.onnx_path(precision), bundle.heads, threads), **options)

    def task(self, name: str) -> Task[Any, Any]:
        """The task of this name."""
        return self.bundle.tasks[name]

    def examples(self, name: str, records: Sequence[Any], tokenizer: Tokenizer | None = None) -> list[Example]:
        """The model's inputs for records of the task `name`, by its own tokenizer or another one.

        Raises InputError for a record that it cannot read.
        """
        tokenizer = tokenizer or self.tokenizer
        return self.task(name).examples(records, tokenizer, self.bundle.window, self.bundle.overlap)

    def predictions(self, name: str, records: Sequence[Any]) -> list[Any]:
        """What the task `name` says of each record. Raises InputError for a record that it cannot read."""
        examples = self.examples(name, records)
        return self.task(name).decode(records, examples, self.scores(name, examples))

    def stream(self, name: str, items: Iterable[Any], quarantine: Quarantine, place: str) -> Iterator[tuple[Any, Any]]:
        """Each record with what the task `name` says of it, in order; records that it cannot read are quarantined.

        place   where the records are from, for the quarantine
        """
        waiting = iter(items)
        while pool := list(islice(waiting, POOL)):
            try:
                found = self.predictions(name, pool)
            except InputError:  # one of them is bad, which is told before anything is computed
                pool = [item for item in pool if self._readable(name, item, quarantine, place)]
                found = self.predictions(name, pool)
            yield from zip(pool, found, strict=True)

    def scores(self, name: str, examples: Sequence[Example]) -> list[Floats]:
        """The scores (m, num_labels) of each example at its positions, run in batches of nearly equal length."""
        results: list[Floats] = [np.empty(0, np.float32)] * len(examples)
        joined = self.task(name).head.num_pooled_positions
        for batch in batches(np.array([len(example.input_ids) for example in examples], np.int64), self.token_budget):
            chosen = [examples[index] for index in batch]
            lengths = np.array([len(example.input_ids) for example in chosen])
            ids, types = (np.zeros((len(chosen), int(lengths.max())), np.int64) for _ in range(2))
            for row, example in enumerate(chosen):
                ids[row, : lengths[row]] = example.input_ids
                if example.token_type_ids is not None:
                    types[row, : lengths[row]] = example.token_type_ids
            positions = _padded([example.positions for example in chosen]) if joined > 1 else None
            scores = self.session.scores(name, ids, types, lengths, positions)
            for row, index in enumerate(batch):
                if joined > 1:
                    results[index] = scores[row][: len(chosen[row].positions)]
                else:
                    results[index] = scores[row][None] if joined else scores[row][chosen[row].positions]
        return results

    def _readable(self, name: str, record: Any, quarantine: Quarantine, place: str) -> bool:
        try:
            self.examples(name, [record])
        except InputError as error:
            where = f"record {record.id}"
            quarantine.add(place, where, str(error).removeprefix(f"{where}: "))
            return False
        return True


def _padded(positions: Sequence[Integers]) -> NDArray[np.int64]:
    """Positions (m, num_pooled_positions) of several examples as (B, M, num_pooled_positions); what is put in is [CLS], and
    nobody reads its scores."""
    found = np.zeros((len(positions), max(map(len, positions)), positions[0].shape[1]), np.int64)
    for row, own in enumerate(positions):
        found[row, : len(own)] = own
    return found


class Classifier:
    """A model that gives labels to texts, pairs of texts, or the sentences of abstracts.

    name   of the task where the bundle has several
    """

    def __init__(self, runner: TaskRunner, name: str | None = None, kind: str = "classification") -> None:
        self.runner, self.name = runner, runner.bundle.task_of(kind, name)

    @classmethod
    def load(cls, model: str | Path, name: str | None = None, *, kind: str = "classification", **options: Any) -> Self:
        """Load a bundle.

        kind      of the task: "classification" or "sentence_classification"
        options   those of `TaskRunner.load`
        """
        return cls(TaskRunner.load(model, **options), name, kind)

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

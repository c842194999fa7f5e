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
from textome.runtime.bundle import AnswersTask, Bundle, ClassificationTask, SentencesTask, resolve_model
from textome.runtime.session import TaskSession
from textome.tasks.classification import Classification, Classified, SentenceClassification
from textome.tasks.inputs import Floats, Integers, Unit
from textome.tasks.question_answering import Answers
from textome.tasks.relation import Relations
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

    def task(self, name: str) -> Any:
        """The task of this name, as tasks.classification and its neighbours define it."""
        return make_task(self.bundle, name, self.tokenizer)

    def predictions(self, name: str, items: Sequence[Any]) -> list[Any]:
        """What the task `name` says of each record. Raises InputError for a record that it cannot read."""
        task = self.task(name)
        units = task.units(items)
        found: list[Any] = task.predictions(items, units, self.scores(name, units))
        return found

    def stream(self, name: str, items: Iterable[Any], quarantine: Quarantine, place: str) -> Iterator[tuple[Any, Any]]:
        """Each record with what the task `name` says of it, in order; records that it cannot read are quarantined.

        place   where the records are from, for the quarantine
        """
        task, waiting = self.task(name), iter(items)
        while pool := list(islice(waiting, POOL)):
            try:
                found = self.predictions(name, pool)
            except InputError:  # one of them is bad, which is told before anything is computed
                pool = [item for item in pool if _readable(task, item, quarantine, place)]
                found = self.predictions(name, pool)
            yield from zip(pool, found, strict=True)

    def scores(self, name: str, units: Sequence[Unit]) -> list[Floats]:
        """The scores (m, num_labels) of each unit at its places, run in batches of nearly equal length."""
        results: list[Floats] = [np.empty(0, np.float32)] * len(units)
        states = self.bundle.parts[name].size[1]
        for batch in batches(np.array([len(unit.input_ids) for unit in units], np.int64), self.token_budget):
            chosen = [units[index] for index in batch]
            lengths = np.array([len(unit.input_ids) for unit in chosen])
            ids, types = (np.zeros((len(chosen), int(lengths.max())), np.int64) for _ in range(2))
            for row, unit in enumerate(chosen):
                ids[row, : lengths[row]] = unit.input_ids
                types[row, : lengths[row]] = unit.token_type_ids
            places = _padded([unit.places for unit in chosen]) if states > 1 else None
            scores = self.session.scores(name, ids, types, lengths, places)
            for row, index in enumerate(batch):
                if states > 1:
                    results[index] = scores[row][: len(chosen[row].places)]
                else:
                    results[index] = scores[row][None] if states else scores[row][chosen[row].places]
        return results


def _padded(places: Sequence[Integers]) -> NDArray[np.int64]:
    """Places (m, states) of several units as (B, M, states); what is put in is [CLS], and nobody reads its scores."""
    found = np.zeros((len(places), max(map(len, places)), places[0].shape[1]), np.int64)
    for row, own in enumerate(places):
        found[row, : len(own)] = own
    return found


def _readable(task: Any, item: Any, quarantine: Quarantine, place: str) -> bool:
    try:
        task.units([item])
    except InputError as error:
        where = f"record {item.id}"
        quarantine.add(place, where, str(error).removeprefix(f"{where}: "))
        return False
    return True


class Classifier:
    """A model that gives labels to texts, pairs of texts, or the sentences of abstracts.

    name   of the task where the bundle has several
    """

    def __init__(self, runner: TaskRunner, name: str | None = None, kind: str = "classification") -> None:
        self.runner, self.name = runner, runner.bundle.part(kind, name)

    @classmethod
    def load(cls, model: str | Path, name: str | None = None, *, kind: str = "classification", **options: Any) -> Self:
        """Load a bundle; `kind` is "classification" or "sentences", `options` are those of `TaskRunner.load`."""
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


def make_task(
    bundle: Bundle, name: str, tokenizer: Tokenizer
) -> Classification | SentenceClassification | Relations | Answers:
    """A bundle's task, ready to make units of records and predictions of scores."""
    part = bundle.parts[name]
    labels = tuple(part.labels)
    if isinstance(part, SentencesTask):
        return SentenceClassification(labels, tokenizer, bundle.window, part.temperature)
    window, overlap = bundle.window, bundle.overlap
    if isinstance(part, AnswersTask):
        return Answers(tokenizer, window, overlap, part.longest, part.threshold, part.temperature)
    if isinstance(part, ClassificationTask):
        return Classification(
            labels,
            tokenizer,
            window,
            overlap,
            part.multi_label,
            part.threshold,
            part.temperature,
            tuple(part.markers),
        )
    return Relations(
        labels,
        tokenizer,
        window,
        overlap,
        tuple(part.pairs),
        part.scope,
        part.directed,
        part.split,
        part.none,
        part.multi_label,
        part.threshold,
        part.temperature,
        part.one_pass,
    )

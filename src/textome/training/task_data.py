"""From a recipe's tasks to training units and validation records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.evaluation.task_scores import record_labels, texts_of
from textome.formats.labelled import read_labelled
from textome.formats.sources import Quarantine
from textome.tasks.classification import Classification, SentenceClassification
from textome.tasks.inputs import Unit
from textome.text.tokenization import Tokenizer
from textome.training.data import SHORTEST_LEAK, file_hash
from textome.training.task_recipe import ClassificationPart, Part, SentencesPart, TaskRecipe

Task = Classification | SentenceClassification


@dataclass
class PartData:
    """A task with what it trains on: its units and their targets, one array each, and the records to validate on."""

    part: Part
    task: Task
    units: list[Unit]
    targets: list[NDArray[Any]]
    validation: list[Any]
    records: int
    leaks: int = 0
    quarantined: int = 0
    problems: list[str] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)


def load_part(recipe: TaskRecipe, part: Part, tokenizer: Tokenizer) -> PartData:
    """Read one task's data. Raises InputError for a missing file, an empty split, and a label without any record."""
    quarantine = Quarantine()
    train = _read(recipe, part, part.train, quarantine)
    validation = _read(recipe, part, part.validation, quarantine)
    leaks = 0
    if recipe.data.drop_leaks and part.test:
        forbidden = {print_ for item in _read(recipe, part, part.test, Quarantine()) for print_ in _fingerprints(item)}
        kept = [item for item in train if forbidden.isdisjoint(_fingerprints(item))]
        leaks, train = len(train) - len(kept), kept
    if not train:
        problem = f"; the first problem: {quarantine.records[0]}" if quarantine.records else ""
        raise InputError(f"task {part.name!r}: no training record was read from {', '.join(part.train)}{problem}")
    task = make_task(recipe, part, tokenizer, train)
    if part.shots:
        train = few(train, part.shots, recipe.training.seed)
    good = _readable(task, train, quarantine, part.name)
    units = task.units(good)
    hashes = {}
    for place in (*part.train, *part.validation):
        path = place.partition("#")[0].partition("!")[0]
        hashes[place] = file_hash(recipe.path(path))
    return PartData(
        part,
        task,
        units,
        [task.targets(unit, good[unit.item]) for unit in units],
        _readable(task, validation, quarantine, part.name),
        len(good),
        leaks,
        quarantine.count,
        [str(record) for record in quarantine.records[:20]],
        hashes,
    )


def make_task(recipe: TaskRecipe, part: Part, tokenizer: Tokenizer, train: Sequence[Any]) -> Task:
    """The task that a part describes. Raises InputError for a label that no training record has."""
    counts = Counter(label for item in train for label in record_labels(item) if label)
    labels = tuple(part.labels or sorted(counts))
    if missing := [name for name in labels if not counts[name]]:
        raise InputError(f"task {part.name!r}: no training record has the label {missing[0]!r}; leave it out of labels")
    if len(labels) < 2 and not getattr(part, "multi_label", False):
        raise InputError(
            f"task {part.name!r}: all training records have the label {labels[0]!r}; there is nothing to learn"
        )
    if isinstance(part, ClassificationPart):
        return Classification(labels, tokenizer, recipe.model.window, recipe.model.overlap, part.multi_label)
    return SentenceClassification(labels, tokenizer, recipe.model.window)


def few(items: Sequence[Any], shots: int, seed: int) -> list[Any]:
    """`shots` records of each class (of each set of labels), drawn by the seed; fewer where a class has fewer."""
    order = np.random.default_rng(seed).permutation(len(items))
    taken: Counter[str] = Counter()
    chosen = []
    for index in order.tolist():
        labels = set(record_labels(items[index])) or {""}
        if any(taken[label] < shots for label in labels):
            taken.update(labels)
            chosen.append(index)
    return [items[index] for index in sorted(chosen)]


def _read(recipe: TaskRecipe, part: Part, places: Sequence[str], quarantine: Quarantine) -> list[Any]:
    assert isinstance(part, ClassificationPart | SentencesPart)
    items: list[Any] = []
    for number, place in enumerate(places):
        found = read_labelled(recipe.path(place), part.layout, quarantine)
        # Ids need only be unique in their file, so those of further files are told apart by its name.
        items += [replace(item, id=f"{place}/{item.id}") if number else item for item in found]
    return items


def _readable(task: Task, items: Sequence[Any], quarantine: Quarantine, name: str) -> list[Any]:
    """The records that the task can read; the others are quarantined, since one bad record must not end a run."""
    good = []
    for item in items:
        try:
            for unit in task.units([item]):
                task.targets(unit, item)
            good.append(item)
        except InputError as error:
            quarantine.add(f"task {name}", "", error)
    return good


def _fingerprints(item: Any) -> set[str]:
    """A record's texts without case and white space; short ones stand in many places by chance and prove nothing."""
    found = {"".join(text.split()).casefold() for text in texts_of(item)}
    return {text for text in found if len(text) >= SHORTEST_LEAK}

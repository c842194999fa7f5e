"""From a recipe's tasks to training examples and validation records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats.sources import Quarantine
from textome.tasks import Task
from textome.tasks.entities import Entities
from textome.tasks.examples import Example
from textome.text.tokenization import Tokenizer
from textome.training.data import SHORTEST_LEAK, file_hash, load_corpora
from textome.training.recipe import Model
from textome.training.task_recipe import TaskRecipe, TaskTable


@dataclass
class TaskData:
    """A task with what it trains on: its examples and their targets, one array each, and the records to validate on.

    task     with what it has learnt from the training records
    owners   the number of the record that each example is from; a document with all its relations is one
    """

    table: TaskTable
    task: Task[Any, Any]
    examples: list[Example]
    targets: list[NDArray[Any]]
    validation: list[Any]
    num_records: int
    leaks: int = 0
    quarantined: int = 0
    problems: list[str] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    owners: list[int] = field(default_factory=list)


def load_task(recipe: TaskRecipe, table: TaskTable, tokenizer: Tokenizer) -> TaskData:
    """Read one task's data. Raises InputError for a missing file, an empty split, and a label without any record."""
    if isinstance(table.task, Entities):
        return _load_entities(recipe, table, tokenizer)
    quarantine = Quarantine()
    task: Task[Any, Any] = table.task
    train, validation = (
        _read(recipe, table, table.train, quarantine),
        _read(recipe, table, table.validation, quarantine),
    )
    train += _further(recipe, table, quarantine)
    leaks = 0
    if recipe.data.drop_leaks and table.test:
        test = _read(recipe, table, table.test, Quarantine())
        forbidden = {print_ for record in test for print_ in _fingerprints(task, record)}
        kept = [record for record in train if forbidden.isdisjoint(_fingerprints(task, record))]
        leaks, train = len(train) - len(kept), kept
    train = task.prepared(train, recipe.training.seed)
    if not train:
        problem = f"; the first problem: {quarantine.records[0]}" if quarantine.records else ""
        raise InputError(f"task {table.name!r}: no training record was read from {', '.join(table.train)}{problem}")
    if table.validation and not validation:
        raise InputError(
            f"task {table.name!r}: no validation record was read from {', '.join(table.validation)}; leave validation out "
            f"to train without"
        )
    task = task.fitted(table.name, train)
    if table.shots:
        train = few(task, train, table.shots, recipe.training.seed)
    good = _readable(task, train, tokenizer, recipe.model, quarantine, table.name)
    examples = task.examples(good, tokenizer, recipe.model.window, recipe.model.overlap)
    hashes = {}
    for path in (*table.train, *table.validation, *(path for paths in table.more.values() for path in paths)):
        hashes[path] = file_hash(recipe.path(path.partition("#")[0].partition("!")[0]))
    return TaskData(
        table,
        task,
        examples,
        [task.targets_of(example, good) for example in examples],
        _readable(task, validation, tokenizer, recipe.model, quarantine, table.name),
        len(good),
        leaks,
        quarantine.count,
        [str(record) for record in quarantine.records[:20]],
        hashes,
        _owners(task, good, examples),
    )


def _owners(task: Task[Any, Any], records: Sequence[Any], examples: Sequence[Example]) -> list[int]:
    """The number of the group of records that each example is from."""
    numbers: dict[object, int] = {}
    groups = [task.group_of(record, number) for number, record in enumerate(records)]
    return [numbers.setdefault(groups[example.record], len(numbers)) for example in examples]


def _load_entities(recipe: TaskRecipe, table: TaskTable, tokenizer: Tokenizer) -> TaskData:
    """The sentences of all corpora; a word whose type its corpus does not annotate teaches that head nothing."""
    corpora = load_corpora(recipe.for_entities(table))
    train, validation = (
        [sentence for corpus in corpora for sentence in getattr(corpus, split)] for split in ("train", "validation")
    )
    examples = table.task.examples(train, tokenizer, recipe.model.window, recipe.model.overlap)
    return TaskData(
        table,
        table.task,
        examples,
        [table.task.targets_of(example, train) for example in examples],
        validation,
        sum(len(corpus.train) for corpus in corpora),
        sum(corpus.leaks for corpus in corpora),
        sum(corpus.quarantined for corpus in corpora),
        hashes={path: value for corpus in corpora for path, value in corpus.hashes.items()},
    )


def few(task: Task[Any, Any], records: Sequence[Any], shots: int, seed: int) -> list[Any]:
    """`shots` records of each class (of each set of labels), drawn by the seed; fewer where a class has fewer."""
    order = np.random.default_rng(seed).permutation(len(records))
    counts: Counter[str] = Counter()
    chosen = []
    for index in order.tolist():
        labels = set(task.labels_of(records[index])) or {""}
        if any(counts[label] < shots for label in labels):
            counts.update(labels)
            chosen.append(index)
    return [records[index] for index in sorted(chosen)]


def _read(recipe: TaskRecipe, table: TaskTable, paths: Sequence[str], quarantine: Quarantine) -> list[Any]:
    records: list[Any] = []
    for number, path in enumerate(paths):
        found = table.task.read(recipe.path(path), table.layout, quarantine)
        # Ids need only be unique in their file, so those of further files are told apart by its name.
        records += [_renamed(record, path) if number else record for record in found]
    return records


def _further(recipe: TaskRecipe, table: TaskTable, quarantine: Quarantine) -> list[Any]:
    """The training texts of other layouts, their ids told apart by layout and file."""
    return [
        _renamed(record, f"{layout}/{path}")
        for layout, paths in table.more.items()
        for path in paths
        for record in table.task.read(recipe.path(path), layout, quarantine)
    ]


def _renamed(record: Any, prefix: str) -> Any:
    return replace(record, id=f"{prefix}/{record.id}")


def _readable(
    task: Task[Any, Any],
    records: Sequence[Any],
    tokenizer: Tokenizer,
    model: Model,
    quarantine: Quarantine,
    name: str,
) -> list[Any]:
    """The records that the task can read; the others are quarantined, since one bad record must not end a run."""

    def check(some: Sequence[Any]) -> None:
        for example in task.examples(some, tokenizer, model.window, model.overlap):
            task.targets_of(example, some)

    try:
        check(records)
    except InputError:  # some of them cannot, so each is tried
        good = []
        for record in records:
            try:
                check([record])
                good.append(record)
            except InputError as error:
                quarantine.add(f"task {name}", "", error)
        return good
    return list(records)


def _fingerprints(task: Task[Any, Any], record: Any) -> set[str]:
    """A record's texts without case and white space; short ones stand in many texts by chance and prove nothing."""
    found = {"".join(text.split()).casefold() for text in task.texts_of(record)}
    return {text for text in found if len(text) >= SHORTEST_LEAK}

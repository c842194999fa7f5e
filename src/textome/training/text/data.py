"""From a recipe's tasks to training examples and validation records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats.reading.folders import hash_of
from textome.formats.reading.sources import Quarantine
from textome.tasks import SomeRecord, SomeTask
from textome.tasks.examples import Example
from textome.tasks.spans.mentions import Sentence
from textome.text.tokenization import Tokenizer
from textome.training.models import Model
from textome.training.recipe import Recipe
from textome.training.run import Report
from textome.training.task_table import TaskTable
from textome.training.techniques.soft_targets import soft_targets, softened, unlabelled_records
from textome.training.text.corpora import SHORTEST_LEAK, fingerprint, load_corpora


@dataclass
class TaskData:
    """A task with what it trains on.

    task         with what it has learnt from the training records
    validation   records by the name of their corpus
    num_labelled   of the training records, which come before those that a teacher alone speaks for
    examples, targets   of the training records, one array each
    owners       the number of the group of records that each example is from, see `Task.group_of`
    report       what was read of each corpus, for data.json
    """

    table: TaskTable
    task: SomeTask
    validation: dict[str, list[SomeRecord]]
    num_records: int
    num_labelled: int
    quarantine: Quarantine
    leaks: int
    hashes: dict[str, str]
    examples: list[Example] = field(default_factory=list)
    targets: list[NDArray[Any]] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)


# A task's data without its examples, the training records, and the group of each.
Loaded = tuple[TaskData, list[SomeRecord], list[Any]]


def load_task(
    recipe: Recipe,
    table: TaskTable,
    tokenizer: Tokenizer,
    folder: Path = Path(),
    report: Report = lambda event: None,
) -> TaskData:
    """Read one task's data.

    folder   of the run, which keeps what a teacher says once
    report   is called with how far a teacher has read

    Raises InputError for a missing file, an empty split, and data without a label.
    """
    data, records, groups = (_load_corpora if table.corpora else _load_files)(recipe, table, tokenizer)
    task = data.task
    examples = task.examples(records, tokenizer, recipe.model.window, recipe.model.overlap)
    labelled = (example.record < data.num_labelled for example in examples)
    targets = [
        task.targets_of(item, records) if known else None for item, known in zip(examples, labelled, strict=True)
    ]
    data.targets = [target for target in targets if target is not None]
    if recipe.distillation is not None and recipe.distillation.once:
        soft = soft_targets(recipe.distillation, table.name, task, records, folder, report)
        data.targets = softened(task, targets, examples, soft, recipe.distillation.scores)
    numbers: dict[object, int] = {}
    data.owners = [numbers.setdefault(groups[example.record], len(numbers)) for example in examples]
    # The way back to the text is not needed any more, and would keep it in memory.
    data.examples = [replace(example, tokens=None) for example in examples]
    return data


def _load_files(recipe: Recipe, table: TaskTable, tokenizer: Tokenizer) -> Loaded:
    quarantine = Quarantine()
    task: SomeTask = table.task
    train, validation = (
        _read(recipe, table, table.train, quarantine),
        _read(recipe, table, table.validation, quarantine),
    )
    train += _further(recipe, table, quarantine)
    once = recipe.distillation is not None and recipe.distillation.once
    silent = unlabelled_records(recipe, task, quarantine) if once else []
    leaks = 0
    if recipe.data.drop_leaks and table.test:
        test = _read(recipe, table, table.test, quarantine)
        forbidden = {print_ for record in test for print_ in _fingerprints(task, record)}
        before = len(train) + len(silent)
        train, silent = (
            [record for record in records if forbidden.isdisjoint(_fingerprints(task, record))]
            for records in (train, silent)
        )
        leaks = before - len(train) - len(silent)
    train = task.prepared(train, recipe.training.seed)
    if not train:
        raise InputError(
            f"task {table.name!r}: no training record was read from {', '.join(table.train)}{quarantine.first}"
        )
    if table.validation and not validation:
        raise InputError(
            f"task {table.name!r}: no validation record was read from {', '.join(table.validation)}; leave validation out "
            f"to train without"
        )
    _check_labelled(table, train, quarantine)
    try:
        task = task.fitted(table.name, train)
    except InputError as error:
        raise InputError(f"{error}{quarantine.first}") from error
    if table.shots:
        train = few(task, train, table.shots, recipe.training.seed)
    train, validation, silent = (
        _readable(task, it, tokenizer, recipe.model, quarantine, table.name, it is not silent)
        for it in (train, validation, silent)
    )
    hashes = {}
    texts = recipe.distillation.texts if recipe.distillation is not None else []
    for path in (*table.train, *table.validation, *(path for paths in table.more.values() for path in paths), *texts):
        hashes[path] = hash_of(Path(recipe.path(path.partition("#")[0].partition("!")[0])))
    every = [*train, *silent]
    groups = [task.group_of(record, number) for number, record in enumerate(every)]
    validations = {table.name: validation} if validation else {}
    return TaskData(table, task, validations, len(every), len(train), quarantine, leaks, hashes), every, groups


def _load_corpora(recipe: Recipe, table: TaskTable, tokenizer: Tokenizer) -> Loaded:
    """The sentences of all corpora; a word whose type its corpus does not annotate teaches that head nothing."""
    if recipe.distillation is not None and recipe.distillation.texts:
        raise InputError(
            "distillation.texts is for tasks without corpora: make a corpus of these files, with types = {}"
        )
    task: SomeTask = table.task
    corpora = load_corpora(recipe, table)
    train = [sentence for corpus in corpora for sentence in _records(corpus.train)]
    quarantine = Quarantine()
    for corpus in corpora:
        quarantine.merge(corpus.quarantine)
    if recipe.distillation is None:
        _check_labelled(table, train, quarantine)
    groups = [(corpus.name, task.group_of(sentence, 0)) for corpus in corpora for sentence in _records(corpus.train)]
    validation = {corpus.name: _records(corpus.validation) for corpus in corpora if corpus.validation}
    hashes = {path: value for corpus in corpora for path, value in corpus.hashes.items()}
    leaks = sum(corpus.leaks for corpus in corpora)
    data = TaskData(table, task, validation, len(train), len(train), quarantine, leaks, hashes)
    data.report = {
        corpus.name: {
            "train_sentences": len(corpus.train),
            "validation_sentences": len(corpus.validation),
            "left_out_as_leaks": corpus.leaks,
            "quarantined": corpus.quarantine.count,
            "sha256": corpus.hashes,
        }
        for corpus in corpora
    }
    return data, train, groups


def _records(sentences: list[Sentence]) -> list[SomeRecord]:
    """The sentences of a corpus as records of the task that learns from corpora."""
    return cast("list[SomeRecord]", sentences)


def _check_labelled(table: TaskTable, records: Sequence[SomeRecord], quarantine: Quarantine) -> None:
    """Raises InputError where no training record has a label, with what could not be read."""
    try:
        table.task.check_labelled(table.name, records)
    except InputError as error:
        raise InputError(f"{error}{quarantine.first}") from error


def few(task: SomeTask, records: Sequence[SomeRecord], shots: int, seed: int) -> list[SomeRecord]:
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


def _read(recipe: Recipe, table: TaskTable, paths: Sequence[str], quarantine: Quarantine) -> list[SomeRecord]:
    records: list[SomeRecord] = []
    for number, path in enumerate(paths):
        records_of_file = table.task.read(recipe.path(path), table.layout, quarantine)
        # Ids need only be unique in their file, so those of further files are told apart by its name.
        records += [_renamed(record, path) if number else record for record in records_of_file]
    return records


def _further(recipe: Recipe, table: TaskTable, quarantine: Quarantine) -> list[SomeRecord]:
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
    task: SomeTask,
    records: Sequence[SomeRecord],
    tokenizer: Tokenizer,
    model: Model,
    quarantine: Quarantine,
    name: str,
    labelled: bool,
) -> list[SomeRecord]:
    """The records that the task can read, and learn from where they are labelled; the others are quarantined, since one bad
    record must not end a run."""

    def check(some: Sequence[SomeRecord]) -> None:
        for example in task.examples(some, tokenizer, model.window, model.overlap):
            if labelled:
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


def _fingerprints(task: SomeTask, record: SomeRecord) -> set[str]:
    """A record's texts without case and white space; short ones stand in many texts by chance and prove nothing."""
    return {text for text in map(fingerprint, task.texts_of(record)) if len(text) >= SHORTEST_LEAK}

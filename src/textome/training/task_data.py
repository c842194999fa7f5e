"""From a recipe's tasks to training units and validation records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.evaluation.task_scores import record_labels, texts_of
from textome.formats import read_documents
from textome.formats.labelled import read_labelled
from textome.formats.questions import read_questions
from textome.formats.sources import Quarantine
from textome.tasks.classification import Classification, SentenceClassification
from textome.tasks.inputs import Unit
from textome.tasks.question_answering import Answers
from textome.tasks.recognition import Recognition
from textome.tasks.relation import Candidate, Relations
from textome.text.tokenization import Tokenizer
from textome.training.data import SHORTEST_LEAK, encode, file_hash, load_corpora
from textome.training.task_recipe import (
    AnswersPart,
    ClassificationPart,
    EntitiesPart,
    Part,
    RelationsPart,
    SentencesPart,
    TaskRecipe,
)

RecordsPart = ClassificationPart | SentencesPart | RelationsPart | AnswersPart
Task = Classification | SentenceClassification | Relations | Answers | Recognition


@dataclass
class PartData:
    """A task with what it trains on: its units and their targets, one array each, and the records to validate on.

    owners   the number of the record that each unit is from; a document with all its relations is one
    """

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
    owners: list[int] = field(default_factory=list)


def load_part(recipe: TaskRecipe, part: Part, tokenizer: Tokenizer) -> PartData:
    """Read one task's data. Raises InputError for a missing file, an empty split, and a label without any record."""
    if isinstance(part, EntitiesPart):
        return _load_entities(recipe, part, tokenizer)
    quarantine = Quarantine()
    read = partial(_read, recipe, part, tokenizer)
    train, validation = read(part.train, quarantine), read(part.validation, quarantine)
    train += _further(recipe, part, quarantine)
    leaks = 0
    if recipe.data.drop_leaks and part.test:
        forbidden = {print_ for item in read(part.test, Quarantine()) for print_ in _fingerprints(item)}
        kept = [item for item in train if forbidden.isdisjoint(_fingerprints(item))]
        leaks, train = len(train) - len(kept), kept
    if isinstance(part, RelationsPart):
        train = _fewer_negatives([item for item in train if item.head], part, recipe.training.seed)
    if not train:
        problem = f"; the first problem: {quarantine.records[0]}" if quarantine.records else ""
        raise InputError(f"task {part.name!r}: no training record was read from {', '.join(part.train)}{problem}")
    if part.validation and not validation:
        raise InputError(
            f"task {part.name!r}: no validation record was read from {', '.join(part.validation)}; leave validation out to "
            f"train without"
        )
    task = make_task(recipe, part, tokenizer, train)
    if part.shots:
        train = few(train, part.shots, recipe.training.seed)
    good = _readable(task, train, quarantine, part.name)
    units = task.units(good)
    hashes = {}
    further = [place for places in getattr(part, "more", {}).values() for place in places]
    for place in (*part.train, *part.validation, *further):
        path = place.partition("#")[0].partition("!")[0]
        hashes[place] = file_hash(recipe.path(path))
    return PartData(
        part,
        task,
        units,
        [_targets(task, unit, good) for unit in units],
        _readable(task, validation, quarantine, part.name),
        len(good),
        leaks,
        quarantine.count,
        [str(record) for record in quarantine.records[:20]],
        hashes,
        _owners(good, units),
    )


def _owners(items: Sequence[Any], units: Sequence[Unit]) -> list[int]:
    """The number of the record that each unit is from: an item, or a document whose relations are items."""
    numbers: dict[Any, int] = {}
    keys = [id(item.document) if isinstance(item, Candidate) else at for at, item in enumerate(items)]
    return [numbers.setdefault(keys[unit.item], len(numbers)) for unit in units]


def make_task(recipe: TaskRecipe, part: RecordsPart, tokenizer: Tokenizer, train: Sequence[Any]) -> Task:
    """The task that a part describes. Raises InputError for a label that no training record has."""
    if isinstance(part, AnswersPart):
        return Answers(tokenizer, recipe.model.window, recipe.model.overlap, part.longest)
    counts = Counter(label for item in train for label in record_labels(item) if label)
    labels = tuple(part.labels or sorted(counts))
    if isinstance(part, RelationsPart):
        labels = _relations(recipe, part, tokenizer).labels
    if missing := [name for name in labels if not counts[name]]:
        raise InputError(f"task {part.name!r}: no training record has the label {missing[0]!r}; leave it out of labels")
    if len(labels) < 2 and not getattr(part, "multi_label", False):
        raise InputError(
            f"task {part.name!r}: all training records have the label {labels[0]!r}; there is nothing to learn"
        )
    if isinstance(part, ClassificationPart):
        window, overlap = recipe.model.window, recipe.model.overlap
        return Classification(labels, tokenizer, window, overlap, part.multi_label, markers=part.markers)
    if isinstance(part, RelationsPart):
        return _relations(recipe, part, tokenizer)
    return SentenceClassification(labels, tokenizer, recipe.model.window)


def _load_entities(recipe: TaskRecipe, part: EntitiesPart, tokenizer: Tokenizer) -> PartData:
    """The sentences of all corpora; a word whose type its corpus does not annotate teaches that head nothing."""
    alone = recipe.for_entities(part)
    corpora = load_corpora(alone)
    train, validation = (
        [item for corpus in corpora for item in encode(getattr(corpus, split), tokenizer, alone, split == "train")]
        for split in ("train", "validation")
    )
    task = Recognition(tuple(part.types))
    units = task.units(train)
    return PartData(
        part,
        task,
        units,
        [_targets(task, unit, train) for unit in units],
        validation,
        sum(len(corpus.train) for corpus in corpora),
        sum(corpus.leaks for corpus in corpora),
        sum(corpus.quarantined for corpus in corpora),
        hashes={place: value for corpus in corpora for place, value in corpus.hashes.items()},
    )


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


def _relations(recipe: TaskRecipe, part: RelationsPart, tokenizer: Tokenizer) -> Relations:
    return Relations(
        part.labels if part.multi_label else (part.none, *part.labels),
        tokenizer,
        recipe.model.window,
        recipe.model.overlap,
        part.pairs,
        part.scope,
        part.directed,
        part.split,
        part.none,
        part.multi_label,
        one_pass=part.one_pass,
    )


def _fewer_negatives(items: list[Candidate], part: RelationsPart, seed: int) -> list[Candidate]:
    """All pairs with a relation, and so many of the others as the recipe wants."""
    if part.negative_ratio is None:
        return items
    negative = [index for index, item in enumerate(items) if set(item.labels) <= set(part.negative)]
    wanted = round(part.negative_ratio * (len(items) - len(negative)))
    kept = set(np.random.default_rng(seed).permutation(negative)[:wanted].tolist())
    return [item for index, item in enumerate(items) if index in kept or not set(item.labels) <= set(part.negative)]


def _read(
    recipe: TaskRecipe, part: RecordsPart, tokenizer: Tokenizer, places: Sequence[str], quarantine: Quarantine
) -> list[Any]:
    items: list[Any] = []
    for number, place in enumerate(places):
        if isinstance(part, RelationsPart):
            task = _relations(recipe, part, tokenizer)
            documents = read_documents(recipe.path(place), part.format, quarantine)
            items += [candidate for document in documents for candidate in task.candidates(document)]
            continue
        if isinstance(part, AnswersPart):
            items += read_questions(recipe.path(place), part.layout, quarantine)
            continue
        found = read_labelled(recipe.path(place), part.layout, quarantine)
        # Ids need only be unique in their file, so those of further files are told apart by its name.
        items += [replace(item, id=f"{place}/{item.id}") if number else item for item in found]
    return items


def _further(recipe: TaskRecipe, part: RecordsPart, quarantine: Quarantine) -> list[Any]:
    """The training texts of other layouts, their ids told apart by layout and file."""
    return [
        replace(item, id=f"{layout}/{place}/{item.id}")
        for layout, places in getattr(part, "more", {}).items()
        for place in places
        for item in read_labelled(recipe.path(place), layout, quarantine)
    ]


def _readable(task: Task, items: Sequence[Any], quarantine: Quarantine, name: str) -> list[Any]:
    """The records that the task can read; the others are quarantined, since one bad record must not end a run."""
    try:
        for unit in task.units(items):
            _targets(task, unit, items)
    except InputError:  # some of them cannot, and these are told one by one
        good = []
        for item in items:
            try:
                for unit in task.units([item]):
                    task.targets(unit, item)
                good.append(item)
            except InputError as error:
                quarantine.add(f"task {name}", "", error)
        return good
    return list(items)


def _targets(task: Task, unit: Unit, items: Sequence[Any]) -> NDArray[Any]:
    """What a unit's places should be scored as, a row each."""
    return np.concatenate([task.targets(unit, items[item]) for item in unit.rows or (unit.item,)])


def _fingerprints(item: Any) -> set[str]:
    """A record's texts without case and white space; short ones stand in many places by chance and prove nothing."""
    found = {"".join(text.split()).casefold() for text in texts_of(item)}
    return {text for text in found if len(text) >= SHORTEST_LEAK}

"""Targets by a teacher that reads each record once, before training, with a tokenizer of its own (Hinton et al. 2015: soft
targets)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats import read_documents
from textome.formats.reading.sources import Quarantine, atomic_file
from textome.runtime.bundle import Bundle
from textome.tasks import SomeRecord, SomeTask
from textome.tasks.examples import Example
from textome.training.bundles import base_directory
from textome.training.recipe import Distillation, Recipe
from textome.training.run import Report

if TYPE_CHECKING:
    from textome.runtime.model import Model

FOLDER = "soft-targets"
_RECORDS_AT_ONCE = 2000


def unlabelled_records(recipe: Recipe, task: SomeTask, quarantine: Quarantine) -> list[SomeRecord]:
    """All that the task asks about in the documents of `distillation.texts`. Bad ones are quarantined."""
    assert recipe.distillation is not None
    records: list[SomeRecord] = []
    for path in recipe.distillation.texts:
        for document in read_documents(recipe.path(path), None, quarantine):
            try:
                records += task.records(task.ready(document))
            except InputError as error:
                quarantine.add(path, document.id, error)
    return records


def soft_targets(
    settings: Distillation,
    name: str,
    task: SomeTask,
    records: Sequence[SomeRecord],
    folder: Path,
    report: Report = lambda event: None,
) -> list[NDArray[np.floating]]:
    """What the teachers say of records, the mean over teachers, see `Task.soft_targets`.

    folder   keeps what was computed in files of its own, so that a run that is resumed need not ask again
    report   is called with the number of records that were read, once in a while

    Raises InputError where a teacher lacks the task or one of its outputs, ModelError for no bundle.
    """
    names = [settings.teacher] if isinstance(settings.teacher, str) else settings.teacher
    teachers = [_Teacher(teacher, name, task) for teacher in names]
    soft: list[NDArray[np.floating]] = []
    for start in range(0, len(records), _RECORDS_AT_ONCE):
        some = records[start : start + _RECORDS_AT_ONCE]
        kept = [teacher.read(some, folder / FOLDER) for teacher in teachers]
        if len({tuple(map(len, rows)) for rows in kept}) > 1:
            raise InputError(f"distillation.teacher: {', '.join(names)} cut texts in different words")
        soft += [np.mean(rows, axis=0, dtype=np.float32) for rows in zip(*kept, strict=True)]
        report({"event": "teacher", "teacher": ", ".join(names), "records": len(soft), "of": len(records)})
    return soft


class _Teacher:
    """A finished bundle that says of records what a task may learn."""

    def __init__(self, teacher: str, name: str, task: SomeTask) -> None:
        """Raises InputError where it lacks the task or one of its outputs, ModelError for no bundle."""
        directory = base_directory(teacher, "distillation.teacher", needs_weights=False)
        own = Bundle.load(directory).tasks.get(name)
        if own is None or own.kind != task.kind:
            raise InputError(f"distillation.teacher {teacher}: it has no task {name!r} of the kind {task.kind}")
        if missing := [output for output in task.soft_names if output not in own.soft_names]:
            raise InputError(f"distillation.teacher {teacher}: it does not know {', '.join(missing)}")
        self._directory, self._name, self._task = directory, name, own
        self._columns = [own.soft_names.index(output) for output in task.soft_names]
        self._digest = sha256(",".join(task.soft_names).encode())
        for path in sorted(directory.iterdir()):
            if path.suffix in (".safetensors", ".onnx", ".json"):
                self._digest.update(path.read_bytes())
        self._model: Model | None = None

    def read(self, records: Sequence[SomeRecord], folder: Path) -> list[NDArray[np.floating]]:
        """Its `Task.soft_targets` of records, kept in a file of the folder."""
        digest = self._digest.copy()
        for record in records:
            digest.update("\n".join(self._task.texts_of(record)).encode() + b"\0")
        path = folder / f"{digest.hexdigest()[:32]}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as kept:
                return np.split(kept["rows"], np.cumsum(kept["lengths"])[:-1])
        if self._model is None:
            from textome.runtime.model import Model  # here, since most runs need no graph

            self._model = Model.load(self._directory)
        examples = self._model.examples(self._name, records)
        soft = self._task.soft_targets(records, examples, self._model.scores(self._name, examples))
        soft = [rows[:, self._columns].astype(np.float32) for rows in soft]
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as stream:
            np.savez(stream, rows=np.concatenate(soft), lengths=np.array([*map(len, soft)], np.int64))
        return soft


def softened(
    task: SomeTask,
    targets: Iterable[NDArray[Any] | None],
    examples: Sequence[Example],
    soft: Sequence[NDArray[np.floating]],
    share: float,
) -> list[NDArray[np.float32]]:
    """The targets of examples as probabilities, of which the teacher has a share; of examples without targets, and where a
    label is not known, the whole."""
    mixed = []
    for target, example in zip(targets, examples, strict=True):
        rows = task.soft_rows(example, soft)
        own = np.full(rows.shape, np.nan) if target is None else task.as_shares(target)
        both = (1 - share) * own + share * rows
        mixed.append(np.where(np.isnan(own), rows, np.where(np.isnan(rows), own, both)).astype(np.float32))
    return mixed

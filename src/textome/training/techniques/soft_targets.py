"""Targets by a teacher that reads each record once, before training, with a tokenizer of its own (Hinton et al. 2015: soft
targets)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

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

CACHE = "soft-targets.npz"
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

    folder   keeps what was computed, so that a run that is resumed need not ask again
    report   told how many records were read, once in a while

    Raises InputError where a teacher lacks the task or one of its outputs, ModelError for no bundle.
    """
    names = [settings.teacher] if isinstance(settings.teacher, str) else settings.teacher
    folders = [base_directory(teacher, "distillation.teacher", needs_weights=False) for teacher in names]
    fingerprint = _fingerprint(folders, task, records)
    cache = folder / f"{fingerprint[:16]}-{CACHE}"
    if cache.exists():
        with np.load(cache, allow_pickle=False) as kept:
            return np.split(kept["rows"], np.cumsum(kept["lengths"])[:-1])
    total: list[NDArray[np.floating]] = []
    for teacher, directory in zip(names, folders, strict=True):
        said = _said(teacher, directory, name, task, records, report)
        if total and [*map(len, said)] != [*map(len, total)]:
            raise InputError(f"distillation.teacher {teacher}: it cuts texts in other words than {names[0]}")
        total = [first + second for first, second in zip(total, said, strict=True)] if total else said
    rows = np.concatenate([*total, np.empty((0, len(task.soft_names)))]) / len(names)
    lengths = np.array([*map(len, total)], np.int64)
    with atomic_file(cache) as stream:
        np.savez(stream, rows=rows.astype(np.float32), lengths=lengths)
    return np.split(rows.astype(np.float32), np.cumsum(lengths)[:-1])


def softened(
    task: SomeTask,
    targets: Iterable[NDArray[Any]],
    examples: Sequence[Example],
    soft: Sequence[NDArray[np.floating]],
    labelled: int,
    share: float,
) -> list[NDArray[np.float32]]:
    """The targets of examples as probabilities, of which the teacher has a share; of records without labels, from number
    `labelled` on, and where a label is not known, the whole."""
    mixed = []
    for target, example in zip(targets, examples, strict=True):
        known = np.repeat(np.array(example.owners) < labelled, len(target) // len(example.owners))
        own, said = np.where(known[:, None], task.as_shares(target), np.nan), task.soft_rows(example, soft)
        both = (1 - share) * own + share * said
        mixed.append(np.where(np.isnan(own), said, np.where(np.isnan(said), own, both)).astype(np.float32))
    return mixed


def _said(
    teacher: str, directory: Path, name: str, task: SomeTask, records: Sequence[SomeRecord], report: Report
) -> list[NDArray[np.floating]]:
    from textome.runtime.model import Model  # here, since most runs need no graph

    bundle = Bundle.load(directory)
    own = bundle.tasks.get(name)
    if own is None or own.kind != task.kind:
        raise InputError(f"distillation.teacher {teacher}: it has no task {name!r} of the kind {task.kind}")
    if missing := [output for output in task.soft_names if output not in own.soft_names]:
        raise InputError(f"distillation.teacher {teacher}: it does not know {', '.join(missing)}")
    model, columns = Model.load(directory), [own.soft_names.index(output) for output in task.soft_names]
    said: list[NDArray[np.floating]] = []
    for start in range(0, len(records), _RECORDS_AT_ONCE):
        some = records[start : start + _RECORDS_AT_ONCE]
        examples = model.examples(name, some)
        rows = own.soft_targets(some, examples, model.scores(name, examples))
        said += [row[:, columns].astype(np.float32) for row in rows]
        report({"event": "teacher", "teacher": teacher, "records": len(said), "of": len(records)})
    return said


def _fingerprint(folders: Sequence[Path], task: SomeTask, records: Sequence[SomeRecord]) -> str:
    """Of the teachers' weights and the records that they read."""
    digest = sha256()
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix in (".safetensors", ".onnx", ".json"):
                digest.update(path.read_bytes())
    for record in records:
        digest.update("\n".join(task.texts_of(record)).encode())
    return digest.hexdigest()

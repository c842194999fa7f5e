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

CACHE = "soft-targets.npy"
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
    settings: Distillation, name: str, task: SomeTask, records: Sequence[SomeRecord], folder: Path
) -> NDArray[np.float32]:
    """(R, outputs) the probability of each output of R records, the mean over teachers; NaN where a teacher says nothing.

    folder   keeps what was computed, so that a run that is resumed need not ask again

    Raises InputError where a teacher lacks the task or one of its outputs, ModelError for no bundle.
    """
    names = [settings.teacher] if isinstance(settings.teacher, str) else settings.teacher
    folders = [base_directory(teacher, "distillation.teacher", needs_weights=False) for teacher in names]
    fingerprint = _fingerprint(folders, task, records)
    cache = folder / f"{fingerprint[:16]}-{CACHE}"
    if cache.exists():
        kept: NDArray[np.float32] = np.load(cache, allow_pickle=False)
        return kept
    total = np.zeros((len(records), len(task.output_names)), np.float64)
    for teacher, directory in zip(names, folders, strict=True):
        total += _probabilities(teacher, directory, name, task, records)
    mean = (total / len(names)).astype(np.float32)
    with atomic_file(cache) as stream:
        np.save(stream, mean, allow_pickle=False)
    return mean


def softened(
    targets: Iterable[NDArray[Any]],
    examples: Sequence[Example],
    probabilities: NDArray[np.float32],
    labelled: int,
    share: float,
) -> list[NDArray[np.float32]]:
    """The targets of examples, of which the teacher has a share; of records without labels, from number `labelled` on, and
    where a label is not known, the whole."""
    mixed = []
    for target, example in zip(targets, examples, strict=True):
        owners = np.array(example.owners)
        own = np.where((owners < labelled)[:, None], target, np.nan)
        soft = probabilities[owners]
        both = (1 - share) * own + share * soft
        mixed.append(np.where(np.isnan(own), soft, np.where(np.isnan(soft), own, both)).astype(np.float32))
    return mixed


def _probabilities(
    teacher: str, directory: Path, name: str, task: SomeTask, records: Sequence[SomeRecord]
) -> NDArray[np.float64]:
    from textome.runtime.model import Model  # here, since most runs need no graph

    bundle = Bundle.load(directory)
    own = bundle.tasks.get(name)
    if own is None or own.kind != task.kind:
        raise InputError(f"distillation.teacher {teacher}: it has no task {name!r} of the kind {task.kind}")
    if missing := [output for output in task.output_names if output not in own.output_names]:
        raise InputError(f"distillation.teacher {teacher}: it does not know {', '.join(missing)}")
    model, columns = Model.load(directory), [own.output_names.index(output) for output in task.output_names]
    rows = []
    for start in range(0, len(records), _RECORDS_AT_ONCE):
        some = records[start : start + _RECORDS_AT_ONCE]
        examples = model.examples(name, some)
        rows.append(own.soft_targets(some, examples, model.scores(name, examples))[:, columns])
    return np.concatenate(rows) if rows else np.empty((0, len(columns)))


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

"""The records of a recipe for a sequence model, and batches of them laid end to end."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from textome.encoders.layers.packing import Layout
from textome.encoders.sequence.model import PackedSegment, PackedSequences
from textome.errors import InputError
from textome.formats.reading.archives import SEPARATOR
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Floats, Modality, Record, Segment, Segments, Shape, part_of, unique_records
from textome.tasks import Task
from textome.training.models import SequenceEncoder
from textome.training.recipe import Mixing, Recipe


@dataclass(frozen=True, slots=True)
class ModalityRecords:
    """What a recipe's places hold; `modality` and `target` know what they learn from the training records.

    hashes       sha256 of each file that was read, by its place
    quarantine   the records that could not be read
    leaks        how many training records were left out because their content stands in the test data
    """

    modality: Modality
    target: Task[Record, Floats]
    train: list[Record]
    validation: list[Record]
    test: list[Record]
    hashes: dict[str, str]
    quarantine: Quarantine
    leaks: int


def load_records(recipe: Recipe[Any], modality: Modality) -> ModalityRecords:
    """Read the data of a recipe. Raises InputError where there is no training record with a target."""
    (table,), quarantine = recipe.tasks, Quarantine()
    target = cast("Task[Record, Floats]", table.task)  # as that of every task over something else than text
    known_records: dict[str, list[Record]] = {}

    def read(paths: Sequence[str]) -> list[Record]:
        records: list[Record] = []
        for address in paths:
            path, is_chosen = part_of(recipe.path(address), modality)
            if path not in known_records:  # of which training, validation and test are mostly parts
                known_records[path] = list(unique_records(modality, path, quarantine))
            records += filter(is_chosen, known_records[path])
        return records

    train, validation, test = (read(paths) for paths in (table.train, table.validation, table.test))
    known = {_key(record.content) for record in test} if recipe.data.drop_leaks else set()
    kept = [record for record in train if _key(record.content) not in known]
    kept = [record for record in kept if target.is_labelled(record)]
    if not kept:
        raise InputError(f"{', '.join(table.train)}: no training record; {_reasons(quarantine, train, known)}")
    pooling = {"pooling": recipe.model.pooling} if isinstance(recipe.model, SequenceEncoder) else {}
    paths = {address.partition("#")[0] for address in (*table.train, *table.validation, *table.test)}
    hashes = {address: _hash(Path(recipe.path(address).partition(SEPARATOR)[0])) for address in sorted(paths)}
    for address in sorted(paths):
        others = (Path(path) for path in modality.other_files(recipe.path(address)))
        hashes |= {f"{address}, {path.name}": _hash(path) for path in others}
    fitted = modality.fitted(kept)

    def readable(records: Sequence[Record], paths: Sequence[str]) -> list[Record]:
        return [record for record in records if _is_readable(fitted, record, ", ".join(paths), quarantine)]

    return ModalityRecords(
        fitted,
        target.fitted(table.name, kept).model_copy(update=pooling),
        kept,
        readable(validation, table.validation),
        readable(test, table.test),
        hashes,
        quarantine,
        len(train) - len(kept),
    )


def pack_sequences(
    items: Sequence[Segments], shapes: Mapping[str, Shape], device: torch.device | str = "cpu"
) -> PackedSequences:
    """Sequences end to end: each a start token and then the segments that it has, in the order of `shapes`.

    Sorted by length there are fewer groups for attention.
    """
    lengths = [length_of(item) for item in items]
    free = np.cumsum([0, *lengths[:-1]]) + 1
    packed: dict[str, PackedSegment] = {}
    for name, shape in shapes.items():
        having = [number for number, item in enumerate(items) if name in item]
        if not having:
            continue
        segments = [items[number][name] for number in having]
        frames = [len(segment.values) for segment in segments]
        layouts = [Layout.of(frames, device)]
        for _ in range(shape.downsamplings):
            frames = [-(-count // 2) for count in frames]
            layouts.append(Layout.of(frames, device))
        columns = np.concatenate(
            [free[number] + np.arange(count) for number, count in zip(having, frames, strict=True)]
        )
        free[having] += frames
        values = np.concatenate([segment.values for segment in segments])
        positions = np.concatenate([segment.positions for segment in segments]).astype(np.int64)
        packed[name] = PackedSegment(
            torch.from_numpy(values).to(device),
            tuple(layouts),
            torch.from_numpy(positions).to(device),
            torch.from_numpy(columns).to(device),
        )
    return PackedSequences(Layout.of(lengths, device), packed)


def length_of(item: Segments) -> int:
    """Tokens of a sequence, with its start token."""
    return 1 + sum(len(segment.positions) for segment in item.values())


def mixed(
    items: Sequence[Segments], targets: Floats, mixing: Mixing, generator: np.random.Generator
) -> tuple[list[Segments], Floats]:
    """Each sequence mixed with another of the batch, and so their targets (B, num_labels); see Mixing.

    Where a recipe asks for both, each batch takes one of the two. Sequences with tokens, or of unequal lengths, stay.
    """
    both = bool(mixing.mixup and mixing.cutmix)
    cut = bool(mixing.cutmix) and (not both or generator.random() < 0.5)
    alpha = mixing.cutmix if cut else mixing.mixup
    if not alpha:
        return list(items), targets
    sequences, rows = [], targets.copy()
    for number, other in enumerate(generator.permutation(len(items))):
        one, two = items[number], items[other]
        share = float(generator.beta(alpha, alpha))
        if not _alike(one, two):
            sequences.append(one)
            continue
        if cut:
            (name,) = one
            box = _box(one[name], 1 - share, generator)
            values = np.where(box.reshape(-1, 1), two[name].values, one[name].values)
            sequences.append({name: replace(one[name], values=values)})
            share = 1 - float(box.mean())
        else:
            sequences.append(
                {
                    name: replace(part, values=share * part.values + np.float32(1 - share) * two[name].values)
                    for name, part in one.items()
                }
            )
        rows[number] = share * targets[number] + (1 - share) * targets[other]
    return sequences, rows


def _alike(one: Segments, two: Segments) -> bool:
    return one.keys() == two.keys() and all(
        part.values.dtype == np.float32 and part.values.shape == two[name].values.shape for name, part in one.items()
    )


def _box(segment: Segment, share: float, generator: np.random.Generator) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(frames,) which frames lie in a box, or stretch of time, of about this share of the segment."""
    frames = len(segment.values)
    positions = segment.positions if frames == len(segment.positions) else np.arange(frames)[:, None]
    sides = positions.max(0) + 1
    sizes = np.rint(sides * share ** (1 / len(sides))).astype(int)
    first = [generator.integers(0, side - size, endpoint=True) for side, size in zip(sides, sizes, strict=True)]
    return np.asarray(np.all((positions >= first) & (positions < np.add(first, sizes)), axis=1))


def _is_readable(modality: Modality, record: Record, path: str, quarantine: Quarantine) -> bool:
    """Whether the modality, with what it has learnt, can read a record; one that it cannot is quarantined."""
    try:
        modality.check(record.content)
    except InputError as error:
        quarantine.add(path, f"record {record.id}", error)
        return False
    return True


def _key(content: Any) -> str:
    """Equal for equal contents."""
    if isinstance(content, np.ndarray):
        return hashlib.sha256(repr((content.shape, content.dtype.str)).encode() + content.tobytes()).hexdigest()
    if isinstance(content, Mapping):
        return repr({name: _key(part) for name, part in sorted(content.items())})
    return repr(content)


def _hash(path: Path) -> str:
    """sha256 of a file, or of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.name.encode() if path.is_dir() else b"")
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def _reasons(quarantine: Quarantine, train: Sequence[Record], known: Collection[str]) -> str:
    if train and all(_key(record.content) in known for record in train):
        return f"each of the {len(train):,} stands in the test data too, see data.drop_leaks"
    if not quarantine.count:
        return "the files hold none with a label"
    return f"{quarantine.count} could not be read, the first: {quarantine.records[0]}"

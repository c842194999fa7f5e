"""Building a corpus: inputs in parts over processes, doubles found over all of them, shards written over processes.

What is done is on disk in `.work` (ledger), so that a build that was stopped at any moment goes on with `resume` and ends
in the same corpus, byte for byte, as one that was not; the number of processes changes nothing either.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from textome.corpus.duplicates import EXACT, NEAR, Fingerprinter, find_duplicates
from textome.corpus.held_out import read_test_sets
from textome.corpus.inputs import Part, Parts
from textome.corpus.leakage import TestSets
from textome.corpus.ledger import (
    WORK,
    chunk_name,
    no_room,
    only_builder,
    part_name,
    read_json,
    words_of_chunk,
    write_json,
)
from textome.corpus.parts import PartWorker, Reading
from textome.corpus.pipeline import Counts, Pipeline, Steps
from textome.corpus.shards import Shard, ShardWorker, join_word_counts, planned_shards
from textome.corpus.store import DESCRIPTION, shard_name, write_description
from textome.errors import InputError, UnfinishedError
from textome.formats import Quarantine
from textome.formats.reading.sources import BadRecord
from textome.text.tokenization import Tokenizer
from textome.workers import map_over_processes

SHARD_WORDS = 2_000_000
DEDUPLICATION = ("none", "exact", "near")
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Settings:
    """All that decides what a corpus holds, but for its inputs and its tokenizer.

    deduplicate   one of `DEDUPLICATION`
    bag_of_words  whether word counts are kept besides, and whether without stop words
    """

    steps: Steps = field(default_factory=Steps)
    reading: Reading = field(default_factory=Reading)
    deduplicate: str = "near"
    bag_of_words: bool = False
    drop_stop_words: bool = False
    shard_words: int = SHARD_WORDS


@dataclass
class Report:
    """What a build did. `counts.read` is `counts.kept` and what was dropped, doubles among it."""

    counts: Counts = field(default_factory=Counts)
    quarantine: Quarantine = field(default_factory=Quarantine)
    skipped_files: int = 0
    shards: int = 0
    sentences: int = 0
    words: int = 0
    tokens: int = 0

    def as_dict(self) -> dict[str, Any]:
        sizes = {name: getattr(self, name) for name in ("shards", "sentences", "words", "tokens")}
        return self.counts.as_dict() | {
            "quarantined": self.quarantine.count,
            "skipped_files": self.skipped_files,
            **sizes,
        }


def build(
    inputs: Sequence[str],
    output: Path,
    tokenizer: Path,
    settings: Settings = Settings(),
    exclude: Sequence[str] = (),
    bag_of_words: Path | None = None,
    workers: int = 1,
    resume: bool = False,
    tell: Tell = lambda event: None,
) -> Report:
    """Make a corpus of all documents in `inputs` (files, folders, archives, `archive!folder`, corpora, "-").

    tokenizer      folder of the model whose vocabulary cuts the texts
    exclude        test sets: documents that share something long with them are dropped
    bag_of_words   file for word counts, a JSON line for each document, where the settings ask for them
    workers        processes; more than one need that the calling script can be imported (`if __name__ == "__main__"`)
    tell           called with what happens: {"event": "part" | "doubles" | "shard", ...}

    Raises InputError where nothing can be made of the inputs, with nothing left behind, and UnfinishedError where the
    build can go on later (disk full, a worker killed), with what is done kept.
    """
    vocabulary = Tokenizer.load(tokenizer)
    Pipeline(settings.steps)  # a missing package is told before anything is written
    Fingerprinter(settings.deduplicate == "near")
    plan = {
        "inputs": list(inputs),
        "exclude": list(exclude),
        "settings": asdict(settings),
        "tokenizer": vocabulary.fingerprint,
    }
    work = output / WORK
    _open_work(output, work, plan, resume)
    try:
        with only_builder(work):
            report = _build(inputs, output, tokenizer, vocabulary, settings, exclude, bag_of_words, workers, plan, tell)
    except UnfinishedError:
        raise
    except InputError:
        if not resume:
            _discard(output, work)
        raise
    shutil.rmtree(work)
    return report


def _build(
    inputs: Sequence[str],
    output: Path,
    tokenizer: Path,
    vocabulary: Tokenizer,
    settings: Settings,
    exclude: Sequence[str],
    bag_of_words: Path | None,
    workers: int,
    plan: Mapping[str, Any],
    tell: Tell,
) -> Report:
    work = output / WORK
    for draft in (*work.glob(".*.partial"), *output.glob(".*.partial"), *work.glob("spooled-*")):
        draft.unlink()
    test_sets = read_test_sets(list(exclude)) if exclude else None
    report = Report()
    parts = _read(inputs, work, settings, test_sets, workers, report, tell)
    verdicts = _drop_duplicates(work, parts, settings, report, tell)
    if not report.counts.kept:
        raise InputError(_nothing_left(report))
    rows = _write_shards(output, work, tokenizer, parts, verdicts, settings, workers, tell)
    for name in ("sentences", "words", "tokens"):
        setattr(report, name, sum(row[name] for row in rows))
    report.shards = len(rows)
    if bag_of_words is not None:
        join_word_counts(work, len(rows), bag_of_words)
    kept = {key: value for key, value in plan.items() if key != "tokenizer"}
    try:
        write_description(output, vocabulary, rows, kept | {"report": report.as_dict()})
    except OSError as error:
        raise no_room(output / DESCRIPTION, error) from error
    return report


def _open_work(output: Path, work: Path, plan: Mapping[str, Any], resume: bool) -> None:
    """Make the folder `.work`, or take up what is in it. Raises InputError where that is not what was asked for."""
    if (output / DESCRIPTION).exists():
        raise InputError(f"{output}: there is a finished corpus already; choose another --output, or delete it first")
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: this is a file; --output is the folder of the corpus")
    before = read_json(work / "plan.json")
    if before is None:
        if output.is_dir() and any(entry.name != WORK for entry in output.iterdir()):
            raise InputError(f"{output}: the folder holds other files; choose an empty or new one as --output")
        try:
            work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{output}: the folder cannot be made ({error.strerror})") from error
        write_json(work / "plan.json", plan)
        return
    if not resume:
        raise InputError(f"{output}: there is a half-built corpus; go on with --resume, or delete the folder")
    for key, value in plan.items():
        if before.get(key) != (asked := _as_json(value)):
            raise InputError(
                f"{output}: the corpus was begun with other {key} ({_difference(before.get(key), asked)}); go on with the "
                "same, or delete the folder"
            )


def _read(
    inputs: Sequence[str],
    work: Path,
    settings: Settings,
    test_sets: TestSets | None,
    workers: int,
    report: Report,
    tell: Tell,
) -> list[int]:
    """Work on all parts; returns how many chunks each has."""
    parts = Parts(inputs, report.quarantine, work)
    total = parts.size
    chunks: dict[int, int] = {}
    read = kept = 0

    def note(part: Part, ledger: Mapping[str, Any]) -> None:
        nonlocal read, kept
        chunks[part.number] = int(ledger["chunks"])
        read, kept = read + ledger["read"], kept + ledger["kept"]
        for file in part.files:
            if file.temporary and file.path is not None:
                file.path.unlink(missing_ok=True)
        tell({"event": "part", "read": read, "kept": kept, "position": part.position, "size": total})

    def to_do() -> Iterator[Part]:
        for part in parts:
            ledger = read_json(work / f"{part_name(part.number)}.json")
            if ledger is None:
                yield part
            elif ledger["key"] != part.key:
                raise UnfinishedError(
                    f"{part.files[0].name}: the inputs have changed since the build began; delete the output and start anew"
                )
            else:
                note(part, ledger)

    reading = settings.reading
    arguments = (work, settings.steps, reading, settings.deduplicate == "near", test_sets)
    for part, ledger in map_over_processes(PartWorker, to_do(), workers, *arguments):
        note(part, ledger)
    report.skipped_files = parts.skipped_files
    for number in range(len(chunks)):
        ledger = read_json(work / f"{part_name(number)}.json") or {}
        report.skipped_files += ledger["skipped"]
        report.quarantine.count += ledger["quarantined"]
        report.quarantine.passed_over.update(ledger.get("passed_over", {}))
        room = report.quarantine.keep - len(report.quarantine.records)
        report.quarantine.records += [BadRecord(*record) for record in ledger["records"][:room]]
        for chunk in range(chunks[number]):
            values = read_json(work / f"{chunk_name(number, chunk)}.json") or {}
            report.counts.add(Counts.from_dict(values["counts"]))
    return [chunks[number] for number in range(len(chunks))]


def _drop_duplicates(work: Path, parts: Sequence[int], settings: Settings, report: Report, tell: Tell) -> Path:
    """Find the doubles; returns the file with the verdict on each document that the parts kept."""
    paths = _chunk_paths(work, parts)
    counts = [len(words_of_chunk(path)) for path in paths]
    tell({"event": "doubles", "documents": sum(counts)})
    deduplicates = settings.deduplicate != "none"
    verdicts = find_duplicates(paths, counts) if deduplicates else np.zeros(sum(counts), np.uint8)
    for verdict, reason in ((EXACT, "exact double"), (NEAR, "near double")):
        if number := int(np.count_nonzero(verdicts == verdict)):
            report.counts.dropped[reason] += number
            report.counts.kept -= number
    path = work / "verdicts.npy"
    try:
        np.save(path, verdicts)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise no_room(path, error) from error
    return path


def _write_shards(
    output: Path,
    work: Path,
    tokenizer: Path,
    parts: Sequence[int],
    verdicts: Path,
    settings: Settings,
    workers: int,
    tell: Tell,
) -> list[dict[str, Any]]:
    shards = planned_shards(_chunk_paths(work, parts), np.load(verdicts, mmap_mode="r"), settings.shard_words)
    rows: dict[int, dict[str, Any]] = {}

    def note(number: int, row: dict[str, Any]) -> None:
        rows[number] = row
        tell({"event": "shard", "done": len(rows), "of": len(shards)})

    def to_do() -> Iterator[Shard]:
        for shard in shards:
            if (row := read_json(work / f"{shard_name(shard.number)}.json")) is None:
                yield shard
            else:
                note(shard.number, row)

    drop_stop_words = settings.drop_stop_words if settings.bag_of_words else None
    arguments = (output, work, tokenizer, verdicts, drop_stop_words)
    for shard, row in map_over_processes(ShardWorker, to_do(), workers, *arguments):
        note(shard.number, row)
    return [rows[number] for number in range(len(shards))]


def _chunk_paths(work: Path, parts: Sequence[int]) -> list[Path]:
    return [work / chunk_name(part, chunk) for part, number in enumerate(parts) for chunk in range(number)]


def _nothing_left(report: Report) -> str:
    if not report.counts.read:
        first = f": {report.quarantine.records[0]}" if report.quarantine.records else ""
        return f"no document could be read; {report.quarantine.count} quarantined{first}"
    reasons = ", ".join(f"{number} {reason}" for reason, number in report.counts.dropped.most_common())
    return f"of {report.counts.read} documents none is left ({reasons}); loosen the steps that drop them"


def _discard(output: Path, work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    for path in output.glob("*shard-*"):
        path.unlink()
    if not any(output.iterdir()):
        output.rmdir()


def _as_json(value: Any) -> Any:
    """A value as it is after writing and reading: tuples are lists then."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list | tuple) else value


def _difference(before: Any, asked: Any, name: str = "") -> str:
    """The first key in which two settings differ, in words."""
    if isinstance(before, dict) and isinstance(asked, dict):
        for key in asked:
            if before.get(key) != asked[key]:
                return _difference(before.get(key), asked[key], f"{name}.{key}" if name else key)
    return f"{name + ': ' if name else ''}then {before}, now {asked}"

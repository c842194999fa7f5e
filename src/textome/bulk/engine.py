"""A bulk run from start to end: lock the output, plan, hand chunks to workers, enter what is done in the ledger.

The main process reads and parses while the workers split, tokenise, run the model and write, each on a core of its
own. At most `workers + 1` chunks are under way, so memory stays the same however much input there is.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from textome.bulk.chunks import CHUNK_DOCUMENTS, Reading
from textome.bulk.inputs import find_files
from textome.bulk.ledger import NAME, Done, Ledger, Totals
from textome.bulk.output import check_format, is_whole, remove_strays
from textome.bulk.plan import Plan, prepare
from textome.bulk.work import Options, Worker
from textome.errors import DeviceError, InputError
from textome.formats.reading.folders import num_beside
from textome.formats.reading.sources import atomic_file
from textome.processors import available_threads
from textome.workers import map_over_processes

QUARANTINE = "quarantine.jsonl"
_LOCK = ".lock"
_NAMES = {
    "to": "--to", "types": "--types", "min_confidence": "--min-confidence", "flat": "--flat", "replace": "--replace",
    "precision": "--precision", "format": "--from", "text_column": "--text-column", "model": "the model",
    "steps": "the steps", "textome": "the version of Textome",
}  # fmt: skip

# How many workers may be killed at the same chunk.
ATTEMPTS = 3
# Parts in, what is done out, in any order. Each chunk of each part is answered once.
Backend = Callable[[Iterable[Reading], Path, Options], Iterator[Done]]


@dataclass
class Watcher:
    """What a run tells while it goes on; by default nobody listens.

    scanned   files looked at, of how many
    planned   what is to be done, what is done already, and how far parts are that are begun, in bytes by their id
    chunk     a chunk is done and in the ledger
    """

    scanned: Callable[[int, int], None] = field(default=lambda done, of: None)
    planned: Callable[[Plan, Totals, dict[int, int]], None] = field(default=lambda plan, totals, begun: None)
    chunk: Callable[[Done], None] = field(default=lambda done: None)


def run(
    inputs: Sequence[str],
    output: Path,
    options: Options | None = None,
    *,
    workers: int | None = None,
    chunk_documents: int = CHUNK_DOCUMENTS,
    mix: bool = False,
    watcher: Watcher | None = None,
    backend: Backend | None = None,
) -> Totals:
    """Annotate all documents of `inputs` into `output`, exactly once, going on where an earlier run was stopped.

    workers          processes that annotate; by default one for each core
    chunk_documents  documents of one result file; for inputs that are new to this output
    mix              go on though the model or an option changed; what is done stays as it is
    backend          where chunks are annotated; by default in `workers` processes of this machine

    Returns the totals of the output. Bad records are in `output/quarantine.jsonl`. Raises InputError where inputs are
    missing, the output belongs to other settings or is in use, or the results cannot be written; all that is done by
    then is safe, and the same call goes on.
    """
    options, watcher = options or Options(), watcher or Watcher()
    check_format(options.to)
    if chunk_documents < 1:
        raise InputError(f"a chunk of {chunk_documents} documents is none; give 1 or more")
    settings_now = options.settings()
    files = find_files(inputs, output)
    with _explained(output), _locked(output):
        ledger = Ledger.open(output)
        try:
            settings = _settings(ledger, settings_now, mix)
            remove_strays(output, options.to)
            _forget_deleted(ledger, output, options.to)
            plan = prepare(
                ledger,
                files,
                chunk_documents=chunk_documents,
                format=options.format,
                to=options.to,
                tell=watcher.scanned,
            )
            plan.beside = num_beside(inputs, output)
            watcher.planned(plan, ledger.totals(), ledger.begun())
            try:
                done = (backend or _local(workers))(_readings(ledger, options), output, options)
                for item in done:
                    ledger.add_chunk(item, settings)
                    watcher.chunk(item)
                remove_strays(output, options.to, ledger.chunks())
            finally:
                _write_quarantine(ledger, output)
            _write_summary(ledger, output)
            return ledger.totals()
        finally:
            ledger.close()


def _local(workers: int | None) -> Backend:
    """Processes of this machine. Of those that are killed the work is done again. Raises InputError for none."""
    count = available_threads() if workers is None else workers
    if count < 1:
        raise InputError(f"{workers} workers cannot do anything; give 1 or more")

    def results(readings: Iterable[Reading], output: Path, options: Options) -> Iterator[Done]:
        chunks = (chunk for reading in readings for chunk in reading.chunks())
        for _, done in map_over_processes(Worker, chunks, count, output, options, attempts=ATTEMPTS):
            yield done

    return results


def _forget_deleted(ledger: Ledger, output: Path, format: str) -> None:
    """Have chunks done again whose results somebody deleted."""
    for part, number in list(ledger.chunks()):
        if ledger.counts(part, number)[0] and not is_whole(output, format, part, number):
            with ledger.changes():
                ledger.forget_chunk(part, number)


def is_running(output: Path) -> bool:
    """Does a run hold the lock of this output now?"""
    fcntl = _locks()

    try:
        descriptor = os.open(output / _LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _readings(ledger: Ledger, options: Options) -> Iterator[Reading]:
    for part in ledger.unfinished():
        superseded = {id: ledger.superseded(id) for id, _, _ in part.files}
        yield Reading(part, superseded, options.format, options.text_column)


def _readable(value: Any) -> str:
    return "not given" if value is None else repr(value)


def _difference(name: str, was: Any, new: Any) -> str:
    """What changed; of steps the settings alone that differ."""
    before, after = (
        dict(step.split(" ", 1) for step in steps or ()) if name == "steps" else {} for steps in (was, new)
    )
    if name != "steps" or len(before) < len(was or ()) or len(after) < len(new):  # one kind of step several times
        return f"{_NAMES[name]} was {_readable(was)} and is {_readable(new)}"
    different = [f"the step {kind} was left out and is not" for kind in sorted(after.keys() - before.keys())]
    different += [f"the step {kind} was there and is left out" for kind in sorted(before.keys() - after.keys())]
    for kind in sorted(before.keys() & after.keys()):
        old, current = json.loads(before[kind]), json.loads(after[kind])
        different += [
            f"{kind}.{key} was {_readable(old.get(key))} and is {_readable(current.get(key))}"
            for key in sorted(old.keys() | current.keys())
            if old.get(key) != current.get(key)
        ]
    return "; ".join(different) or "the steps run in another order"


def _settings(ledger: Ledger, now: dict[str, Any], mix: bool) -> int:
    """The number of the settings. Raises InputError where they are not those that the output was begun with."""
    if (before := ledger.last_settings()) is not None:
        names = [name for name in now if now[name] != before[1].get(name)]
        if "to" in names or (names and not mix):
            shown = "; ".join(_difference(name, before[1].get(name), now[name]) for name in names)
            rest = "" if "to" in names else ", or add --mix to go on with new settings and keep what is done"
            raise InputError(
                f"{ledger.path}: these results were begun with other settings ({shown}); use the same, or another "
                f"--output{rest}"
            )
        if not names:
            return before[0]
    with ledger.changes():
        return ledger.use_settings(now)


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Only one run writes to an output at a time. The lock goes with the process, however it ends."""
    fcntl = _locks()

    output.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(output / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{output}: another run is writing here; wait for it, or stop it first") from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _explained(output: Path) -> Iterator[None]:
    """Turn what the disk says into one sentence."""
    again = "what is done is safe, and the same command goes on from there"
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(f"{output / NAME}: the ledger cannot be written ({error}); put that right: {again}") from error
    except MemoryError as error:
        raise InputError(f"{output}: out of memory; use fewer --workers; {again}") from error
    except OSError as error:
        path = error.filename or output
        raise InputError(
            f"{path}: cannot be read or written ({error.strerror or error}); put that right, then start again: {again}"
        ) from error


def _write_quarantine(ledger: Ledger, output: Path) -> None:
    """All bad records as JSON lines, or no file where there are none."""
    path = output / QUARANTINE
    if not ledger.totals().quarantined:
        path.unlink(missing_ok=True)
        return
    with atomic_file(path) as stream:
        for item in ledger.quarantine():
            stream.write(json.dumps(asdict(item), ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _write_summary(ledger: Ledger, output: Path) -> None:
    settings = ledger.last_settings()
    content = {"totals": asdict(ledger.totals()), "settings": settings[1] if settings else {}}
    with atomic_file(output / "summary.json") as stream:
        stream.write(json.dumps(content, indent=2).encode() + b"\n")


def _locks() -> ModuleType:
    """The module of file locks. Raises DeviceError where the system has none of this kind."""
    try:
        import fcntl
    except ImportError as error:
        raise DeviceError("textome bulk needs file locks of a Unix system; on Windows run it in WSL 2") from error
    return fcntl

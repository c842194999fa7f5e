"""How far a bulk run is: bars on a terminal, a plain line now and then elsewhere, and the state of a folder."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textome.bulk.engine import Watcher, is_running
from textome.bulk.ledger import Done, Ledger, Totals
from textome.bulk.plan import Plan
from textome.errors import InputError

SECONDS_BETWEEN_LINES = 10.0


@dataclass
class _Count:
    """What this run has done, beside what was done before it."""

    began: Totals = field(default_factory=Totals)
    started: float = 0.0
    documents: int = 0
    entities: int = 0
    quarantined: int = 0
    begun: dict[int, int] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)

    def add(self, done: Done) -> None:
        self.documents += done.documents
        self.entities += done.entities
        self.quarantined += done.quarantined
        new = done.position - self.begun.get(done.part, 0)
        self.read[done.part] = max(new, self.read.get(done.part, 0))

    @property
    def rate(self) -> float:
        return self.documents / max(time.monotonic() - self.started, 1e-9)

    @property
    def bytes_done(self) -> int:
        return min(self.began.bytes_done + sum(self.read.values()), self.began.bytes)

    @property
    def seconds_left(self) -> float | None:
        """By the bytes of input still to be read, at the speed of this run; None before anything is read."""
        new = self.bytes_done - self.began.bytes_done
        if new <= 0:
            return None
        return (self.began.bytes - self.bytes_done) / new * (time.monotonic() - self.started)


@contextmanager
def shown(say: Callable[[str], None], live: bool | None = None) -> Iterator[Watcher]:
    """A watcher that tells a person how far the run is, with `say` for lines; `live` by default on a terminal."""
    count = _Count()
    if live if live is not None else sys.stderr.isatty():
        with _bars(count, say) as watcher:
            yield watcher
    else:
        yield _lines(count, say)


def plan_line(plan: Plan, totals: Totals) -> str:
    """What the run found, in one line."""
    parts = [f"{plan.new + plan.changed + plan.same:,} files"]
    for number, what in (
        (plan.beside, "passed over (hidden, checksums, markers)"),
        (plan.same, "known"),
        (plan.changed, "changed, to be done again"),
        (plan.trimmed, "results with documents that a newer version replaced, taken out"),
        (plan.redone, "results to be done again for a version that is newest again"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    return ", ".join(parts) + f"; {totals.documents:,} documents done before" * bool(totals.documents)


def status(folder: Path) -> dict[str, Any]:
    """The state of an output folder, also while a run writes it, as `textome bulk --status` prints it."""
    ledger = Ledger.view(folder)
    try:
        totals, rate = ledger.totals(), ledger.recent_rate()
    except sqlite3.DatabaseError as error:
        raise InputError(f"{folder}: the ledger cannot be read ({error}); try again in a moment") from error
    finally:
        ledger.close()
    running = is_running(folder)
    share = totals.bytes_done / totals.bytes if totals.bytes else 1.0
    left = None
    if running and rate and 0 < share < 1 and totals.documents:
        left = round((1 - share) / share * totals.documents / rate)
    return {
        "state": "running" if running else "done" if totals.finished else "stopped",
        "share": round(share, 4),
        "documents": totals.documents,
        "entities": totals.entities,
        "relations": totals.relations,
        "quarantined": totals.quarantined,
        "superseded": totals.left_out,
        "passed_over": totals.passed_over,
        "files": totals.files,
        "parts_done": totals.parts_done,
        "parts": totals.parts,
        "documents_per_second": round(rate, 1),
        "seconds_left": left,
        "last_result": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(totals.last)) if totals.last else None,
    }


def status_line(status: dict[str, Any]) -> str:
    """The state in one sentence."""
    line = (
        f"{status['state']}: {100 * status['share']:.1f} % of the input, {status['documents']:,} documents, "
        f"{status['entities']:,} entities, {status['quarantined']:,} quarantined"
    )
    if status["superseded"]:
        line += f", {status['superseded']:,} superseded"
    if status["state"] == "running" and status["documents_per_second"]:
        line += f"; {status['documents_per_second']:,.1f} documents/s"
    if status["seconds_left"] is not None:
        line += f", {duration(status['seconds_left'])} left"
    return line


def duration(seconds: float) -> str:
    """1:02:03, or 3 d 4:05:06."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return (f"{days} d " if days else "") + f"{hour}:{minute:02}:{second:02}"


def _lines(count: _Count, say: Callable[[str], None]) -> Watcher:
    last_line = time.monotonic()

    def scanned(done: int, of: int) -> None:
        nonlocal last_line
        if time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            say(f"looking at the inputs: {done:,} of {of:,} files")

    def chunk(done: Done) -> None:
        nonlocal last_line
        count.add(done)
        if time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            say(_line(count))

    return Watcher(scanned, _begin(count, say), chunk)


@contextmanager
def _bars(count: _Count, say: Callable[[str], None]) -> Iterator[Watcher]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>5.1f} %  {task.fields[rest]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        reading = bars.add_task("inputs", total=None, rest="")
        annotating = bars.add_task("annotated", total=None, rest="", visible=False)
        begin = _begin(count, bars.console.print)

        def planned(plan: Plan, totals: Totals, begun: dict[int, int]) -> None:
            begin(plan, totals, begun)
            bars.update(annotating, total=totals.bytes, completed=totals.bytes_done, visible=True)

        def chunk(done: Done) -> None:
            count.add(done)
            bars.update(annotating, completed=count.bytes_done, rest=_rest(count))

        yield Watcher(
            lambda done, of: bars.update(reading, total=of, completed=done, rest=f"{done:,} of {of:,} files"),
            planned,
            chunk,
        )


def _begin(count: _Count, say: Callable[[str], None]) -> Callable[[Plan, Totals, dict[int, int]], None]:
    def planned(plan: Plan, totals: Totals, begun: dict[int, int]) -> None:
        count.began, count.begun, count.started = totals, begun, time.monotonic()
        say(plan_line(plan, totals))

    return planned


def _line(count: _Count) -> str:
    share = count.bytes_done / count.began.bytes if count.began.bytes else 1.0
    return f"annotated {100 * share:.1f} %: {_rest(count)}"


def _rest(count: _Count) -> str:
    line = f"{count.documents:,} documents, {count.rate:,.1f}/s"
    if count.quarantined:
        line += f", {count.quarantined:,} quarantined"
    left = count.seconds_left
    return line if left is None else f"{line}, {duration(left)} left"

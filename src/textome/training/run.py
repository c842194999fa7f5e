"""What every training run shares: its folder and its log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from torch.utils.tensorboard import SummaryWriter

from textome.errors import InputError
from textome.evaluation.run_report import read_run, write_run_report
from textome.formats.reading.sources import Quarantine, atomic_file
from textome.training.tracking import Tracker

Report = Callable[[dict[str, Any]], None]


# Settings that say where and how a run computes and not what, so a run may go on with others.
_FREE = (
    "device",
    "micro_budget",
    "gradient_checkpointing",
    "out_of_memory",
    "compile",
    "workers",
    "sharding",
    "mlflow",
    "checkpoint_minutes",
)


def claim(folder: Path, recipe: BaseModel, resume: bool) -> None:
    """Make `folder` the run's own. Raises InputError where it holds another run, or this one and `resume` is not set.

    A run may be resumed on another device, or with less memory.
    """
    resolved = recipe.model_dump(mode="json")
    described = folder / "recipe.json"
    if described.exists():
        if not resume:
            raise InputError(f"{folder} holds a run already; go on with it by --resume, or choose another --output")
        if changed := _changed(json.loads(described.read_text(encoding="utf-8")), recipe):
            raise InputError(
                f"{folder} was started with another recipe, which differs in {', '.join(changed)}; see its recipe.json, or "
                f"choose another --output"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(described, resolved)


def _changed(started: dict[str, Any], recipe: BaseModel) -> list[str]:
    """The keys in which the recipe that a run was started with, by this version or one before, is not `recipe`."""
    try:
        before = dict(_flat(type(recipe).model_validate(started).model_dump(mode="json")))
    except ValidationError as error:
        return sorted({".".join(map(str, item["loc"])) for item in error.errors()})
    now = dict(_flat(recipe.model_dump(mode="json")))
    free = ("description", "licence", *(f"training.{name}" for name in _FREE))
    return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key) and key not in free)


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of a recipe by its key as `--set` takes it."""
    if isinstance(values, list) and all(isinstance(item, dict) for item in values):
        values = {item.get("name") or str(number): item for number, item in enumerate(values)}
    if not isinstance(values, dict):
        yield prefix, values
        return
    for key, value in values.items():
        yield from _flat(value, prefix if key == "task" else f"{prefix}.{key}".removeprefix("."))


@contextmanager
def undone(folder: Path) -> Iterator[None]:
    """Where something fails before the first record of a run was written, its folder is as it was before, so that the
    corrected command may take it."""
    before = {path.name for path in folder.iterdir()} if folder.is_dir() else None
    try:
        yield
    except BaseException:
        if folder.is_dir() and not (folder / "metrics.jsonl").exists():
            for path in folder.iterdir():
                if before is None or path.name not in before:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            if before is None:
                folder.rmdir()
        raise


def report_quarantine(quarantines: Iterable[Quarantine], report: Report) -> None:
    """Report the records that training could not read, where there are any: how many, and the first with their reasons."""
    together = Quarantine()
    for quarantine in quarantines:
        together.merge(quarantine)
    if together.count:
        report({"event": "quarantined", "count": together.count, "lines": together.summary()})


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turns what goes wrong with a disk while `path` is written into an InputError with what to do."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be written ({error}); make room, then go on with --resume: nothing that was whole is lost"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is either whole or not there. Raises InputError where the disk is full or gone."""
    with written(path), atomic_file(path) as stream:
        stream.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


class Log:
    """`metrics.jsonl`, cut back on resume to the records of steps that are not done again, and TensorBoard events.

    report   is called with each record
    write    false in all processes of a parallel run but the first: they keep no log
    mlflow   where MLflow keeps the same numbers, see tracking.py; None for nowhere
    """

    def __init__(self, folder: Path, step: int, report: Report, write: bool = True, mlflow: str | None = None) -> None:
        self._report = report
        self._folder = folder
        self._stream: TextIO | None = None
        self._tracker: Tracker | None = None
        if write:
            if mlflow is not None:
                self._tracker = Tracker(mlflow, folder, lambda text: self.write(event="tracking", message=text))
            path = folder / "metrics.jsonl"
            kept = (record for record in read_log(path) if record.get("step", 0) <= step) if path.exists() else ()
            path.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
            self._stream = path.open("a", encoding="utf-8")
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, **record: Any) -> None:
        """Add a record; its numbers also go to TensorBoard under the names of their keys."""
        if self._stream is None:
            return
        with written(self._folder / "metrics.jsonl"):
            self._stream.write(json.dumps(record) + "\n")
            self._stream.flush()
        if "step" in record:
            numbers = dict(_numbers(record, str(record.get("event", ""))))
            for name, value in numbers.items():
                self._board.add_scalar(name, value, record["step"])
            if self._tracker is not None:
                self._tracker.write(numbers, record["step"])
        try:
            self._report(record)
        except BaseException:  # it ended the run, as a search does that has seen enough
            self._stream.close()
            self._board.close()
            raise

    def close(self) -> None:
        """End the log, and write the page about the run."""
        if self._stream is not None:
            if self._tracker is not None:
                self._tracker.close()
            self._stream.close()
            self._board.close()
            write_run_report(self._folder / "report.html", read_run(self._folder))


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of `metrics.jsonl`; a line that is broken, since the run was killed while it wrote it, is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def _numbers(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}/{name}")
        elif isinstance(value, int | float) and name != "step":
            yield f"{prefix}/{name}", float(value)

"""What the training verbs share: the check that the extra is there, and how a run's progress is shown."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from textome.cli.streams import SECONDS_BETWEEN_LINES, say
from textome.errors import MissingExtraError
from textome.escapes import shown


def need_training(what: str) -> None:
    """Raise MissingExtraError where PyTorch or TensorBoard is not installed."""
    if find_spec("torch") is None or find_spec("tensorboard") is None:
        raise MissingExtraError(what, "train")


DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda, mps or xla; default: training.device of the recipe.")
]


def overrides(values: list[str] | None, device: str | None) -> list[str]:
    """What `--set` and `--device` change in a recipe; a value that is not a device is an error of the recipe's check."""
    return [*(values or []), *([f"training.device={device}"] if device else [])]


def run_folder(output: Path | None, name: str, resume: bool) -> Path:
    """The folder of a run; tells where it holds no run to resume, since a misspelt --output is seen at once then."""
    folder = output or Path("runs") / name
    if resume and not (folder / "recipe.json").exists() and os.environ.get("RANK", "0") == "0":
        say(f"{folder}: no run to resume; training starts from the beginning")
    return folder


class Teller:
    """Shows a run's metrics records: a progress bar on a terminal, a line every ten seconds elsewhere.

    `exit_code` is 1 after a run whose training data had bad records, which are shown, and otherwise 0.

    waiting   what the bar says before the first step
    """

    def __init__(self, waiting: str) -> None:
        self._waiting = waiting
        self._bar: Any = None
        self.exit_code = 0
        self._last_line = 0.0

    def __enter__(self) -> Teller:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._waiting, total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, record: dict[str, Any]) -> None:
        if record["event"] == "step":
            line, done, total = _line(record)
            if self._bar is not None:
                self._bar.update(self._task, description=line, completed=done, total=total)
            elif time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
                self._last_line = time.monotonic()
                say(f"{100 * done / total:.1f} %  {line}")
        elif record["event"] == "quarantined":
            self.exit_code = 1
            self._say("\n".join(record["lines"]))
        elif (news := _news(record)) is not None:
            self._say(news)

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(shown(text), markup=False)
        else:
            say(text)


def _line(record: dict[str, Any]) -> tuple[str, int, int]:
    """A step's record as a line, and how far it is: steps, or tokens, done of all."""
    line = f"loss {record['loss']:.4f}  {record['tokens_per_second']:,.0f} tokens/s"
    if "of" in record:
        if "utilisation" in record:
            line += f"  {100 * record['utilisation']:.0f} % of the device's matrix products"
        return line, record["tokens"], record["of"]
    return (
        f"step {record['step']} of {record['steps']}  epoch {record['epoch']}  {line}",
        record["step"],
        record["steps"],
    )


def _scored(item: dict[str, Any], metric: str) -> str:
    if not item["scores"]:
        return ""
    scores = ", ".join(f"{corpus} {metric} {100 * value:.2f}" for corpus, value in item["scores"].items())
    return f"{scores}, {item['tokens_per_second']:,.0f} tokens/s"


def _news(record: dict[str, Any]) -> str | None:
    """What is told as a line of its own."""
    if record["event"] in ("damaged", "memory", "tracking"):
        return str(record["message"])
    if record["event"] == "privacy":
        return (
            f"privacy {record['when']}: epsilon {record['epsilon']:.2f} at delta {record['delta']:g} for {record['unit']}; "
            f"noise {record['noise_multiplier']:.3f}, {record['steps']:,} steps"
        )
    if record["event"] == "heads" and record["kept"]:
        new = f"; new: {', '.join(record['new'])}" if record["new"] else ""
        return f"heads that go on from {record['base']}: {', '.join(record['kept'])}{new}"
    if record["event"] == "teacher":
        return f"the teacher {record['teacher']} has read {record['records']:,} of {record['of']:,} records"
    if record["event"] == "distilled":
        return "\n".join(
            f"{name}: {item['layers']} layers, {item['parameters'] / 1e6:.1f} M parameters, {item['megabytes']:.1f} MB, "
            + (_scored(item, record["metric"]) or "not scored, since no corpus has validation data")
            for name, item in record.items()
            if isinstance(item, dict)
        )
    if record["event"] == "start":
        where = f"training on {record['device']} in {record['precision']}, {record['processes']} process(es)"
        if "steps" not in record:
            return f"{where}: {record['tokens']:,} tokens"
        return f"{where}: {record['steps']:,} steps of about {record['tokens_per_epoch']:,} tokens an epoch"
    if record["event"] == "validation" and record["scores"] and "tokens" in record:
        scores = ", ".join(
            f"{name} perplexity {item['perplexity']:.2f}, accuracy {100 * item['accuracy']:.2f} %"
            for name, item in record["scores"].items()
        )
        return f"after {record['tokens']:,} tokens: {scores}"
    if record["event"] == "validation" and record["scores"]:
        scores = ", ".join(f"{name} {100 * value:.2f}" for name, value in record["scores"].items())
        return f"epoch {record['epoch']}: validation {record['metric']} {100 * record['mean']:.2f} ({scores})"
    return None

"""What the training verbs share: the check that the extra is there, and how a run's progress is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from textome.cli.streams import SECONDS_BETWEEN_LINES, say
from textome.errors import MissingExtraError


def need_training(what: str) -> None:
    """Raise MissingExtraError where PyTorch or TensorBoard is not installed."""
    if find_spec("torch") is None or find_spec("tensorboard") is None:
        raise MissingExtraError(what, "train")


DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda, mps or xla; default: training.device of the recipe.")
]


def overrides(values: list[str] | None, device: str | None) -> list[str]:
    """What `--set` and `--device` change in a recipe; a value that is no device is an error of the recipe's check."""
    return [*(values or []), *([f"training.device={device}"] if device else [])]


class Teller:
    """Shows a run's metrics records: a progress bar on a terminal, a line every ten seconds elsewhere.

    `exit_code` is 1 after a run whose training data had bad records, which are shown, and otherwise 0.

    waiting   what the bar says before the first step
    line      a step's record as a line, with how much is done of how much
    news      another record as a line of its own, or None
    """

    def __init__(
        self,
        waiting: str,
        line: Callable[[dict[str, Any]], tuple[str, int, int]],
        news: Callable[[dict[str, Any]], str | None],
    ) -> None:
        self._waiting, self._line, self._news = waiting, line, news
        self._bar: Any = None
        self.exit_code = 0
        self._told = 0.0

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
            line, done, total = self._line(record)
            if self._bar is not None:
                self._bar.update(self._task, description=line, completed=done, total=total)
            elif time.monotonic() - self._told > SECONDS_BETWEEN_LINES:
                self._told = time.monotonic()
                say(f"{100 * done / total:.1f} %  {line}")
        elif record["event"] == "quarantined":
            self.exit_code = 1
            self._say("\n".join(record["lines"]))
        elif (news := self._news(record)) is not None:
            self._say(news)

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False)
        else:
            say(text)

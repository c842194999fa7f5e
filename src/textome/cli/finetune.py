"""`textome finetune`: train by a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from textome.cli.streams import say
from textome.errors import MissingExtraError


def finetune(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run's folder; default: runs/ and the recipe's name.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value, as training.epochs=3.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
) -> None:
    """Fine-tune a model by a recipe; the bundle stands in the run's folder at the end.

    Example: textome finetune recipes/ncbi_disease.toml --set training.learning_rate=3e-5
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("textome finetune", "train") from error
    from textome.training.finetune import finetune as run
    from textome.training.memory import keep_freed_memory
    from textome.training.recipe import load_recipe

    keep_freed_memory()
    resolved = load_recipe(recipe, set_ or [])
    folder = output or Path("runs") / resolved.name
    with _Teller() as tell:
        bundle = run(resolved, folder, resume, tell)
    typer.echo(bundle)


class _Teller:
    """Shows a run's metrics: a progress bar on a terminal, a line every 100 steps elsewhere."""

    def __enter__(self) -> _Teller:
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("reading the corpora", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, record: dict[str, Any]) -> None:
        event = record["event"]
        if event == "step":
            line = f"epoch {record['epoch']}  loss {record['loss']:.4f}  {record['tokens_per_second']:,.0f} tokens/s"
            if self._bar is not None:
                self._bar.update(self._task, description=line, completed=record["step"], total=record["steps"])
            elif record["step"] % 100 == 0:
                say(f"step {record['step']} of {record['steps']}  {line}")
        elif event == "validation" and record["f1"]:
            scores = ", ".join(f"{name} {100 * value:.2f}" for name, value in record["f1"].items())
            self._say(f"epoch {record['epoch']}: validation F1 {100 * record['mean']:.2f} ({scores})")
        elif event == "start":
            self._say(
                f"training on {record['device']} in {record['precision']}: {record['steps']:,} steps of about "
                f"{record['tokens_per_epoch']:,} tokens an epoch"
            )

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line)
        else:
            say(line)

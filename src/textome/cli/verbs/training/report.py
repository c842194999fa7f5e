"""`textome report`: a page with the curves of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textome.cli.streams import echo


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run of finetune or pretrain, finished or not.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page; default: report.html in the run's folder.")
    ] = None,
) -> None:
    """Write a page with a run's loss, learning rate, speed, gradient and validation curves; it needs nothing else.

    Example: textome report runs/ncbi-disease-minilm -o page.html
    """
    from textome.evaluation.run_report import read_run, write_run_report

    path = output or run / "report.html"
    write_run_report(path, read_run(run))
    echo(path)

"""`textome tune`: search for good settings of a recipe."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from textome.cli.streams import echo, say
from textome.cli.training import DeviceOption, need_training, overrides
from textome.errors import MissingExtraError

_SHOWN = 5


def tune(
    search: Annotated[Path, typer.Argument(help="The search, a TOML file: a recipe and the values to try.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The search's folder; default: runs/ and the search's name.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A value of the recipe for every trial.")
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="How many; default: as the file says.")] = None,
    device: DeviceOption = None,
) -> None:
    """Search for good settings of a recipe; a search that was stopped goes on when it is started again.

    Example: textome tune recipes/tune_ncbi_disease.toml --trials 30
    """
    need_training("textome tune")
    if find_spec("optuna") is None:
        raise MissingExtraError("textome tune", "tune")
    from textome.training import tuning
    from textome.training.memory import keep_freed_memory

    keep_freed_memory()
    settings = tuning.load_search(search)
    if trials is not None:
        settings = settings.model_copy(update={"trials": trials})
    folder = output or Path("runs") / settings.name
    problems: list[str] = []

    def tell(record: dict[str, Any]) -> None:
        _tell(record)
        if record["event"] == "quarantined":  # the same records in every trial
            problems[:] = record["lines"]

    best = tuning.tune(settings, folder, overrides(set_, device), tell)
    for line in problems:
        say(line)
    for item in tuning.trials_of(folder, settings.name)[:_SHOWN]:
        say(f"{_score(item['score'])}  {item['state']:8}  {_values(item['values'])}")
    say(
        f"best {_score(best.score)}: textome finetune {settings.recipe} "
        + " ".join(f"--set {i}" for i in best.overrides)
    )
    echo(best.bundle)
    raise typer.Exit(int(bool(problems)))


def _tell(record: dict[str, Any]) -> None:
    """A line for the start and the end of each trial; the runs themselves are quiet."""
    if record["event"] == "trial":
        say(f"trial {record['number']} of {record['of']}: {_values(record['values'])}")
    elif record["event"] == "told":
        say(f"trial {record['number']}: {record['state']} {_score(record['score'])}".rstrip())


def _values(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )


def _score(score: float | None) -> str:
    return "" if score is None else f"{100 * score:.2f}"

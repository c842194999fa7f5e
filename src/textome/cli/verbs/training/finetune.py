"""`textome finetune`: train by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textome.cli.options import RecipeFile, Resume, RunFolder
from textome.cli.streams import echo, say
from textome.cli.training import DeviceOption, Teller, need_training, overrides, run_folder
from textome.errors import InputError


def _print_techniques(asked: bool) -> None:
    if asked:
        need_training("textome finetune")
        from textome.training.techniques.matrix import matrix

        echo(matrix(), end="")
        raise typer.Exit


def finetune(
    recipe: RecipeFile,
    output: RunFolder = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value, as training.epochs=3.")
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many examples of each class, drawn by the seed; not for entities."),
    ] = None,
    device: DeviceOption = None,
    resume: Resume = False,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish",
            help="End a run that was stopped with the weights that it has, or their running mean (training.average).",
        ),
    ] = False,
    federated: Annotated[
        Path | None,
        typer.Option(
            metavar="CLIENTS.toml", help="Several clients train one model, each on data of its own, which stay with it."
        ),
    ] = None,
    techniques: Annotated[
        bool,
        typer.Option(
            "--techniques", is_eager=True, callback=_print_techniques, help="Tell which technique works for which task."
        ),
    ] = False,
) -> None:
    """Fine-tune a model by a recipe; the bundle stands in the run's folder at the end.

    Example: textome finetune recipes/ncbi_disease.toml --set training.learning_rate=3e-5

    On several GPUs or processes: torchrun --nproc-per-node 4 -m textome.cli.main finetune RECIPE
    """
    need_training("textome finetune")
    from textome.training.kinds import few_shots, plan_run
    from textome.training.memory import keep_freed_memory

    keep_freed_memory()
    changes = [*overrides(set_, device), *(few_shots(recipe, shots) if shots else [])]
    if federated is not None:
        if resume or finish:
            raise InputError(
                "--federated does not go with --resume and --finish; begin the run again in another folder"
            )
        echo(_federated(recipe, federated, changes, output))
        raise typer.Exit
    run = plan_run(recipe, changes, finish)
    folder = run_folder(output, run.name, resume)
    with Teller("reading the data") as tell:
        bundle = run.start(folder, resume or finish, tell)
    echo(bundle)
    raise typer.Exit(tell.exit_code)


def _federated(recipe: Path, clients: Path, changes: list[str], output: Path | None) -> Path:
    from textome.training.federated import federate
    from textome.training.federated_clients import Federation

    federation = Federation.load(clients)
    sites = federation.of(recipe, changes, clients.parent)
    folder = output or Path("runs") / sites[0].recipe.name
    return federate(
        sites, federation.rounds, folder, min_clients=federation.min_clients, timeout=federation.timeout, say=say
    )

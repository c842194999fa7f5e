"""`textome pretrain`: masked-language-model training by a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from textome.cli.options import RecipeFile, Resume, RunFolder
from textome.cli.streams import echo
from textome.cli.training import DeviceOption, Teller, need_training, overrides, run_folder


def pretrain(
    recipe: RecipeFile,
    output: RunFolder = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value, as training.tokens=5000000."),
    ] = None,
    device: DeviceOption = None,
    resume: Resume = False,
) -> None:
    """Go on pretraining an encoder on a corpus; it stands in the run's folder, as model/, at the end.

    Example: textome pretrain recipes/pretrain_minilm.toml --set training.tokens=5000000

    On several GPUs or processes: torchrun --nproc-per-node 4 -m textome.cli.main pretrain RECIPE
    """
    need_training("textome pretrain")
    from textome.training.kinds import plan_run
    from textome.training.memory import keep_freed_memory

    keep_freed_memory()
    run = plan_run(recipe, overrides(set_, device))
    folder = run_folder(output, run.name, resume)
    with Teller("reading the corpora") as tell:
        model = run.start(folder, resume, tell)
    echo(model)

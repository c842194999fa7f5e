"""`textome pretrain`: masked-language-model training by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from textome.cli.training import DeviceOption, Teller, need_training, overrides


def pretrain(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run's folder; default: runs/ and the recipe's name.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value, as training.tokens=5000000."),
    ] = None,
    device: DeviceOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
) -> None:
    """Go on pretraining an encoder on a corpus; it stands in the run's folder, as model/, at the end.

    Example: textome pretrain recipes/pretrain_minilm.toml --set training.tokens=5000000

    On several GPUs or processes: torchrun --nproc-per-node 4 -m textome.cli.main pretrain RECIPE
    """
    need_training("textome pretrain")
    from textome.training.memory import keep_freed_memory
    from textome.training.pretraining.pretrain import pretrain as run
    from textome.training.pretraining.recipe import load_pretraining_recipe

    keep_freed_memory()
    resolved = load_pretraining_recipe(recipe, overrides(set_, device))
    folder = output or Path("runs") / resolved.name
    with Teller("reading the corpora", _line, _news) as tell:
        model = run(resolved, folder, resume, tell)
    typer.echo(model)


def _line(record: dict[str, Any]) -> tuple[str, int, int]:
    """A step's record as a line, and how far it is: tokens done of all."""
    line = (
        f"loss {record['loss']:.3f}  {record['tokens_per_second']:,.0f} tokens/s  "
        f"{100 * record['utilisation']:.0f} % of the device's matrix products"
    )
    return line, record["tokens"], record["of"]


def _news(record: dict[str, Any]) -> str | None:
    """What is told as a line of its own."""
    if record["event"] in ("damaged", "tracking"):
        return str(record["message"])
    if record["event"] == "start":
        return (
            f"pretraining on {record['device']} in {record['precision']}, {record['processes']} process(es): "
            f"{record['tokens']:,} tokens"
        )
    if record["event"] == "validation" and record["scores"]:
        scores = ", ".join(
            f"{name} perplexity {item['perplexity']:.2f}, accuracy {100 * item['accuracy']:.2f} %"
            for name, item in record["scores"].items()
        )
        return f"after {record['tokens']:,} tokens: {scores}"
    return None

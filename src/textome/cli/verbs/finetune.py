"""`textome finetune`: train by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from textome.cli.training import DeviceOption, Teller, need_training, overrides


def _print_techniques(asked: bool) -> None:
    if asked:
        need_training("textome finetune")
        from textome.training.techniques.matrix import matrix

        typer.echo(matrix(), nl=False)
        raise typer.Exit


def finetune(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run's folder; default: runs/ and the recipe's name.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value, as training.epochs=3.")
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many examples of each class, drawn by the seed; not for entities."),
    ] = None,
    device: DeviceOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish",
            help="End a run that was stopped with the weights that it has, or their running mean (training.average).",
        ),
    ] = False,
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
    run = plan_run(recipe, changes, finish)
    folder = output or Path("runs") / run.name
    with Teller("reading the data", _line, _news) as tell:
        bundle = run.start(folder, resume or finish, tell)
    typer.echo(bundle)
    raise typer.Exit(tell.exit_code)


def _line(record: dict[str, Any]) -> tuple[str, int, int]:
    """A step's record as a line, and how far it is: steps done of all."""
    line = (
        f"step {record['step']} of {record['steps']}  epoch {record['epoch']}  loss {record['loss']:.4f}  "
        f"{record['tokens_per_second']:,.0f} tokens/s"
    )
    return line, record["step"], record["steps"]


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
    if record["event"] == "distilled":
        return "\n".join(
            f"{name}: {item['layers']} layers, {item['parameters'] / 1e6:.1f} M parameters, {item['megabytes']:.1f} MB, "
            + (_scored(item, record["metric"]) or "not scored, since no corpus has validation data")
            for name, item in record.items()
            if isinstance(item, dict)
        )
    if record["event"] == "start":
        return (
            f"training on {record['device']} in {record['precision']}: {record['steps']:,} steps of about "
            f"{record['tokens_per_epoch']:,} tokens an epoch"
        )
    if record["event"] == "validation" and record["scores"]:
        scores = ", ".join(f"{name} {100 * value:.2f}" for name, value in record["scores"].items())
        return f"epoch {record['epoch']}: validation {record['metric']} {100 * record['mean']:.2f} ({scores})"
    return None

"""`textome convert-checkpoint`: a checkpoint with pickled weights, made into one that can be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textome.cli.streams import echo, say
from textome.cli.training import need_training


def convert_checkpoint(
    source: Annotated[str, typer.Argument(help="The folder with pytorch_model.bin, or a name on the hub.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    cased: Annotated[
        bool | None,
        typer.Option("--cased/--uncased", help="Whether a bare vocab.txt tells capitals; default: whether it has any."),
    ] = None,
) -> None:
    """Make an old checkpoint loadable: pickled weights into safetensors, a vocab.txt into a tokenizer.json.

    Example: textome convert-checkpoint dmis-lab/biobert-v1.1 --output biobert
    """
    need_training("textome convert-checkpoint")
    from textome.runtime.bundle import resolve_model
    from textome.training.old_checkpoint import convert_checkpoint as convert

    conversion = convert(resolve_model(source, pickled=True), output, None if cased is None else not cased)
    say(
        f"{conversion.parameters / 1e6:.1f} M parameters"
        + (f", {len(conversion.heads)} tensors of heads" if conversion.heads else "")
    )
    if conversion.lowercase is not None:
        say(f"the vocabulary is {'uncased' if conversion.lowercase else 'cased'}")
    if conversion.contradicts:
        say("tokenizer_config.json said the opposite; --cased or --uncased decides otherwise")
    say(f'use it as model.base = "{output}" in a recipe')
    echo(output)

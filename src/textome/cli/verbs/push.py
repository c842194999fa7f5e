"""`textome push`: a bundle to a hub."""

from __future__ import annotations

from typing import Annotated

import typer

from textome.cli.options import Endpoint, Repository
from textome.cli.streams import echo, say


def push(
    model: Annotated[str, typer.Argument(metavar="BUNDLE", help="The folder of a bundle.")],
    repository: Repository,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    licence: Annotated[str | None, typer.Option("--licence", help="For the model card, as apache-2.0.")] = None,
    message: Annotated[str, typer.Option(help="What changed, for the commit.")] = "",
    endpoint: Endpoint = None,
) -> None:
    """Push a bundle to a hub in the Hugging Face layout, with its model card.

    Weights, graphs, tokenizer and description go up in one commit. The token is that of `hf auth login`, or the variable
    HF_TOKEN. Others then name the model as --model OWNER/NAME.

    Example: textome push runs/symptoms/bundle mylab/symptoms --private
    """
    from textome.runtime.bundle import Bundle, resolve_model
    from textome.runtime.hub import push as pushed

    bundle = Bundle.load(resolve_model(model))
    say(f"{bundle.name}: {', '.join(bundle.tasks)}")
    echo(
        pushed(
            bundle.directory,
            repository,
            {"library_name": "textome"} | ({"license": licence} if licence else {}),
            private=private,
            message=message,
            endpoint=endpoint,
        )
    )

"""`textome pull`: a bundle from a hub into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textome.cli.options import Endpoint, Repository
from textome.cli.streams import echo, say


def pull(
    repository: Repository,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to make; default: the repository's NAME.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit.")] = None,
    endpoint: Endpoint = None,
) -> None:
    """Pull a model from a hub into a folder: a bundle of Textome, or a token classifier of transformers.

    Only data are fetched, never code or pickled weights. A stopped download goes on.

    Example: textome pull mylab/symptoms --output models/symptoms
    """
    from textome.runtime.bundle import Bundle
    from textome.runtime.hub import pull as pulled

    folder = output or Path(repository.rpartition("/")[2])
    bundle = Bundle.load(pulled(repository, folder, revision=revision, endpoint=endpoint))
    say(f"{bundle.name}: {', '.join(bundle.tasks)}")
    echo(bundle.directory)

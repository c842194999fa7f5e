"""`textome mcp`: tools for language agents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textome.cli.pipelines import with_pipeline
from textome.errors import MissingExtraError

if TYPE_CHECKING:
    from textome.bulk.query import Results
    from textome.pipeline import PipelineChoice


@with_pipeline
def mcp(
    *,
    pipeline: PipelineChoice,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The --output of `textome bulk`, for the tools tables and query.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads; default: all cores.", min=1)] = None,
) -> None:
    """Serve tools to language agents by the Model Context Protocol, over standard input and output.

    The tools annotate, relations, link and look_up use the pipeline; with --results, tables and query ask a bulk run.

    Example: textome mcp --results annotated/
    """
    try:
        from textome.agents import build_server
    except ImportError as error:
        raise MissingExtraError("textome mcp", "mcp") from error
    import textome

    opened = None if results is None else _open(results)
    build_server(pipeline.load(threads=threads), opened, textome.__version__).run("stdio")


def _open(folder: Path) -> Results:
    try:
        from textome.bulk.query import Results
    except ImportError as error:
        raise MissingExtraError("asking bulk results", "bulk") from error
    return Results(folder)

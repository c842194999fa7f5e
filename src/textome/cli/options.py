"""Options and arguments that mean the same in several verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BulkFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The --output of `textome bulk`.")]
Endpoint = Annotated[str | None, typer.Option(metavar="URL", help="Another hub; default: HF_ENDPOINT.")]
EntityType = Annotated[str | None, typer.Option(help="Type of the entities of a CoNLL file with bare tags.")]
InputFormat = Annotated[str | None, typer.Option("--from", help="Format of the input; default: by its content.")]
Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files or folders; - is standard input.")]
OutputFile = Annotated[Path, typer.Option("--output", "-o", help="Where to write; - is standard output.")]
OutputFormat = Annotated[str | None, typer.Option("--to", help="Format to write; default: by the output's name.")]
OutputPath = Annotated[str, typer.Option("--output", "-o", help="File or folder to write; - is standard output.")]
Precision = Annotated[str | None, typer.Option(help="int8, bf16 or fp32, where the bundle has several.")]
RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a TOML file.")]
Replace = Annotated[bool, typer.Option("--replace", help="Drop annotations that the input has already.")]
Repository = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the hub.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
RunFolder = Annotated[
    Path | None, typer.Option("--output", "-o", help="The run's folder; default: runs/ and the recipe's name.")
]
TaskName = Annotated[str | None, typer.Option(help="Which of the bundle's tasks, where it has several.")]
TextColumn = Annotated[str | None, typer.Option(help="Column of a table that holds the texts.")]
Threads = Annotated[int | None, typer.Option(help="Processor threads; default: all cores.")]

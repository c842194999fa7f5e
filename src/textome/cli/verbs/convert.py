"""`textome convert`: from one format to another."""

from __future__ import annotations

from typing import Annotated

import typer

from textome.cli.streams import EscapeFormulas, finish, read_all, reported, watched


def convert(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files or folders; - is standard input.")],
    to: Annotated[str, typer.Option("--to", help="Format to write.")],
    output: Annotated[str, typer.Option("--output", "-o", help="File or folder to write; - is standard output.")] = "-",
    from_: Annotated[str | None, typer.Option("--from", help="Format of the input; default: by its content.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of a table that holds the texts.")] = None,
    escape_formulas: EscapeFormulas = False,
    entity_type: Annotated[
        str | None, typer.Option(help="Type of the entities of a CoNLL file with bare tags.")
    ] = None,
) -> None:
    """Convert annotated documents between formats.

    Example: textome convert corpus.pubtator --to brat --output corpus/
    """
    from textome.formats import Quarantine, Target, write_documents

    quarantine = Quarantine()
    documents = watched(read_all(inputs, from_, quarantine, entity_type, text_column), "converted", quarantine)
    with reported(quarantine):
        number = write_documents(documents, Target.of(output, not escape_formulas), to)
    finish(quarantine, number)

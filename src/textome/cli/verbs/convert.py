"""`textome convert`: from one format to another."""

from __future__ import annotations

from typing import Annotated

import typer

from textome.cli.options import EntityType, InputFormat, Inputs, OutputPath, TextColumn
from textome.cli.streams import EscapeFormulas, finish, read_all, reported, watched


def convert(
    inputs: Inputs,
    to: Annotated[str, typer.Option("--to", help="Format to write.")],
    output: OutputPath = "-",
    from_: InputFormat = None,
    text_column: TextColumn = None,
    escape_formulas: EscapeFormulas = False,
    entity_type: EntityType = None,
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

"""`textome query`: ask the results of `textome bulk`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textome.cli.options import BulkFolder
from textome.cli.streams import EscapeFormulas, echo, say
from textome.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from textome.bulk.query import Results


def query(
    folder: BulkFolder,
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="A statement, or the name of a view; default: list the views.")
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write, as .csv, .jsonl or .parquet; - is standard output.")
    ] = "-",
    to: Annotated[
        str | None, typer.Option("--to", help="csv, jsonl or parquet; default: by the output's name.")
    ] = None,
    escape_formulas: EscapeFormulas = False,
    external_access: Annotated[
        bool, typer.Option("--external-access", help="Let the SQL read and write other files, and load extensions.")
    ] = False,
    vocabulary: Annotated[
        list[str] | None,
        typer.Option(help="Index whose tree the table `broader` follows; default: the bundled vocabulary."),
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(help="Write the relations, and chemicals, genes and diseases said together, as .graphml or .csv."),
    ] = None,
    min_documents: Annotated[int, typer.Option(help="Edges of the graph that fewer documents have are left out.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="Draw documents by type and year, as .png, .svg or .pdf.")] = None,
) -> None:
    """Ask the Parquet results of a bulk run with SQL.

    Ready views: counts_by_type_and_year, frequent_entities, co_mention_pairs, chemical_disease_pairs, related_pairs, ...

    The table broader has each concept with itself and all concepts above it, as in
    SELECT count(*) FROM identifiers JOIN broader USING (curie) WHERE broader = 'mesh:D009369'.

    Example: textome query annotated/ "SELECT * FROM frequent_entities WHERE type = 'Disease' LIMIT 20"
    """
    try:
        from textome.bulk.graph import write_graph, write_plot
        from textome.bulk.query import VIEWS, Results, write_answer
        from textome.bulk.tables import TABLES
    except ImportError as error:
        raise MissingExtraError("asking bulk results", "bulk") from error
    results = Results(folder, external_access, vocabulary or ("default",))
    if graph is not None:
        say(f"{graph}: {write_graph(results, graph, min_documents):,} edges")
    if plot is not None:
        write_plot(results, plot)
        say(f"{plot}: written")
    if sql is None:
        if graph is None and plot is None:
            _list_views(results)
        return
    names = [*TABLES, *VIEWS, "broader"]
    if sql.isidentifier() and sql not in names:
        raise InputError(f"{sql!r} is no table or view of the results; there are {', '.join(names)}")
    answer = results.ask(f"SELECT * FROM {sql}" if sql in names else sql)
    if output == "-" and to is None and sys.stdout.isatty():
        from textome.cli.terminal import print_table

        print_table(answer.columns, answer.rows)
        return
    format = to or ("csv" if output == "-" else Path(output).suffix[1:])
    if not format:
        raise InputError(f"--output {output}: the name says no format; add --to csv, jsonl or parquet")
    number = write_answer(answer, output, format, not escape_formulas)
    if output != "-":
        say(f"{output}: {number:,} rows")


def _list_views(results: Results) -> None:
    from textome.bulk.query import VIEWS
    from textome.bulk.tables import TABLES

    for name in (*TABLES, *VIEWS):
        columns = ", ".join(column for column, _ in results.columns(name))
        echo(f"{name}: {columns}")

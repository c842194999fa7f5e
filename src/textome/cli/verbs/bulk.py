"""`textome bulk`: annotate more than fits in memory or in one day."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from textome.cli.options import InputFormat, Replace, TextColumn
from textome.cli.pipelines import with_pipeline
from textome.cli.streams import SHOWN, echo, say
from textome.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from textome.bulk.ledger import Totals
    from textome.pipeline import PipelineChoice


@with_pipeline
def bulk(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...", help="Files, folders, 'globs', @lists, archives, or addresses such as s3://..."
        ),
    ] = None,
    *,
    pipeline: PipelineChoice,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the results and the ledger.")] = None,
    to: Annotated[str, typer.Option("--to", help="parquet, jsonl, bioc-json, bioc-xml or pubtator.")] = "parquet",
    from_: InputFormat = None,
    text_column: TextColumn = None,
    replace: Replace = False,
    workers: Annotated[int | None, typer.Option(help="Processes that annotate; default: one for each core.")] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Annotate on the Ray cluster at this address; auto finds one.")
    ] = None,
    chunk: Annotated[int | None, typer.Option(help="Documents of one result file; default: 1000.")] = None,
    mix: Annotated[
        bool, typer.Option("--mix", help="Go on with another model or option; what is done stays as it is.")
    ] = False,
    status: Annotated[
        Path | None, typer.Option("--status", metavar="DIR", help="Tell how far the run in this folder is, and stop.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals or the status as JSON.")] = False,
) -> None:
    """Annotate any number of documents into a folder; stopped anywhere, the same command goes on.

    Results are Parquet tables of documents, entities, relations, identifiers and labels, ready for `textome query`, DuckDB,
    Polars or Spark. Of PubMed files the newest version of each citation counts. Bad records are listed in quarantine.jsonl.

    Example: textome bulk pubmed/baseline pubmed/updatefiles --output annotated/
    """
    if status is not None:
        _tell_status(status, as_json)
        return
    if not inputs or output is None:
        raise InputError("name at least one input and an --output folder, as: textome bulk pubmed/ --output annotated/")
    if to == "parquet":
        _need_pyarrow()
    from textome.bulk.chunks import CHUNK_DOCUMENTS
    from textome.bulk.engine import run
    from textome.bulk.progress import shown
    from textome.bulk.work import Options

    options = Options(pipeline, replace, to, from_, text_column)
    backend = None
    if ray is not None:
        from textome.bulk.cluster import ClusterResults

        backend = ClusterResults(ray, workers)
    signal.signal(signal.SIGTERM, _stop)
    try:
        with shown(say) as watcher:
            totals = run(
                inputs,
                output,
                options,
                workers=workers,
                chunk_documents=CHUNK_DOCUMENTS if chunk is None else chunk,
                mix=mix,
                watcher=watcher,
                backend=backend,
            )
    except KeyboardInterrupt:
        say(f"stopped; what is done is safe in {output}, and the same command goes on from there")
        raise
    _finish(output, totals, as_json)


def _finish(output: Path, totals: Totals, as_json: bool) -> None:
    if as_json:
        names = ("files", "documents", "entities", "relations", "quarantined")
        others = {"superseded": totals.left_out, "passed_over": totals.passed_over}
        echo(json.dumps({name: getattr(totals, name) for name in names} | others))
    say(
        f"{output}: {totals.documents:,} documents, {totals.entities:,} entities"
        + (f", {totals.left_out:,} superseded or deleted" if totals.left_out else "")
    )
    for reason, number in totals.passed_over.items():
        say(f"passed over: {number:,}, {reason}")
    if not totals.quarantined:
        return
    path = output / "quarantine.jsonl"
    with path.open(encoding="utf-8") as lines:
        for line, _ in zip(lines, range(SHOWN), strict=False):
            item = json.loads(line)
            say("quarantined: " + ", ".join(filter(None, (item["source"], item["position"]))) + f": {item['reason']}")
    say(f"{totals.quarantined:,} quarantined, see {path}")
    if not totals.documents:
        raise InputError(f"no document could be read; {totals.quarantined} quarantined, see {path}")
    raise typer.Exit(1)


def _tell_status(folder: Path, as_json: bool) -> None:
    from textome.bulk.progress import status, status_line

    state = status(folder)
    echo(json.dumps(state) if as_json else f"{folder}: {status_line(state)}")


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "bulk") from error


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

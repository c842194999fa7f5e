"""`textome evaluate`: score a model on annotated data."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from textome.cli.streams import finish, read_all, say
from textome.errors import InputError


def evaluate(
    data: Annotated[list[str], typer.Option("--data", "-d", help="Annotated files or folders.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="A bundle; default: the bundled model.")] = None,
    task: Annotated[str, typer.Option(help="The task; `entities` is the only one yet.")] = "entities",
    format: Annotated[str | None, typer.Option("--format", help="Format of the data; default: by content.")] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="LABEL=TYPE", help="What a label of the data stands for.")
    ] = None,
    entity_type: Annotated[
        str | None, typer.Option(help="Type of the entities of a CoNLL file with bare tags.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="int8 or fp32, where the bundle has both.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads; default: all cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score entities on annotated data: precision, recall and F1 for each type, micro and macro, with 95 % intervals.

    An entity counts only if start, end and type are all right (as seqeval in strict mode counts).

    Example: textome evaluate --data NCBI-disease/test.tsv
    """
    from textome.evaluation.bootstrap import bootstrap_intervals
    from textome.evaluation.entities import score_entities
    from textome.evaluation.entity_task import compare, map_types
    from textome.evaluation.report import as_dict, format_table
    from textome.formats import Quarantine, Source, guess_format
    from textome.runtime.annotator import Annotator

    if task not in ("entities", "ner"):
        raise InputError(f"--task {task}: the tasks that can be evaluated are: entities")
    given = dict(_pair(item) for item in map_ or [])
    kind = format or guess_format(Source.of(data[0]))
    quarantine = Quarantine()
    documents = list(read_all(data, kind, quarantine, entity_type))
    mapping = map_types((entity.type for item in documents for entity in item.entities), _types(model), given)
    if not mapping:
        raise InputError(f"{', '.join(data)}: the data holds no entity of a type that the model knows")
    annotator = Annotator.load(
        model, precision=precision, threads=threads, types=sorted(set(mapping.values())), sentences=kind != "conll"
    )
    started = time.monotonic()
    comparison = compare(annotator, documents, mapping, words=kind == "conll")
    seconds = time.monotonic() - started
    scores = score_entities(comparison.gold, comparison.predicted)
    intervals = bootstrap_intervals(comparison.gold, comparison.predicted)
    if as_json:
        facts = {"model": annotator.bundle.name, "data": data, "documents": len(documents), "seconds": seconds}
        typer.echo(json.dumps(facts | as_dict(scores, intervals), indent=2))
    else:
        typer.echo(format_table(scores, intervals))
    say(f"{len(documents):,} texts in {seconds:.1f} s with {annotator.bundle.name}")
    finish(quarantine, len(documents))


def _types(model: str | None) -> tuple[str, ...]:
    from textome.runtime.bundle import Bundle, resolve_model

    return Bundle.load(resolve_model(model)).types


def _pair(item: str) -> tuple[str, str]:
    label, equals, name = item.partition("=")
    if not equals:
        raise InputError(f"--map {item!r}: expected LABEL=TYPE, for instance GENE=Gene")
    return label, name

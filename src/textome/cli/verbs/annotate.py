"""`textome annotate`: find entities in files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textome.cli.options import InputFormat, Inputs, OutputFormat, Replace, TextColumn, Threads
from textome.cli.pipelines import with_pipeline
from textome.cli.streams import EscapeFormulas, finish, read_all, reported, say, watched

if TYPE_CHECKING:
    from textome.documents import Document
    from textome.pipeline import PipelineChoice

_NUM_IDS = 200_000


@with_pipeline
def annotate(
    inputs: Inputs,
    pipeline: PipelineChoice,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", help="Where to write; may be given several times, in several formats."),
    ] = None,
    to: OutputFormat = None,
    from_: InputFormat = None,
    text_column: TextColumn = None,
    escape_formulas: EscapeFormulas = False,
    replace: Replace = False,
    relations: Annotated[
        str | None, typer.Option("--relations", help="A bundle that finds relations between the entities.", hidden=True)
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print highlighted text, also beside an --output.")] = False,
    threads: Threads = None,
) -> None:
    """Annotate texts: entities by default, and whatever the models and steps of the pipeline give.

    Reads PubMed XML, BioC, PubTator, brat, CoNLL, JSON lines and plain text. On a terminal the text is printed with
    its entities highlighted; otherwise documents are written as JSON lines, or in the format of --to or --output. Several
    models run one after another: one for relations asks about the entities of those before it.

    Example: textome annotate abstracts.xml --output entities.bioc.json --output page.html
    """
    from textome.formats import Quarantine, format_of_name

    targets = [(path, to or format_of_name(path)) for path in output or []]
    if not targets and to:
        targets = [("-", to)]
    show = show or (not targets and sys.stdout.isatty())
    if not targets and not show:
        targets = [("-", "jsonl")]
    if relations:
        pipeline = pipeline.with_model(relations)
    quarantine = Quarantine()
    loaded = pipeline.load(threads=threads)
    files = ", ".join(inputs[:3]) + ", ..." * (len(inputs) > 3)
    loaded.report_to(lambda document, error: quarantine.add(files, f"document {document.id}", error))
    annotated = loaded.stream(
        read_all(inputs, from_, quarantine, text_column=text_column, pipeline=loaded), replace=replace
    )
    documents = _report_repeated_ids(watched(annotated, "annotated", quarantine))
    with reported(quarantine):
        number = _deliver(documents, targets, show, not escape_formulas)
    finish(quarantine, number)


def _report_repeated_ids(documents: Iterator[Document]) -> Iterator[Document]:
    """Pass documents on, and tell at the end how many have the id of an earlier one, among the first `_NUM_IDS` ids."""
    seen: set[int] = set()
    number, example = 0, ""
    for document in documents:
        if (key := hash(document.id)) in seen:
            number, example = number + 1, example or document.id
        elif len(seen) < _NUM_IDS:
            seen.add(key)
        yield document
    if number:
        say(f"documents with the id of an earlier one: {number:,}, the first {example!r}; all are written")


def _deliver(documents: Iterator[Document], targets: list[tuple[str, str]], show: bool, formulas: bool) -> int:
    """Write documents to every target and, where wanted, to the terminal; returns their number.

    With one target documents stream through. With several they pass through a temporary file, so that memory stays flat
    however many there are.
    """
    from textome.formats import Target, read_documents, write_documents

    outputs = [(Target.of(path, formulas), name) for path, name in targets]
    if len(targets) + show == 1:
        return _show(documents) if show else write_documents(documents, *outputs[0])
    import tempfile

    with tempfile.TemporaryDirectory(prefix="textome-") as folder:
        spool = Path(folder) / "documents.jsonl"
        number = write_documents(documents, spool, "jsonl")
        if show and number:
            _show(read_documents(spool, "jsonl"))
        for target, name in outputs if number else []:
            write_documents(read_documents(spool, "jsonl"), target, name)
    return number


def _show(documents: Iterable[Document]) -> int:
    from textome.cli.terminal import print_document

    number = 0
    for document in documents:
        print_document(document)
        number += 1
    return number

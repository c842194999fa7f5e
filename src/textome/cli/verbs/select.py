"""`textome select`: which texts to label next."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from textome.cli.options import InputFormat, Inputs, TextColumn, Threads
from textome.cli.pipelines import with_pipeline
from textome.cli.streams import finish, read_all, say, watched
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.pipeline import PipelineChoice


@partial(with_pipeline, but=("question", "min_confidence", "flat"))
def select(
    inputs: Inputs,
    pipeline: PipelineChoice,
    number: Annotated[int, typer.Option("--count", "-n", help="How many texts to select.", min=1)] = 100,
    output: Annotated[str, typer.Option("--output", "-o", help="File or folder; - is standard output.")] = "-",
    to: Annotated[
        str | None, typer.Option("--to", help="Format to write; default: by the output's name, else as the input's.")
    ] = None,
    from_: InputFormat = None,
    text_column: TextColumn = None,
    labelled: Annotated[
        list[str] | None, typer.Option(help="Files of texts that have labels already; may be given several times.")
    ] = None,
    diversity: Annotated[
        float, typer.Option(help="How much a text loses that is like one selected before.", min=0, max=1)
    ] = 0.5,
    threads: Threads = None,
) -> None:
    """Select the texts to label next: those of which the model is least sure, and that are least like each other.

    The most useful text is first. The reason is the metadata `selected_because` of each document, and a line on standard
    error.

    Example: textome select notes/ --model run/bundle --count 50 --output next.jsonl
    """
    from textome.evaluation.selection import select as selected
    from textome.evaluation.selection import uncertainties
    from textome.formats import Quarantine, write_documents
    from textome.runtime.model import Model

    quarantine = Quarantine()
    model = next((item for item in pipeline.load(threads=threads).models if isinstance(item, Model)), None)
    if model is None:
        raise InputError("the pipeline has no model of texts; name one with --model")
    known = read_all(labelled, None, quarantine) if labelled else ()
    documents = watched(read_all(inputs, from_, quarantine, text_column=text_column), "read", quarantine)
    items = selected(uncertainties(model, documents), number, known, diversity)
    for item in items:
        say(f"{item.document.id}: {item.reason}")
    format = to or (None if output != "-" else _format_of(inputs[0], from_))
    finish(quarantine, write_documents((item.with_reason() for item in items), output, format))


def _format_of(path: str, format: str | None) -> str:
    """The format of the input where it can be written to one stream, or else JSON lines."""
    from textome.formats import FORMATS, Source, guess_format

    source = None if path == "-" else Source.of(path)
    if source is None or source.is_directory:
        return "jsonl"
    name = format or guess_format(source)
    row = FORMATS[name]
    return name if row.writable and row.writes_texts and row.extension else "jsonl"

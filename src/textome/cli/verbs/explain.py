"""`textome explain`: the words that speak for what a model finds, and those that speak against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textome.cli.options import AsJson, InputFormat, Precision, TaskName, Threads
from textome.cli.streams import echo, finish, read_all, say, split_list
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.documents import Document
    from textome.explain.occlusion import Explanation
    from textome.formats import Quarantine
    from textome.runtime.predictor import Predictor


def explain(
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="A text, or a file of documents or other records; - is standard input."),
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A bundle's folder or hub name; default: the bundled model.")
    ] = None,
    task: TaskName = None,
    types: Annotated[
        str | None, typer.Option(help="Entity types to explain, as A,B; default: the model's own.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="Leave out entities below this probability; default: what the model says.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Explain this label instead of the predicted one.")] = None,
    pair: Annotated[
        str | None,
        typer.Option(help="The second text, for a task that reads two: where the answer of a question may stand."),
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many words to show of each finding.")] = 5,
    from_: InputFormat = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A page (.html) or all weights (.json).")
    ] = None,
    precision: Precision = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Tell which words speak for each entity, label, relation or answer that a model finds, and which against it.

    Each word is hidden in turn; its weight is how far the log-odds of the finding fall (0.7: its odds halve). Of a model of
    tables or of gene expression, each column or gene is taken away in turn; of proteins each mutation or stretch; of
    several modalities together each of them, and a page pictures how much each looks at the others.

    Example: textome explain "Metformin lowered glucose in type 2 diabetes." --output report.html
    """
    from textome.explain.explainer import Explainer
    from textome.explain.page import explanation_page
    from textome.formats import Quarantine
    from textome.runtime.bundle import TEXT, Bundle, resolve_model
    from textome.runtime.predictor import Predictor

    if output and output.suffix not in (".html", ".json"):
        raise InputError(f"--output {output}: name a .html or .json file")
    quarantine = Quarantine()
    bundle = Bundle.load(resolve_model(model))
    if bundle.reads != TEXT:
        options = {
            "--task": task,
            "--types": types,
            "--min-confidence": min_confidence,
            "--pair": pair,
            "--from": from_,
        }
        if unread := [name for name, value in options.items() if value is not None]:
            raise InputError(f"{unread[0]} is for models of texts; {bundle.name!r} reads {bundle.reads}")
        _records(Predictor(bundle, precision, threads), text, label, number, output, as_json, quarantine)
        return
    documents = list(_documents(text, from_, quarantine))
    explainer = Explainer.load(
        model, task, types=split_list(types), min_confidence=min_confidence, precision=precision, threads=threads
    )
    explainer.check(label, pair)
    explanations: list[Explanation] = []
    for document in documents:
        try:
            explanations += explainer.explain(document, label=label, pair=pair)
        except InputError as error:
            quarantine.add(text, f"document {document.id}", error)
    rows = [asdict(item) | {"text": item.text} for item in explanations]
    if not _written(rows, lambda: explanation_page(explanations, explainer.bundle.name), output, as_json):
        for item in explanations:
            where = "" if item.sentence is None else f"sentence {item.sentence + 1}: "
            echo(f"{where}{item.finding} {item.confidence:.3f}{'  ' if item.text else ''}{item.text}")
            for word in item.heaviest(number):
                echo(f"  {word.weight:+6.2f}  {word.text}")
    say(f"{len(explanations):,} findings explained" if explanations else "nothing was found that could be explained")
    finish(quarantine, len(documents))


def _records(
    predictor: Predictor,
    path: str,
    label: str | None,
    number: int,
    output: Path | None,
    as_json: bool,
    quarantine: Quarantine,
) -> None:
    """Explain the answers about the records of a file that is not text."""
    from textome.explain.record_page import record_page
    from textome.explain.records import explain_content

    explanations = []
    for record in predictor.read("", path, quarantine):
        try:
            explanations.append(explain_content(predictor, record, label))
        except InputError as error:
            quarantine.add(path, f"record {record.id}", error)
    rows = [item.as_dict() for item in explanations]
    if not _written(rows, lambda: record_page(explanations, predictor.name), output, as_json):
        for item in explanations:
            echo(f"{item.record}: {item.finding} {item.value:.3f}")
            for name, weight in item.parts[:number]:
                echo(f"  {weight:+6.2f}  {name}")
            if item.attention:
                for name, row in zip(item.attention.parts, item.attention.between_parts.mean(0), strict=True):
                    shares = (f"{part} {share:.2f}" for part, share in zip(item.attention.parts, row, strict=True))
                    echo(f"  {name} looks at {', '.join(shares)}")
    say(f"{len(explanations):,} answers explained")
    finish(quarantine, len(explanations))


def _written(rows: list[dict[str, Any]], page: Callable[[], str], output: Path | None, as_json: bool) -> bool:
    """Write all weights, or the page, where the user asks for one; whether they do."""
    from textome.formats.reading.sources import atomic_file

    everything = json.dumps(rows, indent=2, ensure_ascii=False)
    if output:
        with atomic_file(output) as stream:
            stream.write((everything if output.suffix == ".json" else page()).encode())
    if as_json:
        echo(everything)
    return as_json or output is not None


def _documents(text: str, from_: str | None, quarantine: Quarantine) -> Iterator[Document]:
    from textome.documents import Document

    try:
        named = text == "-" or Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or with characters that none has
        named = False
    if named:
        yield from read_all([text], from_, quarantine)
    elif not text.strip():
        raise InputError("the text is empty; give a sentence or more")
    else:
        yield Document.from_text(text)

"""`textome ask`: answer a question from texts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from textome.cli.options import AsJson, InputFormat, Inputs, Precision, Threads
from textome.cli.streams import echo, finish, read_all, say
from textome.errors import InputError


def ask(
    inputs: Inputs,
    model: Annotated[str, typer.Option("--model", "-m", help="A bundle with a task of kind answers.")],
    question: Annotated[str | None, typer.Option("--question", "-q", help="The question.")] = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many answers.")] = 5,
    from_: InputFormat = None,
    bioasq: Annotated[
        str | None, typer.Option(help="Take the inputs as BioASQ files and answer their `factoid` or `list` questions.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="With --bioasq: where the answers go.")] = None,
    precision: Precision = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question by the words of texts, with their sentence, offsets and confidence.

    Example: textome ask abstracts.xml --model runs/bioasq/bundle --question "Which gene is mutated in cystic fibrosis?"
    """
    from textome.datasets.questions import read_questions
    from textome.formats import Quarantine
    from textome.formats.reading.sources import atomic_file
    from textome.runtime.answerer import Answerer

    quarantine = Quarantine()
    if bioasq:
        if bioasq not in ("factoid", "list"):
            raise InputError(f"--bioasq {bioasq}: choose factoid or list")
        answerer = Answerer.load(model, precision=precision, threads=threads)
        items = [item for path in inputs for item in read_questions(path, f"bioasq-{bioasq}", quarantine)]
        text = json.dumps(answerer.submission(items), indent=2, ensure_ascii=False)
        if output:
            with atomic_file(output) as stream:
                stream.write(text.encode())
        else:
            echo(text)
        say(f"{len(items):,} questions answered")
        finish(quarantine, len(items))
        return
    if not question:
        raise InputError("there is no question; give it with --question, or a file of them with --bioasq")
    answerer = Answerer.load(model, precision=precision, threads=threads)
    documents = list(read_all(inputs, from_, quarantine))
    answers = answerer.ask(question, documents, number)
    if as_json:
        echo(json.dumps([asdict(answer) for answer in answers], indent=2, ensure_ascii=False))
    else:
        for answer in answers:
            echo(f"{100 * answer.confidence:5.1f} %  {answer.text}")
            echo(f"         {answer.document} {answer.start}-{answer.end}: {' '.join(answer.sentence.split())}")
    finish(quarantine, len(documents))

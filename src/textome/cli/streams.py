"""What several verbs share: reading many inputs, telling how far things are, and the end of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from textome.errors import InputError, TextomeError
from textome.escapes import shown

if TYPE_CHECKING:
    from textome.documents import Document
    from textome.formats import Quarantine
    from textome.pipeline import Pipeline

T = TypeVar("T")
EscapeFormulas = Annotated[
    bool,
    typer.Option(
        "--escape-formulas", help="In CSV and TSV, an apostrophe before cells that a spreadsheet would compute."
    ),
]
SHOWN = 20
SECONDS_BETWEEN_LINES = 10.0


def say(message: str) -> None:
    """A line for the person at the terminal: standard error, since standard output is for results."""
    print(shown(message), file=sys.stderr, flush=True)


def echo(message: object, end: str = "\n") -> None:
    """A result on standard output; on a terminal its control characters are shown and not sent."""
    text = f"{message}{end}"
    typer.echo(shown(text) if sys.stdout.isatty() else text, nl=False)


def read_all(
    inputs: Sequence[str],
    format: str | None,
    quarantine: Quarantine,
    entity_type: str | None = None,
    text_column: str | None = None,
    pipeline: Pipeline | None = None,
) -> Iterator[Document]:
    """The documents of all inputs. An input that cannot be read at all is quarantined, and the others go on.

    entity_type, text_column   what CoNLL files and tables do not tell themselves
    pipeline                   what the documents are for: it reads images, sounds and the like itself

    Raises InputError where there is only one input and it cannot be read.
    """
    from textome.formats import expand_inputs, read_documents, read_inputs

    whole = pipeline is not None and pipeline.reads != "text"
    read = read_documents if pipeline is None else pipeline.read
    candidates = {"entity_type": entity_type, "text_column": text_column}
    options = {name: value for name, value in candidates.items() if value}
    return read_inputs(list(inputs) if whole else expand_inputs(inputs), format, quarantine, read, **options)


def watched(items: Iterable[T], what: str, quarantine: Quarantine, noun: str = "document") -> Iterator[T]:
    """Pass items on and tell how many went by: a live line on a terminal, a plain line now and then elsewhere."""
    started = last_line = time.monotonic()
    live = sys.stderr.isatty()
    number = 0
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last_line >= (0.2 if live else SECONDS_BETWEEN_LINES):
            last_line = now
            line = _line(what, number, noun, now - started, quarantine.count)
            print(f"\r{line}" if live else line, end="" if live else "\n", file=sys.stderr, flush=True)
    if live and number:
        print("\r" + " " * 78 + "\r", end="", file=sys.stderr)
    say(_line(what, number, noun, time.monotonic() - started, quarantine.count))


def report(quarantine: Quarantine) -> None:
    """Tell which records were quarantined, the first of them with position and reason."""
    for line in quarantine.summary(SHOWN):
        say(line)


@contextmanager
def reported(quarantine: Quarantine) -> Iterator[None]:
    """Where the work inside ends in an error, tell first what was quarantined until then."""
    try:
        yield
    except TextomeError:
        report(quarantine)
        raise


def finish(quarantine: Quarantine, documents: int) -> None:
    """Tell what was quarantined and leave with the exit code of the design: 0, or 1 where records were left out.

    Raises InputError where not one document could be read.
    """
    report(quarantine)
    if not quarantine.count:
        return
    if not documents:
        raise InputError(f"no document could be read; {quarantine.count} quarantined, see above")
    say(f"{quarantine.count} quarantined, {documents} {'document' if documents == 1 else 'documents'} done")
    raise typer.Exit(quarantine.exit_code)


def _line(what: str, number: int, noun: str, seconds: float, quarantined: int) -> str:
    speed = number / seconds if seconds > 0 else 0.0
    rate = f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s"
    nouns = noun if number == 1 else f"{noun}s"
    return f"{what}: {number:,} {nouns}, {rate}" + (f", {quarantined} quarantined" if quarantined else "")


def split_list(values: str | None) -> list[str] | None:
    """`A,B` as a list; None and an empty text as None."""
    return [value.strip() for value in values.split(",") if value.strip()] or None if values else None

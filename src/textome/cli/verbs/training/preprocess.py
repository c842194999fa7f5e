"""`textome preprocess`: from raw files to a corpus that a model is pretrained on."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textome.cli.options import InputFormat, TextColumn
from textome.cli.streams import SECONDS_BETWEEN_LINES, echo, say, split_list
from textome.cli.streams import report as tell_quarantine
from textome.errors import InputError
from textome.escapes import shown
from textome.processors import available_threads

if TYPE_CHECKING:
    from textome.corpus.build import Report


def preprocess(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Files, folders, archives, ARCHIVE!FOLDER, corpora; - is standard input."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the corpus.")],
    tokenizer: Annotated[
        str | None,
        typer.Option(help="Model whose vocabulary cuts the texts: folder or hub name; default: the bundled."),
    ] = None,
    from_: InputFormat = None,
    text_column: TextColumn = None,
    blank_lines: Annotated[
        bool, typer.Option("--blank-lines", help="Blank lines part documents in plain text.")
    ] = False,
    captions: Annotated[bool, typer.Option(help="Read captions of figures and tables in JATS.")] = True,
    clean: Annotated[bool, typer.Option(help="Repair encodings; drop markup and control characters.")] = True,
    replace: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="Replace a string first, as '<dig>=0'; may be repeated.")
    ] = None,
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Lower-case the texts.")] = False,
    split: Annotated[bool, typer.Option(help="Split paragraphs into sentences.")] = True,
    quality: Annotated[bool, typer.Option(help="Drop what is too short or no prose.")] = True,
    min_words: Annotated[int, typer.Option(help="Drop documents with fewer words.")] = 20,
    language: Annotated[str | None, typer.Option(help="Keep only these languages, as en,de.")] = None,
    dedup: Annotated[str, typer.Option(metavar="none|exact|near", help="Which doubles of documents to drop.")] = "near",
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Put placeholders for obvious identifiers of people.")
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TESTSET", help="Drop documents that share a long run of words or a PMID; may be repeated."
        ),
    ] = None,
    bag_of_words: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write word counts besides, a JSON line a document.")
    ] = None,
    drop_stop_words: Annotated[
        bool, typer.Option("--drop-stop-words", help="Leave stop words out of --bag-of-words.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a build that was stopped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make a corpus for pretraining: clean texts, without doubles and without your test sets, cut into tokens.

    Reads every format that Textome knows, JATS full text among them, and tar and zip archives of them. What is dropped is
    counted by reason.

    Example: textome preprocess pmc/ abstracts.tar.gz --output corpus/ --language en --exclude test.tsv
    """
    from textome.corpus.build import DEDUPLICATION, Settings, build
    from textome.corpus.filters import QualityLimits
    from textome.corpus.parts import Reading
    from textome.corpus.pipeline import Steps
    from textome.formats import FORMATS
    from textome.runtime.bundle import resolve_model

    if dedup not in DEDUPLICATION:
        raise InputError(f"--dedup {dedup}: choose one of {', '.join(DEDUPLICATION)}")
    if from_ is not None and (from_ not in FORMATS or not FORMATS[from_].readable):
        raise InputError(
            f"--from {from_}: choose one of {', '.join(key for key, row in FORMATS.items() if row.readable)}"
        )
    if drop_stop_words and bag_of_words is None:
        raise InputError(
            "--drop-stop-words is for --bag-of-words FILE only: a language model reads who does what to whom off words "
            "such as not, by and of, and learns nothing from texts without them"
        )
    if resume and "-" in inputs:
        raise InputError("--resume cannot read standard input again; write it to a file first")
    if resume and not output.exists():
        say(f"{output}: no build to resume; it starts from the beginning")
    steps = Steps(
        clean=clean,
        lowercase=lowercase,
        replace=tuple(map(_replacement, replace or [])),
        split=split,
        languages=tuple(split_list(language) or ()),
        quality=QualityLimits(min_words=min_words) if quality else None,
        deidentify=deidentify,
    )
    settings = Settings(
        steps, Reading(from_, captions, blank_lines, text_column), dedup, bag_of_words is not None, drop_stop_words
    )
    started = time.monotonic()
    with _Teller() as tell:
        report = build(
            inputs,
            output,
            resolve_model(tokenizer),
            settings,
            exclude or [],
            bag_of_words,
            workers or available_threads(),
            resume,
            tell,
        )
    seconds = time.monotonic() - started
    _print_report(report, exclude or [], seconds, output, as_json)
    if report.quarantine.count:
        raise typer.Exit(report.quarantine.exit_code)


def _replacement(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals):
        raise InputError(f"--replace {text}: write it as OLD=NEW, for instance '<dig>=0'")
    return old, new


def _print_report(report: Report, exclude: list[str], seconds: float, output: Path, as_json: bool) -> None:
    tell_quarantine(report.quarantine)
    values = report.as_dict()
    rate = report.counts.read / seconds if seconds else 0.0
    if as_json:
        echo(json.dumps({"corpus": str(output), **values, "seconds": seconds, "documents_per_second": rate}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for label, number in _rows(report):
        table.add_row(shown(label), f"{number:,}")
    Console(highlight=False, markup=False).print(table)
    echo(f"{output}: {rate:,.0f} documents/s")


def _rows(report: Report) -> list[tuple[str, int]]:
    counts = report.counts
    return [
        ("documents read", counts.read),
        *((f"  dropped: {reason}", number) for reason, number in counts.dropped.most_common()),
        *((f"    shared with {name}", number) for name, number in counts.leaked.items()),
        ("documents kept", counts.kept),
        *((f"  {change}", number) for change, number in counts.changed.most_common()),
        *((f"    [{kind}]", number) for kind, number in counts.identifiers.most_common()),
        ("sentences", report.sentences),
        ("words", report.words),
        ("tokens", report.tokens),
        ("shards", report.shards),
        ("records quarantined", report.quarantine.count),
        ("files without text", report.skipped_files),
    ]


class _Teller:
    """Shows how far a build is: a progress bar on a terminal, a line now and then elsewhere."""

    def __enter__(self) -> _Teller:
        self._started = self._last_line = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("reading", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "part":
            seconds = time.monotonic() - self._started
            rate = event["read"] / seconds if seconds else 0.0
            line = f"{event['read']:,} documents, {rate:,.0f}/s, {event['kept']:,} kept"
            # Of folders the size is not known before they are read.
            self._show(line, event["position"], event["size"] if event["size"] >= event["position"] else None)
        elif event["event"] == "doubles":
            self._show(f"looking for doubles among {event['documents']:,} documents", 0, None)
        else:
            self._show(f"writing shard {event['done']:,} of {event['of']:,}", event["done"], event["of"])

    def _show(self, line: str, done: int, total: int | None) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=line, completed=done, total=total)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            say(line)

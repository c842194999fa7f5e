"""`textome deidentify`: personal data in texts are masked, replaced or marked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textome.cli.options import InputFormat, Inputs, OutputFormat, OutputPath, TextColumn
from textome.cli.streams import EscapeFormulas, finish, read_all, say, split_list, watched

if TYPE_CHECKING:
    from textome.documents import Document
    from textome.steps.deidentification import Deidentified


def deidentify(
    inputs: Inputs,
    mode: Annotated[
        str,
        typer.Option(
            metavar="mask|surrogate|tag",
            help="[NAME]; an invented name, dates moved; or the text as it is with entities NAME, DATE, ...",
        ),
    ] = "mask",
    output: OutputPath = "-",
    to: OutputFormat = None,
    from_: InputFormat = None,
    text_column: TextColumn = None,
    escape_formulas: EscapeFormulas = False,
    kinds: Annotated[
        str | None, typer.Option(help="Kinds to look for, as NAME,DATE; default: all but COUNTRY.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="rampart, or a bundle's folder; default: rules alone.")
    ] = None,
    rules: Annotated[str | None, typer.Option(help="A file of rules of your own, beside Textome's.")] = None,
    names: Annotated[
        str | None, typer.Option(help="A file of names, one a line, that are replaced wherever they stand.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="At least 16 random bytes: the same secret gives the same surrogates again."),
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Key of the metadata that says whose a document is; needs --secret.")
    ] = None,
    day_first: Annotated[bool, typer.Option("--day-first", help="03/04/2020 is the third of April.")] = False,
    keep_metadata: Annotated[
        bool, typer.Option("--keep-metadata", help="Keep metadata, which may name people.")
    ] = False,
    new_ids: Annotated[bool, typer.Option("--new-ids", help="Give documents ids that say nothing.")] = False,
    map_: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="Write old and new offsets of what is replaced, as JSON lines."),
    ] = None,
) -> None:
    """Replace names, dates, numbers and places of people, or mark them.

    What rules and model do not find stays, so have texts reviewed before you pass them on: this is not anonymisation as
    HIPAA or the GDPR mean it. Annotations move along with the text.

    Example: textome deidentify notes/ --mode surrogate --secret key.bin --output clean/
    """
    from textome.formats import Quarantine, Target, write_documents
    from textome.steps.deidentification import Deidentification

    candidates = {
        "kinds": split_list(kinds),
        "model": model,
        "rules": rules,
        "names": names,
        "secret": secret,
        "patient": patient,
    }
    step = Deidentification.of(
        {key: value for key, value in candidates.items() if value is not None}
        | {"mode": mode, "day_first": day_first, "keep_metadata": keep_metadata, "new_ids": new_ids}
    )
    quarantine = Quarantine()
    counts: Counter[str] = Counter()
    results = step.results(read_all(inputs, from_, quarantine, text_column=text_column))
    with ExitStack() as stack:
        documents = _written(results, counts, stack, map_)
        shown = watched(documents, "de-identified", quarantine)
        number = write_documents(shown, Target.of(output, not escape_formulas), to)
    hidden = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
    say(f"{'marked' if mode == 'tag' else 'replaced'}: {hidden or 'nothing'}")
    finish(quarantine, number)


def _written(
    results: Iterable[Deidentified], counts: Counter[str], stack: ExitStack, path: Path | None
) -> Iterator[Document]:
    """The documents; what is found in them is counted, and written to `path` line by line."""
    from textome.formats.reading.sources import atomic_file

    stream = stack.enter_context(atomic_file(path)) if path else None
    for result in results:
        counts.update(item.kind for item in result.findings)
        if stream is not None:
            line = {"id": result.document.id, "replaced": result.offsets()}
            stream.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
        yield result.document

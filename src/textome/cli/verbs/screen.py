"""`textome screen`: a library of molecules against proteins, ranked by how strongly they are predicted to bind."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textome.cli.options import OutputFile, Precision, Threads
from textome.cli.streams import finish, report, say
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.formats import Quarantine
    from textome.inputs.library import LibraryMolecule
    from textome.inputs.records import Floats
    from textome.runtime.pairs import PairPredictor


def screen(
    library: Annotated[
        list[str],
        typer.Argument(metavar="LIBRARY...", help="Molecules: CSV with SMILES, or lines SMILES NAME."),
    ],
    targets: Annotated[list[str], typer.Option("--target", "-t", help="Proteins: a FASTA file, or a table.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A bundle of a model of pairs, exported by textome export.")
    ],
    output: OutputFile = Path("-"),
    to: Annotated[str, typer.Option(help="tsv, csv or jsonl.")] = "tsv",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many of each target, the strongest first.")] = None,
    smiles: Annotated[str, typer.Option(help="The column of the SMILES.")] = "smiles",
    name: Annotated[str | None, typer.Option(help="The column of the names; default: `name` if there is one.")] = None,
    precision: Precision = None,
    threads: Threads = None,
) -> None:
    """Rank a library of molecules by how strongly each is predicted to bind to a protein, with an interval for each.

    The interval holds for pairs like those of the validation data; a molecule or a protein unlike any of the training data
    is predicted worse than it says. Molecules that cannot be read are quarantined, and the others go on.

    Example: textome screen library.smi --target kinase.fasta --model runs/kiba/bundle --limit 100
    """
    from textome.formats import Quarantine
    from textome.formats.reading.sources import Target
    from textome.runtime.pairs import PairPredictor
    from textome.runtime.step import ModelSettings, load_model

    if to not in (kinds := ("tsv", "csv", "jsonl")):
        raise InputError(f"--to {to!r} is none of {', '.join(kinds)}")
    loaded = load_model(ModelSettings(model=model, precision=precision, threads=threads))
    if not isinstance(loaded, PairPredictor):
        raise InputError(f"--model {model} reads {loaded.bundle.reads}; screening needs a model of pairs of two things")
    quarantine, started = Quarantine(), time.monotonic()
    proteins = [protein for path in targets for protein in _proteins(loaded, path, quarantine)]
    if not proteins:
        report(quarantine)
        raise InputError(f"{', '.join(targets)}: no protein can be read")
    from textome.inputs.library import read_library

    molecules = [item for path in library for item in read_library(path, smiles, name, quarantine)]
    readable = [(item, vector) for item in molecules if (vector := _vector(loaded, item, quarantine)) is not None]
    answers = loaded.screened([vector for _, vector in readable], [vector for _, vector in proteins])
    rows = []
    first, second = loaded.names
    for number, (target, _) in enumerate(proteins):
        order = sorted(range(len(readable)), key=lambda row: (-answers[row, number, 0], readable[row][0].name))
        for rank, row in enumerate(order[:limit], 1):
            item, _ = readable[row]
            values = zip(loaded.target.answer_names, answers[row, number].tolist(), strict=True)
            numbers = {key: round(value, 4) for key, value in values}
            rows.append({"rank": rank, second: target, first: item.name, "smiles": item.smiles} | numbers)
    with Target.of(output).open() as stream:
        stream.write(_text(rows, to).encode())
    count, seconds = len(readable) * len(proteins), time.monotonic() - started
    say(
        f"{count:,} pairs in {seconds:.1f} s with {loaded.name}: {len(readable):,} {first}s, {len(proteins):,} {second}s"
    )
    finish(quarantine, len(readable))


def _proteins(loaded: PairPredictor, path: str, quarantine: Quarantine) -> list[tuple[str, Floats]]:
    """The names and vectors of the second things of a file."""
    _, side = loaded.names
    return [
        (key, loaded.vector(side, content)) for key, content in loaded.input.contents(side, path, quarantine).items()
    ]


def _vector(loaded: PairPredictor, item: LibraryMolecule, quarantine: Quarantine) -> Floats | None:
    """The vector of a molecule; None for one that is quarantined."""
    try:
        return loaded.vector(loaded.names[0], (item.smiles,))
    except InputError as error:
        quarantine.add(item.source, item.position, error)
        return None


def _text(rows: list[dict[str, Any]], to: str) -> str:
    if to == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t" if to == "tsv" else ",", lineterminator="\n")
    writer.writerows([list(rows[0]), *(list(row.values()) for row in rows)] if rows else [])
    return text.getvalue()

"""`textome predict`: what a sequence model says about images, sounds, signals, DNA, molecules and other files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from textome.cli.streams import finish, say
from textome.errors import InputError


def predict(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files or folders; PLACE#RULE for a part.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A bundle, exported by textome export.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write; - is standard output.")] = Path("-"),
    to: Annotated[Literal["jsonl", "tsv"], typer.Option(help="JSON lines, or a table.")] = "jsonl",
    precision: Annotated[str | None, typer.Option(help="int8 or fp32, where the bundle has both.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads; default: all cores.")] = None,
) -> None:
    """Classify images, sounds, signals, DNA, molecules or several of them together, or predict numbers from them.

    Example: textome predict scans/ --model runs/pneumonia/bundle --to tsv
    """
    from textome.formats import Quarantine
    from textome.formats.sources import Target as Place
    from textome.runtime.modality_bundle import ModalityBundle
    from textome.runtime.predictor import Predictor

    if not ModalityBundle.is_at(model):
        raise InputError(
            f"--model {model}: this is no model of images, sounds, DNA and the like; for texts see textome annotate"
        )
    predictor, quarantine = Predictor.load(model, precision, threads), Quarantine()
    target = predictor.bundle.target
    started, count = time.monotonic(), 0
    with Place.of(output).open() as stream:
        if to == "tsv":
            stream.write(_row(["file", "id", *_columns(target.kind, target.labels)]))
        for place in inputs:
            try:
                for record, answer in predictor.stream(place, quarantine):
                    count += 1
                    found = target.described(answer)
                    if to == "jsonl":
                        stream.write(json.dumps({"file": place, "id": record.id} | found, ensure_ascii=False).encode())
                        stream.write(b"\n")
                    else:
                        stream.write(_row([place, record.id, *_cells(target.kind, found)]))
            except InputError as error:
                if len(inputs) == 1:
                    raise
                quarantine.add(place, "", str(error).removeprefix(f"{place}: "))
    say(f"{count:,} records in {time.monotonic() - started:.1f} s with {predictor.bundle.name}")
    finish(quarantine, count)


def _columns(kind: str, labels: tuple[str, ...]) -> list[str]:
    return ["label", "probability"] if kind == "classification" else list(labels)


def _cells(kind: str, found: dict[str, Any]) -> list[str]:
    if kind == "classification":
        return [found["label"], str(found["probability"])]
    return [str(value) for value in found["values" if kind == "regression" else "probabilities"].values()]


def _row(cells: list[str]) -> bytes:
    return ("\t".join(" ".join(cell.split()) for cell in cells) + "\n").encode()

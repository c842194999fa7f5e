"""`textome predict`: the labels that a model gives to texts and their sentences, images, sounds, DNA and other files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from textome.cli.options import InputFormat, OutputFile, Precision, TaskName, Threads
from textome.cli.pictures import write_pictures
from textome.cli.streams import EscapeFormulas, finish, reported, say
from textome.errors import InputError
from textome.escapes import no_formula

if TYPE_CHECKING:
    from textome.formats import Quarantine
    from textome.runtime.bundle import Bundle
    from textome.runtime.pixels.predictor import MapPredictor
    from textome.runtime.predictor import Predictor
    from textome.tasks import SomePrediction

Row = dict[str, Any]


def predict(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files or folders; PLACE#RULE for a part.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A bundle, exported by textome export.")],
    task: TaskName = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="What is asked of every text, by a task that reads pairs.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Read records, pairs too, from files of training data: tsv, jsonl, pubmedqa ...")
    ] = None,
    from_: InputFormat = None,
    output: OutputFile = Path("-"),
    to: Annotated[
        Literal["jsonl", "tsv", "png", "coco"],
        typer.Option(help="JSON lines, a table; of pixels also a folder of masks (png), or boxes (coco)."),
    ] = "jsonl",
    escape_formulas: EscapeFormulas = False,
    precision: Precision = None,
    threads: Threads = None,
) -> None:
    """Give labels to texts, to pairs of texts or to the sentences of abstracts; or classify images, sounds, signals, DNA,
    molecules or several of them together, or predict numbers from them; or find things in images, as masks or boxes.

    Example: textome predict abstracts.xml --model runs/piboso/bundle --to tsv
    """
    from textome.formats import Quarantine, expand_inputs
    from textome.formats.reading.sources import Target
    from textome.runtime.bundle import TEXT, Bundle, resolve_model

    quarantine = Quarantine()
    predictor: _Files | _Texts
    bundle = Bundle.load(resolve_model(model))
    if bundle.reads != TEXT:
        for value, name in ((task, "task"), (question, "question"), (layout, "layout"), (from_, "from")):
            if value is not None:
                raise InputError(f"--{name} is for models of text; {model} is none")
        predictor = _Files(bundle, precision, threads)
        if to in ("png", "coco"):
            write_pictures(predictor.of_pixels(to), inputs, output, to)
            return
    elif to in ("png", "coco"):
        raise InputError(f"--to {to} is for models of pixels; {model} reads text")
    else:
        predictor = _Texts(model, task, question, layout, from_, precision, threads)
    started, count = time.monotonic(), 0
    several = inputs if isinstance(predictor, _Files) or layout else expand_inputs(inputs)
    with reported(quarantine), Target.of(output).open() as stream:
        if to == "tsv":
            stream.write(_line(["file", "id", *predictor.columns]))
        for path in several:
            try:
                for name, rows in predictor.answers(path, quarantine):
                    count += 1
                    for row in rows:
                        if to == "jsonl":
                            values = {"file": path, "id": name} | row
                            stream.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
                        else:
                            for cells in predictor.rows(row):
                                line = [path, name, *cells]
                                stream.write(_line(list(map(no_formula, line)) if escape_formulas else line))
            except InputError as error:
                if len(several) == 1:
                    raise
                quarantine.add(path, "", str(error).removeprefix(f"{path}: "))
    say(f"{count:,} records in {time.monotonic() - started:.1f} s with {predictor.name}")
    finish(quarantine, count)


class _Files:
    """A sequence model's answers about images, sounds, signals and the like."""

    def __init__(self, bundle: Bundle, precision: str | None, threads: int | None) -> None:
        from textome.runtime.step import ModelSettings, model_of

        self._predictor = cast(
            "Predictor | MapPredictor", model_of(bundle, ModelSettings(precision=precision, threads=threads))
        )
        self.name = bundle.name
        (self._target,) = bundle.tasks.values()

    def of_pixels(self, to: str) -> MapPredictor:
        """The model, where it is one of pixels. Raises InputError otherwise."""
        from textome.runtime.pixels.predictor import MapPredictor

        if not isinstance(self._predictor, MapPredictor):
            raise InputError(f"--to {to} is for models of pixels; this one reads {self._predictor.bundle.reads}")
        return self._predictor

    @property
    def columns(self) -> list[str]:
        return list(self._target.columns)

    def answers(self, path: str, quarantine: Quarantine) -> Iterator[tuple[str, list[Row]]]:
        for record, answer in self._predictor.stream(path, quarantine):
            yield record.id, [self._target.described(cast("SomePrediction", answer))]

    def rows(self, row: Row) -> list[list[str]]:
        return self._target.table_rows(row)


class _Texts:
    """A model's labels for documents or, with a layout of `datasets.labelled`, for the records of files."""

    def __init__(
        self,
        model: str,
        task: str | None,
        question: str | None,
        layout: str | None,
        from_: str | None,
        precision: str | None,
        threads: int | None,
    ) -> None:
        from textome.runtime.labeller import Labeller

        self._labeller = Labeller.load(model, task, precision=precision, threads=threads)
        self.name = self._labeller.runner.bundle.description.name
        self._question, self._layout, self._from = question, layout, from_
        if layout and question is not None:
            raise InputError("--question is for documents; the records of --layout have their own")
        if not layout:
            self._labeller.check(question)

    @property
    def columns(self) -> list[str]:
        where = ["sentence", "text"] if self._layout else ["start", "end", "text"]
        labels = list(self._labeller.labels) if self._labeller.multi_label else ["label", "probability"]
        return (where if self._labeller.by_sentence else []) + labels

    def answers(self, path: str, quarantine: Quarantine) -> Iterator[tuple[str, list[Row]]]:
        from textome.datasets.labelled import read_labelled
        from textome.formats import read_documents

        if self._layout:
            records = read_labelled(path, self._layout, quarantine, unlabelled=True)
            return self._labeller.records(records, quarantine, path)
        return self._labeller.documents(read_documents(path, self._from, quarantine), quarantine, path, self._question)

    def rows(self, row: Row) -> list[list[str]]:
        if self._labeller.multi_label:
            return [[str(value) for value in row["probabilities"].values()]]
        where = [str(row[name]) for name in ("sentence", "start", "end", "text") if name in row]
        return [[*where, row["label"], str(row["probability"])]]


def _line(cells: Sequence[str]) -> bytes:
    return ("\t".join(" ".join(cell.split()) for cell in cells) + "\n").encode()

"""`textome evaluate`: score a model on annotated data."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textome.cli.options import AsJson, EntityType, Precision, TextColumn, Threads
from textome.cli.streams import echo, finish, reported, say
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.runtime.bundle import Bundle


def evaluate(
    data: Annotated[list[str], typer.Option("--data", "-d", help="Annotated files or folders.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="A bundle; default: the bundled model.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Name of the task, where the model has several; see textome info.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", "--from", help="Format or layout of the data; default: by content or task."),
    ] = None,
    text_column: TextColumn = None,
    label_column: Annotated[str | None, typer.Option(help="Column of a table that holds their labels.")] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="LABEL=TYPE", help="What a label of the data stands for.")
    ] = None,
    entity_type: EntityType = None,
    precision: Precision = None,
    threads: Threads = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with plots and the worst errors here.")] = None,
    train: Annotated[
        list[str] | None, typer.Option("--train", help="Training files: scores names seen there apart from new ones.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="STEP.KEY=VALUE", help="A setting, where --task is a step.")
    ] = None,
    compare: Annotated[str | None, typer.Option(help="Another bundle, to tell which of the two is better.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score a model on annotated data by its task's metric, with 95 % intervals.

    An entity counts only if start, end and type are all right (as seqeval in strict mode counts). Labels are scored over
    texts, sentences or pairs of mentions; every other task by its own scores. The step linking is scored by the identifiers
    that it gives to the mentions of the data: --task linking.

    Example: textome evaluate --data NCBI-disease/test.tsv
    """
    from textome.steps import STEPS

    if task in STEPS:
        from textome.cli.evaluate_step import evaluate_step

        if model or map_ or entity_type or precision or threads or compare or label_column:
            options = "--data, --format, --text-column, --train, --set, --report and --json"
            raise InputError(f"--task {task}: a step takes {options}")
        evaluate_step(task, data, format, text_column, train or [], set_ or [], report, as_json)
        return
    if set_:
        raise InputError("--set is for steps; name one with --task")
    from textome.evaluation.evaluation import Data
    from textome.evaluation.evaluation import evaluate as evaluated
    from textome.evaluation.html_parts import write_page
    from textome.formats import Quarantine
    from textome.runtime.step import ModelSettings, load_model

    columns = {
        name: value
        for name, value in (("text_column", text_column), ("label_column", label_column))
        if value is not None
    }
    settings = ModelSettings(precision=precision, threads=threads)
    with ExitStack() as stack:
        path = stack.enter_context(_with_graph(model, precision))
        loaded = load_model(settings.model_copy(update={"model": path}))
        name, quarantine = loaded.bundle.only_task(task), Quarantine()
        files = Data(data, format, dict(_pair(item) for item in map_ or []), entity_type, train or [], columns)
        started = time.monotonic()
        with reported(quarantine):
            result = evaluated(loaded, name, files, quarantine)
        seconds = time.monotonic() - started
        about: dict[str, Any] = {"model": loaded.name, "data": data, "seconds": seconds} | result.as_dict()
        lines = [result.table()]
        if compare:
            rival = load_model(
                settings.model_copy(update={"model": stack.enter_context(_with_graph(compare, precision))})
            )
            chosen = _task_beside(rival.bundle, loaded.bundle.tasks[name].kind, task)
            other = result.compared(evaluated(rival, chosen, files, Quarantine()))
            about["comparison"] = other.as_dict() | {"model": rival.name}
            lines += ["", f"against {compare}: {other}"]
    echo(json.dumps(about, indent=2) if as_json else "\n".join(lines))
    if report:
        write_page(report, result.page(f"{loaded.name} on {', '.join(data)}"))
        say(f"report: {report}")
    say(f"{result.count:,} {result.noun} in {seconds:.1f} s with {loaded.name}")
    finish(quarantine, result.count)


def _task_beside(rival: Bundle, kind: str, task: str | None) -> str:
    """The rival's task of the kind, whatever it is called; relations of sentences and of documents compare too."""
    if "relations" in kind and all(item.kind != kind for item in rival.tasks.values()):
        return rival.only_task(task)
    return rival.task_of(kind, task if task in rival.tasks else None)


def _pair(item: str) -> tuple[str, str]:
    label, equals, name = item.partition("=")
    if not equals:
        raise InputError(f"--map {item!r}: expected LABEL=TYPE, for instance GENE=Gene")
    return label, name


@contextmanager
def _with_graph(model: str | None, precision: str | None) -> Iterator[str | None]:
    """A model that can be run: of one that is just trained, and not exported, a copy with a graph while it is used."""
    from textome.runtime.bundle import Bundle, resolve_model
    from textome.runtime.export import export_bundle
    from textome.runtime.model_files import weight_files

    bundle = Bundle.load(resolve_model(model))
    has_graph = any(bundle.directory.glob("*.onnx")) or not all(task.has_graph for task in bundle.tasks.values())
    if has_graph or not weight_files(bundle.directory):
        yield model
        return
    say(
        f"{bundle.directory}: there is no exported graph, so one is made for this evaluation (textome export keeps one)"
    )
    with tempfile.TemporaryDirectory(prefix="textome-") as folder:
        export_bundle(bundle, Path(folder), precision or "fp32")
        yield folder

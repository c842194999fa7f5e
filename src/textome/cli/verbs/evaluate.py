"""`textome evaluate`: score a model on annotated data."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textome.cli.streams import finish, read_all, say
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.formats import Quarantine
    from textome.runtime.model import Model


def evaluate(
    data: Annotated[list[str], typer.Option("--data", "-d", help="Annotated files or folders.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="A bundle; default: the bundled model.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Name of the task, where the model has several; see textome info.")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="Format or layout of the data; default: by content or task.")
    ] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="LABEL=TYPE", help="What a label of the data stands for.")
    ] = None,
    entity_type: Annotated[
        str | None, typer.Option(help="Type of the entities of a CoNLL file with bare tags.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="int8, bf16 or fp32, where the bundle has several.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads; default: all cores.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with plots and the worst errors here.")] = None,
    train: Annotated[
        list[str] | None, typer.Option("--train", help="Training files: scores names seen there apart from new ones.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="STEP.KEY=VALUE", help="A setting, where --task is a step.")
    ] = None,
    compare: Annotated[str | None, typer.Option(help="Another bundle, to tell which of the two is better.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a model on annotated data by its task's metric, with 95 % intervals.

    An entity counts only if start, end and type are all right (as seqeval in strict mode counts). Other tasks are scored
    over the labels of texts, sentences or pairs of mentions. The step linking is scored by the identifiers that it gives to
    the mentions of the data: --task linking.

    Example: textome evaluate --data NCBI-disease/test.tsv
    """
    from textome.steps import STEPS

    if task in STEPS:
        from textome.cli.evaluate_step import evaluate_step

        if model or map_ or entity_type or precision or threads or compare:
            raise InputError(f"--task {task}: a step takes --data, --format, --train, --set, --report and --json")
        evaluate_step(task, data, format, train or [], set_ or [], report, as_json)
        return
    if set_:
        raise InputError("--set is for steps; name one with --task")
    from textome.runtime.bundle import Bundle, resolve_model

    if model and _translates(model):
        _translation(model, data, as_json)
        return
    from textome.runtime.modality_bundle import ModalityBundle

    if model and ModalityBundle.is_at(model):
        if task or format or map_ or entity_type or report or train or compare:
            raise InputError(f"{model}: a model of images, sounds or the like takes --data, --precision and --json")
        _sequences(model, data, precision, threads, as_json)
        return
    bundle = Bundle.load(resolve_model(model))
    if not bundle.other_tasks and task not in (None, "entities", "ner"):
        raise InputError(f"--task {task}: the model has only the task entities")
    if not bundle.other_tasks or (task in ("entities", "ner") and bundle.has_entities):
        _entities(data, model, format, map_, entity_type, precision, threads, as_json, report, compare, train or [])
        return
    if map_ or entity_type or train:
        raise InputError("--map, --entity-type and --train are for entities; this is another task")
    _task(str(bundle.directory), task, data, format, precision, threads, report, compare, as_json)


def _translates(model: str) -> bool:
    from textome.runtime.bundle import described
    from textome.runtime.model_files import read_json

    path = Path(model) / "textome.json"
    return path.is_file() and "translation" in described(read_json(path)).get("tasks", {})


def _translation(model: str, data: list[str], as_json: bool) -> None:
    from textome.cli.training import need_training

    need_training("evaluating a translation")
    from textome.datasets.parallel import read_pairs
    from textome.formats import Quarantine
    from textome.training.translation.job import scores
    from textome.training.translation.translator import Translator

    translator, quarantine = Translator.load(model), Quarantine()
    pairs = [pair for place in data for pair in read_pairs(place, translator.source, translator.target, quarantine)]
    if not pairs:
        raise InputError(f"{', '.join(data)}: there is no pair to score")
    started = time.monotonic()
    found = translator.translate([pair.source for pair in pairs])
    seconds = time.monotonic() - started
    result = scores(found, [pair.target for pair in pairs])
    if as_json:
        facts: dict[str, Any] = {"model": model, "data": data, "pairs": len(pairs), "seconds": seconds}
        facts |= {name: {"score": score, "signature": signature} for name, (score, signature) in result.items()}
        typer.echo(json.dumps(facts, indent=2))
    else:
        for name, (score, signature) in result.items():
            typer.echo(f"{name:5} {score:6.2f}  {signature}")
    say(f"{len(pairs):,} pairs in {seconds:.1f} s")
    finish(quarantine, len(pairs))


def _sequences(model: str, data: list[str], precision: str | None, threads: int | None, as_json: bool) -> None:
    from textome.evaluation.modality_scores import evaluate_places
    from textome.formats import Quarantine
    from textome.runtime.predictor import Predictor

    predictor, quarantine = Predictor.load(model, precision, threads), Quarantine()
    started = time.monotonic()
    count, found = evaluate_places(predictor, data, quarantine)
    seconds = time.monotonic() - started
    if as_json:
        facts: dict[str, Any] = {"model": predictor.bundle.name, "data": data, "records": count, "seconds": seconds}
        typer.echo(json.dumps(facts | found, indent=2))
    else:
        typer.echo("\n".join(f"{name:18}{value:10.4f}" for name, value in found.items()))
    say(f"{count:,} records in {seconds:.1f} s with {predictor.bundle.name}")
    finish(quarantine, count)


def _task(
    model: str,
    task: str | None,
    data: list[str],
    layout: str | None,
    precision: str | None,
    threads: int | None,
    report: Path | None,
    compare: str | None,
    as_json: bool,
) -> None:
    from textome.evaluation.comparison import compare_evaluations
    from textome.evaluation.html_report import write_report
    from textome.evaluation.task_evaluation import evaluate_task, evaluation_as_dict, format_evaluation
    from textome.formats import Quarantine
    from textome.runtime.model import Model

    runner = Model.load(model, precision=precision, threads=threads)
    name = runner.bundle.only_task(task)
    quarantine = Quarantine()
    if runner.bundle.tasks[name].kind == "question_answering":
        second = Model.load(compare, precision=precision, threads=threads) if compare else None
        _answers(runner, name, data, layout, quarantine, as_json, report, second)
        return
    started = time.monotonic()
    result = evaluate_task(runner, name, data, layout, quarantine)
    seconds = time.monotonic() - started
    facts = {"model": runner.bundle.name, "data": data, "seconds": seconds} | evaluation_as_dict(result)
    other = None
    if compare:
        rival = Model.load(compare, precision=precision, threads=threads)
        other = compare_evaluations(
            result, evaluate_task(rival, rival.bundle.only_task(task), data, layout, Quarantine())
        )
        facts["comparison"] = other.as_dict() | {"model": rival.bundle.name}
    typer.echo(json.dumps(facts, indent=2) if as_json else format_evaluation(result))
    if other is not None and not as_json:
        typer.echo(f"against {compare}: {other}")
    if report:
        write_report(report, result, f"{runner.bundle.name} on {', '.join(data)}")
        say(f"report: {report}")
    say(f"{len(result.decisions):,} decisions in {seconds:.1f} s with {runner.bundle.name}")
    finish(quarantine, len(result.decisions))


def _answers(
    runner: Model,
    name: str,
    data: list[str],
    layout: str | None,
    quarantine: Quarantine,
    as_json: bool,
    report: Path | None,
    other: Model | None,
) -> None:
    from textome.datasets.questions import read_questions
    from textome.evaluation.answer_report import write_answer_report
    from textome.evaluation.comparison import compare_answers
    from textome.metrics.answers import METRICS, interval, score_each

    items = [item for place in data for item in read_questions(place, layout or "squad", quarantine)]
    if not items:
        raise InputError(f"{', '.join(data)}: there is no question to score")
    metric = runner.task(name).metric
    predicted = runner.predictions(name, items)
    rows = score_each(items, predicted, _threshold(runner, name))
    column = METRICS.index(metric)
    facts: dict[str, Any] = {"model": runner.bundle.name, "data": data, "task": name, "questions": len(items)}
    facts |= dict(zip(METRICS, rows.mean(0).tolist(), strict=True))
    facts |= {"metric": metric, "interval": list(interval(rows[:, column]))}
    lines = [f"{key:16}{100 * value:6.2f}" for key, value in zip(METRICS, rows.mean(0), strict=True)]
    low, high = facts["interval"]
    lines += ["", f"{name}: {metric} {100 * facts[metric]:.2f} (95 % interval {100 * low:.2f}-{100 * high:.2f})"]
    if other is not None:
        second = other.bundle.task_of("question_answering")
        found = score_each(items, other.predictions(second, items), _threshold(other, second))
        comparison = compare_answers(metric, rows[:, column], found[:, column])
        facts["comparison"] = comparison.as_dict() | {"model": other.bundle.name}
        lines += [f"against {other.bundle.name}: {comparison}"]
    typer.echo(json.dumps(facts, indent=2) if as_json else "\n".join(lines))
    if report:
        write_answer_report(report, f"{runner.bundle.name} on {', '.join(data)}", metric, items, predicted, rows)
        say(f"report: {report}")
    say(f"{len(items):,} questions with {runner.bundle.name}")
    finish(quarantine, len(items))


def _threshold(runner: Model, name: str) -> float:
    from textome.tasks.question_answering import QuestionAnswering

    task = runner.task(name)
    assert isinstance(task, QuestionAnswering)
    return task.threshold


def _entities(
    data: list[str],
    model: str | None,
    format: str | None,
    map_: list[str] | None,
    entity_type: str | None,
    precision: str | None,
    threads: int | None,
    as_json: bool,
    report: Path | None,
    against: str | None,
    train: list[str],
) -> None:
    from textome.evaluation.bootstrap import bootstrap_intervals
    from textome.evaluation.comparison import compare_entities
    from textome.evaluation.entity_report import by_novelty, format_novelty, names_of, write_entity_report
    from textome.evaluation.entity_task import compare, map_types
    from textome.evaluation.report import as_dict, format_table
    from textome.formats import Quarantine, Source, guess_format
    from textome.metrics.entities import score_entities
    from textome.runtime.annotator import Annotator

    given = dict(_pair(item) for item in map_ or [])
    kind = format or guess_format(Source.of(data[0]))
    quarantine = Quarantine()
    documents = list(read_all(data, kind, quarantine, entity_type))
    mapping = map_types((entity.type for item in documents for entity in item.entities), _types(model), given)
    if not mapping:
        raise InputError(f"{', '.join(data)}: the data holds no entity of a type that the model knows")
    options: dict[str, Any] = {"types": sorted(set(mapping.values())), "sentences": kind != "conll"}
    annotator = Annotator.load(model, precision=precision, threads=threads, **options)
    started = time.monotonic()
    comparison = compare(annotator, documents, mapping, words=kind == "conll")
    seconds = time.monotonic() - started
    scores = score_entities(comparison.gold, comparison.predicted)
    intervals = bootstrap_intervals(comparison.gold, comparison.predicted)
    facts: dict[str, Any] = {"model": annotator.bundle.name, "data": data, "documents": len(documents)}
    facts |= {"seconds": seconds} | as_dict(scores, intervals)
    lines = [format_table(scores, intervals)]
    novelty = []
    if train:
        known = names_of(read_all(train, kind, quarantine, entity_type), mapping)
        novelty = by_novelty(comparison, documents, known)
        facts["novelty"] = {
            item.name: {"precision": item.precision, "recall": item.recall, "gold": item.gold} for item in novelty
        }
        lines += ["", format_novelty(novelty)]
    if against:
        second = Annotator.load(against, precision=precision, threads=threads, **options)
        other = compare_entities(comparison, compare(second, documents, mapping, words=kind == "conll"))
        facts["comparison"] = other.as_dict() | {"model": second.bundle.name}
        lines += ["", f"against {against}: {other}"]
    typer.echo(json.dumps(facts, indent=2) if as_json else "\n".join(lines))
    if report:
        title = f"{annotator.bundle.name} on {', '.join(data)}"
        write_entity_report(report, title, comparison, documents, scores, intervals, novelty)
        say(f"report: {report}")
    say(f"{len(documents):,} texts in {seconds:.1f} s with {annotator.bundle.name}")
    finish(quarantine, len(documents))


def _types(model: str | None) -> tuple[str, ...]:
    from textome.runtime.bundle import Bundle, resolve_model

    return Bundle.load(resolve_model(model)).types


def _pair(item: str) -> tuple[str, str]:
    label, equals, name = item.partition("=")
    if not equals:
        raise InputError(f"--map {item!r}: expected LABEL=TYPE, for instance GENE=Gene")
    return label, name

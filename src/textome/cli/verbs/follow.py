"""`textome follow`: the chance of an event after each visit of a patient, and alerts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from textome.cli.options import OutputFile, Threads
from textome.cli.streams import finish, say
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.metrics.alerts import AlertScores
    from textome.runtime.follow_up import Visit


def follow(
    path: Annotated[str, typer.Argument(metavar="VISITS", help="A table with a row a visit; PATH#RULE for a part.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A bundle that follows patients, exported.")],
    alerts: Annotated[
        Path | None, typer.Option(metavar="RULE.json", help="Call by this rule, which --choose wrote.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Call where the chance reaches it, instead of --alerts.")
    ] = None,
    choose: Annotated[
        Path | None,
        typer.Option(metavar="RULE.json", help="Choose a threshold on these development patients, and write it here."),
    ] = None,
    precision: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --choose: this share of the calls is to be right.")
    ] = None,
    alert_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --choose: call at most this share of the patients.")
    ] = None,
    horizon: Annotated[
        float | None,
        typer.Option(help="An event within this time, in the unit of the data; default: the model's first."),
    ] = None,
    output: OutputFile = Path("-"),
    to: Annotated[Literal["csv", "jsonl"], typer.Option(help="A table, or JSON lines.")] = "csv",
    threads: Threads = None,
) -> None:
    """Follow patients: after each visit the chance of an event within a time, and an alert at the first that is too high.

    A threshold is chosen once, on patients whose outcome is known and whom the model was not trained on, and then used
    on others. Not for decisions about a person: see docs/guides/patients.md.

    Example: textome follow visits.csv --model runs/pbcseq/bundle --alerts rule.json
    """
    from textome.formats import Quarantine
    from textome.formats.reading.sources import Target
    from textome.runtime.follow_up import AlertRule, Watch

    if sum(value is not None for value in (alerts, threshold, choose)) != 1:
        raise InputError("give one of --alerts RULE.json, --threshold and --choose RULE.json")
    if choose is None and (precision is not None or alert_rate is not None):
        raise InputError("--precision and --alert-rate are for --choose RULE.json")
    rule = AlertRule.load(alerts) if alerts is not None else None
    if rule is not None and horizon not in (None, rule.horizon):
        raise InputError(f"{alerts}: this rule is for a horizon of {rule.horizon:g}; leave --horizon out")
    quarantine = Quarantine()
    watch = Watch.load(model, rule.horizon if rule else horizon, threads)
    if rule is not None and rule.model not in ("", watch.name):
        say(f"warning: {alerts} was chosen with the model {rule.model}, and this is {watch.name}")
    records = watch.read(path, quarantine)
    if choose is not None:
        rule, scores = watch.choose(records, precision, alert_rate)
        rule.write(choose)
        say(f"{choose}: threshold {rule.threshold:.4g}, chosen for {rule.chosen_for} on these patients")
    else:
        scores = None
    limit = rule.threshold if rule is not None else threshold
    assert limit is not None
    with Target.of(output).open() as stream:
        for line in _lines(watch.visits(records, limit), to):
            stream.write(line)
    known = [record for record in records if record.target is not None]
    if scores is None and known:
        scores = watch.measure(known, limit)
    if scores is not None:
        say(_summary(scores, watch.horizon))
    finish(quarantine, len(records))


def _lines(visits: Iterable[Visit], to: str) -> Iterable[bytes]:
    import csv
    import io

    if to == "csv":
        yield b"patient,moment,chance,alert\r\n"
    for visit in visits:
        if to == "jsonl":
            yield json.dumps(asdict(visit) | {"chance": round(visit.chance, 6)}, ensure_ascii=False).encode() + b"\n"
            continue
        line = io.StringIO()
        cells = [visit.patient, f"{visit.moment:g}", f"{visit.chance:.6f}", "alert" if visit.alert else ""]
        csv.writer(line).writerow(cells)
        yield line.getvalue().encode()


def _summary(scores: AlertScores, horizon: float) -> str:
    lines = [
        f"patients whose outcome is known: {scores.patients:,}, called: {scores.alerted:,} ({scores.alert_rate:.1%})",
        f"calls with the event within {horizon:g}: {scores.right}, without: {scores.wrong}, unknown: {scores.unknown}",
    ]
    if scores.right + scores.wrong:
        lines[1] += f"; precision {scores.precision:.1%}"
    if scores.events:
        lines.append(
            f"patients with the event: {scores.events}, called before it: {scores.forewarned} ({scores.recall:.1%})"
        )
    if scores.forewarned:
        lines.append(f"median time from the call to the event: {scores.lead:g}")
    return "\n".join(lines)

"""A page about a training run that needs nothing else: its curves as SVG, its scores, its recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from textome.errors import InputError
from textome.formats.reading.sources import atomic_file

Points = list[tuple[float, float]]

_POINTS = 500
_LARGEST = 1e100  # nothing that a page must show; the difference of two larger values may not be a number
_WIDTH, _HEIGHT = 420, 190
_COLOURS = ("#1e6ec8", "#c2541b", "#2c8a3d", "#8a3fb0", "#8a6d00", "#00808a", "#b02a55", "#555555")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em }
body { color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .7em; border-bottom: 1px solid #ddd }
th, td { text-align: right } th:first-child, td:first-child { text-align: left }
figure { display: inline-block; margin: .5em 1em 1em 0; vertical-align: top } figcaption { font-weight: 600 }
svg text { font: 11px system-ui, sans-serif; fill: #444 } .key { font-size: 13px; font-weight: 400; margin-right: 1em }
pre { background: #f5f5f5; padding: 1em; overflow-x: auto; font-size: 13px } .bad { color: #a32020 }
"""
# Of a step's record: its key, what it is, and how a value is written.
_CURVES = (
    ("loss", "Loss", "{:.3g}"),
    ("learning_rate", "Learning rate", "{:.2g}"),
    ("tokens_per_second", "Tokens a second", "{:,.0f}"),
    ("gradient_norm", "Norm of the gradient, before it is cut", "{:.3g}"),
    ("utilisation", "Share of the device's matrix products", "{:.2f}"),
)


@dataclass
class RunRecords:
    """What a run's folder says. `broken` counts lines of `metrics.jsonl` that cannot be read (a kill leaves one)."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    validations: list[dict[str, Any]] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    broken: int = 0


def read_run(folder: Path) -> RunRecords:
    """Read a run's folder, finished or not. Raises InputError where it has no `metrics.jsonl`."""
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder}: no run to report; metrics.jsonl cannot be read ({error})") from error
    run = RunRecords(recipe=_object(folder / "recipe.json"), environment=_object(folder / "environment.json"))
    for line in lines:
        try:
            record = json.loads(line)
            kind = record["event"]
        except (json.JSONDecodeError, KeyError, TypeError):
            run.broken += 1
            continue
        {"step": run.steps, "validation": run.validations}.get(kind, run.others).append(record)
    return run


def write_run_report(path: Path, run: RunRecords) -> None:
    """Write the page. It holds no text of the data."""
    with atomic_file(path) as stream:
        stream.write(run_report(run).encode())


def run_report(run: RunRecords) -> str:
    """The page as HTML."""
    title = str(run.recipe.get("name", "Training run"))
    curves = [
        _figure(caption, {"": _series(run.steps, key)}, form)
        for key, caption, form in _CURVES
        if any(key in record for record in run.steps)
    ]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<p>{escape(str(run.recipe.get('description', '')))}</p>",
        _summary(run),
        "<h2>Training</h2>",
        "".join(curves) or "<p>No step has been recorded.</p>",
        *_validation(run.validations),
        *_events(run),
        f"<h2>Recipe</h2><pre>{escape(json.dumps(run.recipe, indent=1, ensure_ascii=False))}</pre>",
        "</body></html>",
    ]
    return "\n".join(parts)


def _summary(run: RunRecords) -> str:
    started = [record for record in run.others if record["event"] == "start"]
    ended = [record for record in run.others if record["event"] == "end"]
    last = max((record.get("step", 0) for record in (*run.steps, *run.validations)), default=0)
    values: dict[str, Any] = {"state": "finished" if ended else "not finished", "steps": f"{last:,}"}
    if started:
        values |= {"device": started[-1].get("device"), "precision": started[-1].get("precision")}
        values["started or resumed"] = f"{len(started)} time{'s' if len(started) > 1 else ''}"
    if ended and ended[-1].get("best_epoch", -1) > 0:
        values["best epoch"] = f"{ended[-1]['best_epoch']}, score {100 * ended[-1]['best']:.2f}"
    values |= {f"version of {name}" if name == "textome" else name: value for name, value in run.environment.items()}
    rows = "".join(
        f"<tr><td>{escape(str(key))}</td><td>{escape(str(value))}</td></tr>" for key, value in values.items()
    )
    return f"<table>{rows}</table>"


def _validation(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A figure for each metric, a line in it for each validation set; and all of it as a table."""
    curves: dict[str, dict[str, Points]] = {}
    for record in records:
        for name, score in record.get("scores", {}).items():
            values = score if isinstance(score, Mapping) else {str(record.get("metric", "score")): score}
            for metric, value in values.items():
                if _number(value):
                    curves.setdefault(metric, {}).setdefault(name, []).append((record["step"], value))
    if not curves:
        return ["<h2>Validation</h2><p>There was no validation.</p>"]
    figures = "".join(_figure(metric, series, "{:.3g}") for metric, series in curves.items())
    columns = [(metric, name) for metric, series in curves.items() for name in series]
    head = "".join(f"<th>{escape(name)}, {escape(metric)}</th>" for metric, name in columns)
    points_of = {(metric, name): dict(points) for metric, series in curves.items() for name, points in series.items()}
    rows = []
    for step in sorted({record["step"] for record in records}):
        cells = [points_of[column].get(step) for column in columns]
        written = "".join(f"<td>{'' if value is None else f'{value:.4f}'}</td>" for value in cells)
        rows.append(f"<tr><td>{step:,}</td>{written}</tr>")
    return ["<h2>Validation</h2>", figures, f"<table><tr><th>step</th>{head}</tr>{''.join(rows)}</table>"]


def _events(run: RunRecords) -> list[str]:
    """What else the run had to say, as checkpoints that were damaged or memory that did not suffice."""
    messages = [str(record["message"]) for record in run.others if "message" in record]
    if run.broken:
        messages.append(f"{run.broken} line(s) of metrics.jsonl could not be read")
    if not messages:
        return []
    return ["<h2>Events</h2><ul>", *(f"<li class='bad'>{escape(line)}</li>" for line in messages), "</ul>"]


def _series(records: Iterable[Mapping[str, Any]], key: str) -> Points:
    return [(record["step"], record[key]) for record in records if _number(record.get(key))]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _figure(caption: str, series: Mapping[str, Points], form: str) -> str:
    """Curves over steps. Many points are averaged to at most `_POINTS` a curve."""
    thinned = {name: _thinned(points) for name, points in series.items() if points}
    points = [point for curve in thinned.values() for point in curve]
    if not points:
        return ""
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    low, high = low - margin, high + margin

    def position(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / (right - left) if right > left else 0.5
        return _WIDTH * across, _HEIGHT * (1 - (y - low) / (high - low))

    shapes = [f"<rect width='{_WIDTH}' height='{_HEIGHT}' fill='none' stroke='#ccc'/>"]
    for value in ticks(low, high):
        y = position(left, value)[1]
        shapes.append(f"<line x1='0' x2='{_WIDTH}' y1='{y:.1f}' y2='{y:.1f}' stroke='#eee'/>")
        shapes.append(f"<text x='-6' y='{y + 4:.1f}' text-anchor='end'>{form.format(value)}</text>")
    for value in ticks(left, right):
        x = position(value, low)[0]
        shapes.append(f"<text x='{x:.1f}' y='{_HEIGHT + 15}' text-anchor='middle'>{value:,.0f}</text>")
    keys = []
    for number, (name, curve) in enumerate(thinned.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*position(x, y)) for x, y in curve)
        shapes.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.5'/>")
        last = position(*curve[-1])
        shapes.append(
            f"<circle cx='{last[0]:.1f}' cy='{last[1]:.1f}' r='3' fill='{colour}'>"
            f"<title>{escape(name)} {form.format(curve[-1][1])}</title></circle>"
        )
        if name:
            keys.append(f"<span class='key' style='color: {colour}'>&#9632; {escape(name)}</span>")
    size = f"viewBox='-66 -8 {_WIDTH + 86} {_HEIGHT + 30}' width='{_WIDTH + 20}' role='img'"
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption><svg {size} aria-label='{escape(caption)} over steps'>"
        f"{''.join(shapes)}</svg><div>{''.join(keys)}</div></figure>"
    )


def _thinned(points: Points) -> Points:
    size = math.ceil(len(points) / _POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values within an interval, about `count` of them: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= count)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _object(path: Path) -> dict[str, Any]:
    """A JSON object of a run's folder, empty where there is none."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})") from error
    return value if isinstance(value, dict) else {}

"""Scores as a table for people and as values for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textome.evaluation.bootstrap import Interval
from textome.metrics.entities import EntityScores


def format_table(scores: EntityScores, intervals: Mapping[str, Interval]) -> str:
    """Aligned columns: precision, recall, F1 with its 95 % interval (all in percent), and the number of gold entities."""
    rows = [(name, item, str(item.support)) for name, item in (*scores.types.items(), ("micro", scores.micro))]
    width = max(len("weighted"), *(len(name) for name, _, _ in rows))
    lines = [f"{'':{width}}  precision  recall      F1  95 % interval  support"]
    for name, item, support in rows:
        low, high = intervals[name]
        interval = f"{100 * low:.2f}-{100 * high:.2f}"
        lines.append(_line(name, width, item) + f"  {interval:>13}  {support:>7}")
    lines += [_line("macro", width, scores.macro), _line("weighted", width, scores.weighted)]
    return "\n".join(lines)


def as_dict(scores: EntityScores, intervals: Mapping[str, Interval]) -> dict[str, Any]:
    """Scores as fractions, ready for JSON."""
    members: dict[str, Any] = {}
    for name, item in (*scores.types.items(), ("micro", scores.micro)):
        members[name] = {
            "precision": item.precision,
            "recall": item.recall,
            "f1": item.f1,
            "f1_interval": list(intervals[name]),
            "tp": item.tp,
            "fp": item.fp,
            "fn": item.fn,
        }
    averages = {
        name: {"precision": item.precision, "recall": item.recall, "f1": item.f1}
        for name, item in (("macro", scores.macro), ("weighted", scores.weighted))
    }
    types = {name: members.pop(name) for name in scores.types}
    return {"types": types, **members, **averages}


def _line(name: str, width: int, item: Any) -> str:
    return f"{name:{width}}  {100 * item.precision:9.2f}  {100 * item.recall:6.2f}  {100 * item.f1:6.2f}"

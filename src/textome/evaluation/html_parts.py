"""What pages about scores are made of: tables and plots as text, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textome.formats.reading.sources import atomic_file

_BINS = 10
_TEXT = 600
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }
body { color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } td.text { text-align: left; white-space: pre-wrap }
svg text { font: 11px system-ui, sans-serif; fill: #444 } .good { color: #176b2c } .bad { color: #a32020 }
mark { background: #ffe08a }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page with a heading, of parts in HTML."""
    head = f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
    return "\n".join([f"{head}<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>", *parts, "</body></html>"])


def write_page(path: Path, text: str) -> None:
    """Write a page atomically."""
    with atomic_file(path) as stream:
        stream.write(text.encode())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; `head` is plain text, the cells of `rows` are HTML."""
    lines = ["<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def percent(value: float) -> str:
    """A share as a cell, in percent."""
    return f"{100 * value:.2f}"


def counts_by_row(names: Sequence[str], columns: Sequence[str], matrix: NDArray[np.int64]) -> str:
    """A matrix of counts, each cell as dark as its share of the row."""
    rows = []
    for name, counts in zip(names, matrix, strict=True):
        shares = counts / max(1, counts.sum())
        cells = [
            f"<span style='background: rgba(30, 110, 200, {share:.2f}); padding: .1em .5em'>{count:,}</span>"
            for count, share in zip(counts.tolist(), shares.tolist(), strict=True)
        ]
        rows.append([escape(name), *cells])
    return table(["", *columns], rows)


def calibration_plot(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> str:
    """How often a decision of some confidence is right, in ten bins; a circle's size tells how many there are."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    size = 260
    shapes = [f"<line x1='0' y1='{size}' x2='{size}' y2='0' stroke='#999' stroke-dasharray='4'/>"]
    for number in range(_BINS):
        chosen = bins == number
        if chosen.any():
            x, y = size * confidence[chosen].mean(), size * (1 - right[chosen].mean())
            radius = 3 + 9 * np.sqrt(chosen.mean())
            shapes.append(
                f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}' fill='#1e6ec8' fill-opacity='.6'>"
                f"<title>{int(chosen.sum()):,} decisions</title></circle>"
            )
    frame = f"<rect width='{size}' height='{size}' fill='none' stroke='#ccc'/>"
    texts = f"<text x='0' y='{size + 14}'>confidence 0</text><text x='{size - 6}' y='{size + 14}'>1</text>"
    texts += "<text x='-34' y='10'>right 1</text>"
    inner = frame + "".join(shapes) + texts
    return f"<svg viewBox='-40 -8 {size + 60} {size + 30}' width='{size + 60}' height='{size + 30}'>{inner}</svg>"


def shortened(text: str) -> str:
    """A text as HTML, its end left out where it is very long."""
    return escape(text if len(text) <= _TEXT else f"{text[:_TEXT]} ... ({len(text):,} characters)")

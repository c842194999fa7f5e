"""Explanations of records as a page: what each part weighs, and how the parts look at each other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from textome.evaluation.html_parts import page, table
from textome.explain.attention import Attention
from textome.explain.records import RecordExplanation
from textome.inputs.records import Floats

# The most tokens of a part that a picture shows: those that are looked at most, or look most.
_SHOWN = 40
_CELL, _LETTER = 14, 7


def record_page(explanations: Sequence[RecordExplanation], model: str, number: int = 8) -> str:
    """A page that needs nothing else, with the `number` heaviest parts of each record."""
    intro = (
        f"<p>Model {escape(model)}. The weight of a part is what the answer loses without it. A picture shows how much "
        "each token of one part (rows) looks at each token of another (columns), as a mean over layers and heads; the "
        "darkest cell has the largest share. Attention shows what is mixed, the weight what it is worth.</p>"
    )
    return page("Explanations", [intro, *(_record(item, number) for item in explanations)])


def _record(item: RecordExplanation, number: int) -> str:
    rows = [[escape(name), f"{weight:+.3f}"] for name, weight in item.parts[:number]]
    lines = [
        f"<h2>{escape(item.record)}: {escape(item.finding)} {item.value:.3f}</h2>",
        table(["part", "weight"], rows),
    ]
    return "\n".join([*lines, *(_attention(item.attention) if item.attention else [])])


def _attention(attention: Attention) -> list[str]:
    shares = attention.between_parts
    head = ["looks at", *attention.parts]
    lines = ["<h3>Attention between the parts</h3>"]
    for name, matrix in [
        ("mean over layers", shares.mean(0)),
        *((f"layer {layer + 1}", one) for layer, one in enumerate(shares)),
    ]:
        rows = [
            [escape(part), *(f"<span style='{_shade(share)}'>{share:.2f}</span>" for share in row.tolist())]
            for part, row in zip(attention.parts, matrix, strict=True)
        ]
        lines += [f"<p>{escape(name)}</p>", table(head, rows)]
    for one, first in enumerate(attention.parts[1:], 1):
        for two, second in enumerate(attention.parts[1:], 1):
            if one != two:
                title = f"{first} looks at {second}"
                picture = heat_map(
                    attention.between_tokens(one, two), attention.names[one], attention.names[two], title
                )
                lines += [f"<h3>{escape(title)}</h3>", picture]
    return lines


def heat_map(values: Floats, rows: Sequence[str], columns: Sequence[str], title: str) -> str:
    """A picture (SVG) of a matrix (rows, columns) of shares, the largest one darkest; see `_SHOWN`."""
    top, side = (sorted(values.sum(axis).argsort(kind="stable")[::-1][:_SHOWN].tolist()) for axis in (1, 0))
    highest = max(float(values.max()), 1e-9)
    left = 10 + _LETTER * max(len(rows[row]) for row in top)
    above = 10 + _LETTER * max(len(columns[column]) for column in side)
    width, height = left + _CELL * len(side) + 10, above + _CELL * len(top) + 10
    pieces = [f"<svg width='{width}' height='{height}' role='img' aria-label='{escape(title, quote=True)}'>"]
    for number, column in enumerate(side):
        at = left + _CELL * number + 11
        pieces.append(f"<text transform='translate({at},{above - 4}) rotate(-90)'>{escape(columns[column])}</text>")
    for number, row in enumerate(top):
        at = above + _CELL * number
        pieces.append(f"<text x='{left - 4}' y='{at + 11}' text-anchor='end'>{escape(rows[row])}</text>")
        for rank, column in enumerate(side):
            share = float(values[row, column])
            pieces.append(
                f"<rect x='{left + _CELL * rank}' y='{at}' width='{_CELL - 1}' height='{_CELL - 1}' fill='#1e6ec8' "
                f"fill-opacity='{share / highest:.2f}'><title>{escape(rows[row])} looks at {escape(columns[column])}: "
                f"{share:.3f}</title></rect>"
            )
    return "".join([*pieces, "</svg>"])


def _shade(share: float) -> str:
    return f"background: rgba(30, 110, 200, {share:.2f}); padding: .1em .5em"

"""Explanations as a page to look at: each text with its words shaded by their weights."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from textome.evaluation.html_parts import page, table
from textome.explain.occlusion import Explanation

# The weight, in nats, from which a word has the full colour: it makes the odds twenty times as large, or as small.
_FULL = 3.0


def explanation_page(explanations: Sequence[Explanation], model: str, number: int = 8) -> str:
    """A page that needs nothing else, with the `number` heaviest words of each finding in a table."""
    intro = (
        f"<p>Model {escape(model)}. A word's weight is how far the log-odds of the finding fall when the word is hidden: "
        f"<span style='background: {_shade(_FULL)}'>green</span> words speak for it, "
        f"<span style='background: {_shade(-_FULL)}'>red</span> ones against it. 0.7 doubles the odds.</p>"
    )
    return page("Explanations", [intro, *(_part(item, number) for item in explanations)])


def _part(item: Explanation, number: int) -> str:
    title = f"{item.finding} {item.confidence:.3f}"
    if item.text:
        title = f"{item.text}: {title}"
    elif item.sentence is not None:
        title = f"Sentence {item.sentence + 1}: {title}"
    texts = "".join(f"<p>{_shaded(item, part)}</p>" for part in range(len(item.parts)))
    rows = [[escape(word.text), f"{word.weight:+.2f}"] for word in item.heaviest(number)]
    name = f"<p>{escape(item.document)}</p>" if item.document else ""
    return f"<h2>{escape(title)}</h2>{name}{texts}{table(['word', 'weight'], rows)}"


def _shaded(item: Explanation, part: int) -> str:
    text, position, pieces = item.parts[part], 0, []
    for word in item.words:
        if word.part == part:
            style = f"background: {_shade(word.weight)}"
            if item.span and item.span.start < word.end and word.start < item.span.end:
                style += "; border-bottom: 2px solid #222"
            pieces += [
                escape(text[position : word.start]),
                f"<span style='{style}' title='{word.weight:+.2f}'>{escape(word.text)}</span>",
            ]
            position = word.end
    return "".join([*pieces, escape(text[position:])])


def _shade(weight: float) -> str:
    red, green, blue = (23, 140, 60) if weight > 0 else (200, 40, 40)
    return f"rgba({red}, {green}, {blue}, {min(1.0, abs(weight) / _FULL) * 0.6:.2f})"

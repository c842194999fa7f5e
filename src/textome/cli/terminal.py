"""On a terminal: text with coloured entities, their types and confidences; and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from textome.cli.streams import say
from textome.documents import Document, Entity
from textome.escapes import shown

# Of a table.
ROWS = 50

# Background colours that stay apart for colour-blind readers (after Okabe and Ito 2008), with a readable foreground.
_PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2", "#999999")
_ORDER = ("Disease", "Chemical", "Gene", "Species", "CellType", "CellLine", "DNA", "RNA")


def print_document(document: Document, console: Console | None = None) -> None:
    """Print a document's passages with its entities highlighted, then a line of counts by type.

    An entity is shown as `text[Type 0.98]`; where entities overlap, the longest is coloured and the others follow it.
    """
    console = console or Console(highlight=False, soft_wrap=False)
    console.print(Text(shown(document.id or "text"), style="bold"))
    for passage in document.passages:
        if passage.section:
            console.print(Text(shown(passage.section), style="dim"))
        inside = [entity for entity in document.entities if passage.offset <= entity.start < passage.end]
        console.print(_highlighted(document, passage.offset, passage.end, inside))
    counts = Counter(entity.type for entity in document.entities)
    summary = Text("  ").join(
        Text.assemble((f" {shown(name)} ", style_of(name)), f" {number}") for name, number in counts.most_common()
    )
    console.print(summary if counts else Text("no entities", style="dim"))
    console.print()


def print_table(columns: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    """Print the first `ROWS` rows of a table; None is an empty cell."""
    table = Table(*map(shown, columns))
    for row in islice(rows, ROWS):
        table.add_row(*("" if cell is None else shown(str(cell)) for cell in row))
    Console(highlight=False, markup=False).print(table)
    if next(rows, None) is not None:
        say(f"the first {ROWS} rows are shown; add --output FILE.csv for all")


def style_of(entity_type: str) -> str:
    """The style of a type: fixed for the common ones, by name for others, the same in every run."""
    index = _ORDER.index(entity_type) if entity_type in _ORDER else sum(map(ord, entity_type)) % len(_PALETTE)
    # By value: the terminal's own "black" may be a grey.
    foreground = "#FFFFFF" if _PALETTE[index] == "#0072B2" else "#000000"
    return f"{foreground} on {_PALETTE[index]}"


def _highlighted(document: Document, start: int, end: int, entities: list[Entity]) -> Text:
    text = Text()
    position = start
    pending = sorted(entities, key=lambda entity: (entity.start, -entity.end))
    while pending:
        first = pending.pop(0)
        overlapping = [entity for entity in pending if entity.start < first.end]
        pending = pending[len(overlapping) :]
        text.append(shown(document.text[position : first.start]))
        text.append(shown(document.text[first.start : first.end]), style_of(first.type))
        text.append(_label(first), "dim")
        for entity in overlapping:
            text.append(shown(f"{{{entity.text}}}"), style_of(entity.type))
            text.append(_label(entity), "dim")
        position = first.end
    text.append(shown(document.text[position:end]))
    return text


def _label(entity: Entity) -> str:
    return shown(f"[{entity.type}]" if entity.confidence is None else f"[{entity.type} {entity.confidence:.2f}]")

"""A page to look at and to send: one self-contained HTML file, no request to anywhere, no script.

Entities are marked in the colour of their type (after Okabe and Ito 2008, told apart by colour-blind readers) with the
type's name beside them, so that colour is never the only sign. Nested marks keep a line each under the text. A mention in
several pieces, or cut by the end of another, has an open, dashed edge where it goes on, and its name at the last piece.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from textome.documents import Document, Entity, Identifier, Label, Passage, Relation, Span
from textome.errors import InputError
from textome.formats.reading.sources import Target

_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b8a800", "#8c8c8c")
# The usual types keep their colour from page to page; others get what is left.
_ORDER = ("disease", "chemical", "gene", "species", "celltype", "cellline", "dna", "rna")

_PAGE_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --page: #fff; --soft: #59636e; --line: #d1d9e0; --tint: 22%; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --page: #0d1117; --soft: #9198a1; --line: #3d444d; --tint: 36%; } }
body { margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 1.0625rem/2 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; line-height: 1.4; margin: 0 0 .25rem; }
"""
_STYLE = """
article { border-top: 1px solid var(--line); padding: 1.25rem 0; }
h2 { font-size: .875rem; font-weight: 600; color: var(--soft); margin: 0; }
h3 { font-size: .75rem; letter-spacing: .05em; text-transform: uppercase; color: var(--soft); margin: 1rem 0 0; }
p { margin: .15rem 0; white-space: pre-wrap; }
p.title { font-size: 1.2rem; font-weight: 600; line-height: 1.9; }
mark { color: inherit; padding: .08em .2em; border-radius: .25em; border: 0 dashed var(--c);
  border-bottom: 2px solid var(--c); background: color-mix(in srgb, var(--c) var(--tint), var(--page));
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
mark:has(mark) { padding-bottom: .3em; }
mark:has(mark mark) { padding-bottom: .52em; }
mark.on { border-right-width: 2px; border-start-end-radius: 0; border-end-end-radius: 0; }
mark.from { border-left-width: 2px; border-start-start-radius: 0; border-end-start-radius: 0; }
mark.negated { text-decoration: line-through; text-decoration-thickness: .09em; }
mark.doubtful { text-decoration: underline dotted; text-underline-offset: .18em; }
mark.negated.doubtful { text-decoration: line-through underline dotted; }
small { display: inline-block; font-size: .65rem; font-weight: 600; margin-left: .35em; vertical-align: .12em;
  white-space: nowrap;
  color: color-mix(in srgb, var(--ink) 72%, var(--c, var(--ink))); user-select: none; -webkit-user-select: none; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .7rem; list-style: none; margin: .5rem 0 1rem; padding: 0;
  font-size: .9rem; }
details { margin-top: .75rem; color: var(--soft); line-height: 1.5; font-size: .85rem; }
details div { overflow-x: auto; overflow-wrap: normal; }
summary { cursor: pointer; }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
td, th { text-align: left; padding: .2rem .75rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:nth-child(3), td:nth-child(4) { white-space: nowrap; }
td:first-child { min-width: 7rem; overflow-wrap: anywhere; color: var(--ink); }
"""
# In a notebook the colours are those around the cell, and no rule reaches beyond it.
_NOTEBOOK_STYLE = """
.textome { --ink: currentColor; --page: transparent; --soft: color-mix(in srgb, currentColor 65%, transparent);
  --line: color-mix(in srgb, currentColor 25%, transparent); --tint: 30%; line-height: 2; overflow-wrap: anywhere;
"""


# Marks of a passage that may be closed and opened again where entities cross, besides some for each entity.
_MOST_CLOSINGS = 10_000
_DOUBTFUL = frozenset(("uncertain", "hypothetical", "experiencer"))
# Characters of a mention where it is shown besides the text.
_MOST_SHOWN = 200


class _Piece(NamedTuple):
    """A stretch of an entity's text, and whether the entity begins or ends with it."""

    start: int
    end: int
    entity: Entity
    begins: bool
    ends: bool


class _Open(NamedTuple):
    """A mark that is open: its piece, where its tag stands in the output, and whether it goes on from one before."""

    piece: _Piece
    number: int
    goes_on: bool


def write(documents: Iterable[Document], target: Target) -> int:
    """All documents on one page, with a legend of the types and tables of the annotations under each text.

    The page is held in memory until the last document, since the legend stands above them.
    """
    bodies: list[bytes] = []
    counts: Counter[str] = Counter()
    numbers: dict[str, int] = {}
    for document in documents:
        for entity in document.entities:
            numbers.setdefault(entity.type, len(numbers))
        counts.update(entity.type for entity in document.entities)
        # As bytes piece by piece: one character beyond the basic plane makes a whole text four times as large.
        bodies.append(b"".join(piece.encode("utf-8") for piece in _article(document, numbers)))
    variables = _variables(counts, numbers)
    legend = "".join(
        f'<li><mark style="--c:var(--t{numbers[name]})">{escape(name)}</mark> <small>{number:,}</small></li>'
        for name, number in counts.most_common()
    )
    texts = f"{len(bodies):,} text{'s' * (len(bodies) != 1)}"
    entities = f"{counts.total():,} {'entity' if counts.total() == 1 else 'entities'}"
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{entities} in {texts}</title>"
        f"<style>{_PAGE_STYLE}{_STYLE}:root {{ {variables} }}</style></head>\n<body><main>"
        f"<h1>{entities} in {texts}</h1>"
        f'<ul class="legend" aria-label="Entity types and how many there are">{legend}</ul>\n'
    )
    with target.open() as stream:
        stream.write(head.encode("utf-8"))
        for body in bodies:
            stream.write(body + b"\n")
        stream.write(b"</main></body></html>\n")
    return len(bodies)


def notebook(document: Document) -> str:
    """A document as a piece of HTML for a cell of a notebook, in the colours of the page, with rules for itself alone."""
    counts = Counter(entity.type for entity in document.entities)
    numbers = {name: number for number, name in enumerate(counts)}
    style = f"{_NOTEBOOK_STYLE}{_variables(counts, numbers)}{_STYLE}}}"
    return f'<style>{style}</style><div class="textome">{"".join(_article(document, numbers))}</div>'


def _variables(counts: Counter[str], numbers: Mapping[str, int]) -> str:
    """The colour of each type as a variable of the style sheet."""
    colours = _colours(name for name, _ in counts.most_common())
    return " ".join(f"--t{number}: {colours[name]};" for name, number in numbers.items())


def _colours(types: Iterable[str]) -> dict[str, str]:
    """A colour for each type, most frequent first: its own, or else one that no other type has while there are any."""
    colours: dict[str, str] = {}
    others: list[str] = []
    for name in types:
        plain = name.replace("_", "").replace(" ", "").casefold()
        if plain in _ORDER:
            colours[name] = _COLOURS[_ORDER.index(plain)]
        else:
            others.append(name)
    free = [colour for colour in _COLOURS if colour not in colours.values()] or list(_COLOURS)
    return colours | {name: free[index % len(free)] for index, name in enumerate(others)}


def _article(document: Document, numbers: Mapping[str, int]) -> Iterator[str]:
    yield f"<article><h2>{escape(document.id or 'Text')}</h2>"
    for passage, pieces in zip(document.passages, _pieces(document), strict=True):
        title = passage.section == "title"
        if passage.section and not title:
            yield f"<h3>{escape(passage.section)}</h3>"
        kind = ' class="title"' if title else ""
        yield f'<p{kind} dir="auto">'
        yield from _marked(document.text, passage, pieces, numbers)
        yield "</p>"
    if document.entities:
        rows = (
            (
                *(entity.text, entity.type, _offsets(entity.spans), _confidence(entity)),
                *(", ".join(map(_identifier, entity.identifiers)), _attributes(entity)),
            )
            for entity in document.entities
        )
        number = len(document.entities)
        what = "1 entity" if number == 1 else f"{number:,} entities"
        heads = ("Text", "Type", "Place", "Confidence", "Identifiers", "Attributes")
        yield from _table(f"{what} as a table", heads, rows)
    if document.relations:
        texts = {entity.id: _shown(entity.text) for entity in document.entities if entity.id}
        relations = [
            (relation.type, _arguments(relation, texts), _confidence(relation)) for relation in document.relations
        ]
        what = "1 relation" if len(relations) == 1 else f"{len(relations):,} relations"
        yield from _table(what, ("Type", "Between", "Confidence"), relations)
    if document.labels:
        labels = [_label(label, document) for label in document.labels]
        what = "1 label" if len(labels) == 1 else f"{len(labels):,} labels"
        yield from _table(what, ("Of", "Label", "Task", "Confidence"), labels)
    yield "</article>"


def _pieces(document: Document) -> list[list[_Piece]]:
    """For each passage, the stretches of entities in it; what lies between passages is not shown."""
    passages: list[list[_Piece]] = [[] for _ in document.passages]
    begins = [passage.offset for passage in document.passages]
    ends = [passage.end for passage in document.passages]
    for entity in document.entities:
        stretches = [
            (number, max(start, begins[number]), min(end, ends[number]))
            for start, end in entity.spans
            for number in range(bisect_right(ends, start), bisect_left(begins, end))
            if max(start, begins[number]) < min(end, ends[number])  # an empty passage shows nothing
        ]
        for stretch in stretches:
            number, start, end = stretch
            passages[number].append(_Piece(start, end, entity, stretch == stretches[0], stretch == stretches[-1]))
    return passages


def _marked(text: str, passage: Passage, pieces: Sequence[_Piece], numbers: Mapping[str, int]) -> list[str]:
    """The passage's text with nested marks. Where a mark ends inside another that began later, the inner one
    is closed with it and opened again behind it."""
    starting: dict[int, list[_Piece]] = {}
    for piece in pieces:
        starting.setdefault(piece.start, []).append(piece)
    result: list[str] = []
    stack: list[_Open] = []
    position = passage.offset
    closings = 0
    for edge in sorted({position for piece in pieces for position in (piece.start, piece.end)}):
        result.append(escape(text[position:edge]))
        position = edge
        lowest = next((index for index, mark in enumerate(stack) if mark.piece.end == edge), len(stack))
        closed, stack = stack[lowest:], stack[:lowest]
        closings += len(closed)
        if closings > _MOST_CLOSINGS + 20 * len(pieces):
            raise InputError("the entities cross each other too often for a page; write another format")
        for mark in reversed(closed):
            _close(result, mark, mark.piece.end == edge, numbers)
        again = [(mark.piece, True) for mark in closed if mark.piece.end > edge]
        new = [(piece, False) for piece in starting.get(edge, ())]
        for piece, goes_on in sorted(again + new, key=lambda item: (-item[0].end, item[0].entity.type)):
            stack.append(_Open(piece, len(result), goes_on))
            result.append("")  # the tag, once it is known how the mark ends
    result.append(escape(text[position : passage.end]))
    return result


def _close(result: list[str], mark: _Open, finished: bool, numbers: Mapping[str, int]) -> None:
    piece = mark.piece
    entity = piece.entity
    last = finished and piece.ends
    edges = " ".join(
        ["from"] * (mark.goes_on or not piece.begins) + ["on"] * (not last)  # an open edge on either side
    )
    classes = " ".join(filter(None, (edges, *_manners(entity))))
    kind = f' class="{classes}"' if classes else ""
    confidence = f", confidence {_confidence(entity)}" if entity.confidence is not None else ""
    about = "".join(f", {text}" for text in (_attributes(entity), *map(_identifier, entity.identifiers[:1])) if text)
    tip = f"{entity.type}{confidence}{about}" + (f": {_shown(entity.text)}" if edges else "")
    style = f"--c:var(--t{numbers[entity.type]})"
    result[mark.number] = f'<mark{kind} style="{style}" title="{escape(tip)}">'
    if last:
        # Read aloud, copied or without style, the name stands in brackets; seen, the confidence is in the tip.
        unseen = '<span class="unseen">{}</span>'
        result.append(
            f"<small>{unseen.format(' [')}{escape(entity.type)}{unseen.format(escape(confidence) + ']')}</small>"
        )
    result.append("</mark>")


def _table(summary: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    yield f"<details><summary>{escape(summary)}</summary><div><table><thead><tr>{head}</tr></thead><tbody>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</tbody></table></div></details>"


def _arguments(relation: Relation, texts: Mapping[str, str]) -> str:
    """The arguments by their texts; those of a relation between concepts are identifiers in its metadata."""
    named = [
        f"{role}: {texts.get(target, target)}" if role else texts.get(target, target)
        for role, target in relation.arguments
    ]
    concepts = [relation.metadata[key] for key in ("entity1", "entity2") if key in relation.metadata]
    return ", ".join(named or concepts)


def _shown(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _label(label: Label, document: Document) -> tuple[str, ...]:
    about = _shown(document.text_at([label.span])) if label.span else "the text"
    return about, label.name, label.task, _confidence(label)


def _identifier(identifier: Identifier) -> str:
    return f"{identifier.curie} ({identifier.label})" if identifier.label else identifier.curie


def _manners(entity: Entity) -> Iterator[str]:
    """The classes of what is denied, and of what is doubted, a condition or somebody else's."""
    if "negated" in entity.attributes:
        yield "negated"
    if not _DOUBTFUL.isdisjoint(entity.attributes):
        yield "doubtful"


def _attributes(entity: Entity) -> str:
    """`negated`, or `certainty: low`."""
    return ", ".join(name if value == "true" else f"{name}: {value}" for name, value in entity.attributes.items())


def _offsets(spans: Iterable[Span]) -> str:
    return ", ".join(f"{start}–{end}" for start, end in spans)


def _confidence(item: Entity | Relation | Label) -> str:
    return "" if item.confidence is None else f"{item.confidence:.2f}"

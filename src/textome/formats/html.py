"""A page to look at and to send: one self-contained HTML file, no request to anywhere, no script.

Entities are marked in the colour of their type (after Okabe and Ito 2008, told apart by colour-blind readers) with the
type's name beside them, so that colour is never the only sign; overlapping ones are nested or named at their end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from html import escape

from textome.documents import Document, Entity
from textome.formats.sources import Target

_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b8a800", "#8c8c8c")
_ORDER = ("Disease", "Chemical", "Gene", "Species", "CellType", "CellLine", "DNA", "RNA")

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --page: #fff; --soft: #59636e; --line: #d1d9e0; --tint: 24%; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --page: #0d1117; --soft: #9198a1; --line: #3d444d; --tint: 38%; } }
body { margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 1.0625rem/1.75 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
article { border-top: 1px solid var(--line); padding: 1.25rem 0; }
h2 { font-size: .875rem; font-weight: 600; color: var(--soft); margin: 0; }
h3 { font-size: .75rem; letter-spacing: .05em; text-transform: uppercase; color: var(--soft); margin: 1rem 0 0; }
p { margin: .15rem 0; white-space: pre-wrap; }
p.title { font-size: 1.2rem; font-weight: 600; line-height: 1.5; }
mark { color: inherit; padding: .1em .2em; border-radius: .25em; border-bottom: 2px solid var(--c);
  background: color-mix(in srgb, var(--c) var(--tint), transparent); }
mark > small, .legend small { font-size: .65rem; font-weight: 600; color: var(--soft); margin-left: .3em;
  vertical-align: .12em; white-space: nowrap; }
mark mark { padding-block: 0; }
.legend { display: flex; flex-wrap: wrap; gap: .4rem .6rem; list-style: none; margin: .75rem 0 1.25rem; padding: 0;
  font-size: .9rem; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; margin-top: .5rem; }
td, th { text-align: left; padding: .15rem .5rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
details { margin-top: .75rem; color: var(--soft); } summary { cursor: pointer; font-size: .85rem; }
"""


def sniff(head: str, name: str) -> bool:
    return False


def write(documents: Iterable[Document], target: Target) -> int:
    """All documents on one page, with a legend of the types and a table of the entities under each text."""
    bodies: list[str] = []
    counts: Counter[str] = Counter()
    for document in documents:
        bodies.append(_article(document))
        counts.update(entity.type for entity in document.entities)
    legend = "".join(
        f'<li><mark style="--c:{_colour(name)}">{escape(name)}</mark> <small>{number}</small></li>'
        for name, number in counts.most_common()
    )
    texts = f"{len(bodies)} text{'s' * (len(bodies) != 1)}"
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Entities in {texts}</title><style>{_STYLE}</style></head>\n<body><main>"
        f"<h1>{counts.total():,} entities in {texts}</h1>"
        f'<ul class="legend" aria-label="Entity types and how many there are">{legend}</ul>\n'
        + "\n".join(bodies)
        + "\n</main></body></html>\n"
    )
    with target.open() as stream:
        stream.write(page.encode("utf-8"))
    return len(bodies)


def _article(document: Document) -> str:
    parts = [f"<article><h2>{escape(document.id or 'Text')}</h2>"]
    for number, passage in enumerate(document.passages):
        title = passage.section == "title"
        if passage.section and not title:
            parts.append(f"<h3>{escape(passage.section)}</h3>")
        last = number == len(document.passages) - 1
        end = None if last else document.passages[number + 1].offset
        inside = [
            entity
            for entity in document.entities
            if passage.offset <= entity.start and (end is None or entity.start < end)
        ]
        kind = ' class="title"' if title else ""
        parts.append(f"<p{kind}>{_marked(document.text, passage.offset, passage.end, inside)}</p>")
    if document.entities:
        rows = "".join(
            f"<tr><td>{escape(entity.text)}</td><td>{escape(entity.type)}</td><td>{entity.start}–{entity.end}</td>"
            f"<td>{_confidence(entity)}</td><td>{escape(', '.join(entity.identifiers))}</td></tr>"
            for entity in document.entities
        )
        parts.append(
            f"<details><summary>{len(document.entities)} entities as a table</summary><table><thead><tr>"
            "<th scope=col>Text</th><th scope=col>Type</th><th scope=col>Place</th><th scope=col>Confidence</th>"
            f"<th scope=col>Identifiers</th></tr></thead><tbody>{rows}</tbody></table></details>"
        )
    return "".join([*parts, "</article>"])


def _marked(text: str, start: int, end: int, entities: list[Entity]) -> str:
    """The text from `start` to `end` with nested marks. An entity that crosses another's end, or lies in several
    pieces, is cut into marks that each fit, the name standing at the last."""
    pieces = [(span.start, span.end, entity, span == entity.spans[-1]) for entity in entities for span in entity.spans]
    pieces.sort(key=lambda piece: (piece[0], -piece[1], piece[2].type))
    result: list[str] = []
    open_marks: list[tuple[int, Entity, bool]] = []
    position = start

    def advance(to: int) -> None:
        nonlocal position
        while open_marks and open_marks[-1][0] <= to:
            stop, entity, named = open_marks.pop()
            result.append(escape(text[position:stop]))
            position = stop
            result.append((f"<small>{escape(entity.type)}</small>" if named else "") + "</mark>")
        result.append(escape(text[position:to]))
        position = to

    waiting = pieces[::-1]
    while waiting:
        first, last, entity, named = waiting.pop()
        advance(first)
        if open_marks and open_marks[-1][0] < last:
            inner = open_marks[-1][0]
            rest = (inner, last, entity, named)
            index = len(waiting)
            while index and waiting[index - 1][0] < inner:
                index -= 1
            waiting.insert(index, rest)
            last, named = inner, False
        tip = f"{entity.type}{', confidence ' + _confidence(entity) if entity.confidence is not None else ''}"
        result.append(f'<mark style="--c:{_colour(entity.type)}" title="{escape(tip)}">')
        open_marks.append((last, entity, named))
    advance(end)
    return "".join(result)


def _confidence(entity: Entity) -> str:
    return "" if entity.confidence is None else f"{entity.confidence:.2f}"


def _colour(entity_type: str) -> str:
    index = _ORDER.index(entity_type) if entity_type in _ORDER else sum(map(ord, entity_type))
    return _COLOURS[index % len(_COLOURS)]

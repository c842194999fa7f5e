"""Prodigy: JSON lines as its recipes read and its `db-out` writes them.

    {"text": "...", "meta": {"id": "1"}, "tokens": [{"text": "Gout", "start": 0, "end": 4, "id": 0, "ws": true}],
     "spans": [{"start": 0, "end": 4, "token_start": 0, "token_end": 0, "label": "Disease"}],
     "relations": [{"head": 0, "child": 3, "head_span": {...}, "child_span": {...}, "label": "treats"}]}

Tokens are runs of letters and digits, and single other signs; they are cut where an entity begins or ends, so that every
entity is whole tokens. Labels of the whole text are `options` of which `accept` names those that hold. Offsets count code
points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from textome.documents import Document, Entity
from textome.formats.jsonl import read
from textome.formats.reading.sources import Target
from textome.formats.tools.json_tasks import Members, pair_of, write_lines

__all__ = ["read", "write"]

_TOKEN = re.compile(r"\w+|[^\w\s]")


def write(documents: Iterable[Document], target: Target) -> int:
    """A line a document; relations between other things than two entities are left out."""
    return write_lines(documents, target, _record)


def _record(document: Document) -> Members:
    tokens = _tokens(document)
    starts = {token["start"]: token["id"] for token in tokens}
    ends = {token["end"]: token["id"] for token in tokens}

    def span(entity: Entity) -> Members:
        """From the first sign of an entity that is not white space to its last one."""
        text = document.text[entity.start : entity.end]
        start = entity.start + len(text) - len(text.lstrip())
        end = entity.end - len(text) + len(text.rstrip())
        tokens_of_span = {"token_start": starts[start], "token_end": ends[end]} if start < end else {}
        where = {"start": start, "end": end} if start < end else {"start": entity.start, "end": entity.end}
        return where | tokens_of_span | {"label": entity.type}

    record: Members = {
        "text": document.text,
        "meta": document.metadata | {"id": document.id},
        "tokens": tokens,
        "spans": [span(entity) for entity in document.entities],
    }
    relations = []
    for relation in document.relations:
        if (pair := pair_of(document, relation)) is not None:
            head, child = span(pair[0]), span(pair[1])
            if "token_end" in head and "token_end" in child:
                ends_of_spans = {"head": head["token_end"], "child": child["token_end"]}
                relations.append(ends_of_spans | {"head_span": head, "child_span": child, "label": relation.type})
    if relations:
        record["relations"] = relations
    if names := [label.name for label in document.labels if label.span is None]:
        record |= {"options": [{"id": name, "text": name} for name in names], "accept": names}
    return record


def _tokens(document: Document) -> list[Members]:
    text = document.text
    cuts = {position for entity in document.entities for position in (entity.start, entity.end)}
    bounds: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(text):
        inner = sorted(cut for cut in cuts if match.start() < cut < match.end()) if cuts else []
        edges = [match.start(), *inner, match.end()]
        bounds += pairwise(edges)
    return [
        {"text": text[start:end], "start": start, "end": end, "id": number, "ws": text[end : end + 1].isspace()}
        for number, (start, end) in enumerate(bounds)
    ]

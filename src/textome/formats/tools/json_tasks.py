"""What writers for annotation tools share: whole numbers for entities, extents, and JSON written record by record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from textome.documents import Document, Entity, Relation
from textome.formats.reading.sources import Target

Members = dict[str, Any]


def write_lines(documents: Iterable[Document], target: Target, record_of: Callable[[Document], Members]) -> int:
    """A record a line, in UTF-8; returns their number."""
    number = 0
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            stream.write(json.dumps(record_of(document), ensure_ascii=False).encode() + b"\n")
    return number


def write_list(documents: Iterable[Document], target: Target, record_of: Callable[[Document], Members]) -> int:
    """A JSON list with a record a line, in UTF-8; returns their number."""
    number = 0
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            record = json.dumps(record_of(document), ensure_ascii=False)
            stream.write(f"{'[' if number == 1 else ','}\n{record}".encode())
        stream.write(b"\n]\n" if number else b"[]\n")
    return number


def names_of_entities(document: Document) -> dict[str, int]:
    """Whole numbers from 1 for the ids of entities, in order, as tools count them."""
    return {entity.id: number for number, entity in enumerate(document.entities, 1) if entity.id}


def extent_text(document: Document, entity: Entity) -> str:
    """The text from the beginning of an entity to its end, what a discontinuous one leaves out included."""
    return document.text[entity.start : entity.end]


def pair_of(document: Document, relation: Relation) -> tuple[Entity, Entity] | None:
    """The two entities that a relation connects; None where they are not two entities, and for one without a type."""
    by_id = {entity.id: entity for entity in document.entities if entity.id}
    targets = [target for _, target in relation.arguments]
    if len(targets) != 2 or not {*targets} <= by_id.keys() or not relation.type.strip():
        return None
    first, second = (by_id[target] for target in targets)
    return first, second

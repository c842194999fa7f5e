"""The XML of the DDI corpus (Herrero-Zazo et al. 2013): sentences with drugs, and every pair of them with its interaction.

A document's sentences become its passages, so that nothing has to be cut into sentences again. `charOffset` counts from
the sentence's start and its end is included. Pairs without an interaction are not written down: they are all other pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textome.documents import Document, Entity, Passage, Relation, Span
from textome.errors import InputError
from textome.formats.reading.offsets import in_code_points
from textome.formats.reading.sources import Quarantine, Source
from textome.formats.reading.xml_reading import records


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """The documents of a file, or of all `.xml` files below a folder."""
    if not source.is_directory:
        yield from _read_file(source, quarantine)
        return
    assert source.path is not None
    files = sorted(path for path in source.path.rglob("*.xml") if not path.name.startswith("."))
    if not files:
        raise InputError(f"{source.name}: the folder holds no .xml file")
    for path in files:
        yield from _read_file(Source(str(path), path), quarantine)


def sniff(head: str, name: str) -> bool:
    return "<sentence " in head and "<document " in head and ("charOffset=" in head or "DDI-" in head)


def _read_file(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    for number, element in records(source, ("document",), ("document",), quarantine):
        name = element.get("id") or str(number)
        try:
            yield _document(element, name)
        except InputError as error:
            quarantine.add(source.name, f"document {name}", error)


def _document(element: Any, name: str) -> Document:
    passages: list[Passage] = []
    entities: list[Entity] = []
    relations: list[Relation] = []
    offset = 0
    for sentence in element.iter("sentence"):
        text = sentence.get("text", "")
        located, names, kinds = [], [], []
        for entity in sentence.iter("entity"):
            located.append((_offsets(entity), entity.get("text", "")))
            names.append(f"the annotation {entity.get('id')}")
            kinds.append((entity.get("id", ""), entity.get("type", "")))
        for spans, (identity, kind) in zip(in_code_points(text, located, names), kinds, strict=True):
            where = tuple(Span(start + offset, end + offset) for start, end in spans)
            entities.append(Entity(where, kind, " ".join(text[start:end] for start, end in spans), identity))
        for pair in sentence.iter("pair"):
            if pair.get("ddi") == "true" and (kind := pair.get("type")):
                ends = (("Arg1", pair.get("e1", "")), ("Arg2", pair.get("e2", "")))
                relations.append(Relation(kind, ends, pair.get("id", "")))
        if text:
            passages.append(Passage(text, offset, metadata={"id": sentence.get("id", "")}))
            offset += len(text) + 1
    return Document(name, tuple(passages), tuple(entities), tuple(relations))


def _offsets(entity: Any) -> list[tuple[int, int]]:
    offsets = []
    for piece in (entity.get("charOffset") or "").split(";"):
        start, dash, end = piece.partition("-")
        if not (dash and start.isdigit() and end.isdigit()):
            raise InputError(f"the annotation {entity.get('id')} has the charOffset {piece!r}; expected START-END")
        offsets.append((int(start), int(end) + 1))
    return offsets

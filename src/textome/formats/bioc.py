"""What BioC XML and BioC JSON share: a collection's parts as plain values, and the way to documents and back.

BioC gives texts with offsets, and everything else in string pairs called infons (Comeau et al. 2013); see
`bioc_infons` for what those hold of ours.
"""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from textome.documents import MAX_GAP, Document, Entity, Passage, Relation
from textome.errors import InputError
from textome.formats.bioc_infons import (
    document_infons,
    entity_infons,
    passage_infons,
    read_document_infons,
    read_entity_infons,
    read_passage_infons,
    read_relation_infons,
    relation_infons,
)
from textome.formats.reading.members import described
from textome.formats.reading.offsets import Located, Part, parts_in_code_points

Members = Mapping[str, Any]
# Metadata of a document that keeps annotations without a place in the text, such as a document's index terms.
UNLOCATED = "annotations_without_location"
# Metadata of a relation: its nodes that no annotation of the document is called by.
UNRESOLVED = "nodes_without_annotation"
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,15}")


class _Stretch(NamedTuple):
    """A passage, a sentence, or the whole document, with the annotations that the file has inside it.

    region   where they may begin: from the passage's offset to the next passage's
    """

    text: str
    offset: int
    annotations: list[Members]
    region: tuple[int, int] | None = None


def document_from(value: Any) -> Document:
    """A document from BioC's members (`id`, `infons`, `passages`, `annotations`, `relations`).

    Offsets may count code points, UTF-8 bytes or UTF-16 units: the unit is taken in which all annotations of the
    document agree with its text. Annotations without a location, which have no place in a `Document`, stay as JSON in
    the metadata `annotations_without_location`. An id that several annotations have is kept by the first; the others
    have it in their metadata.

    Raises InputError naming the member, or the annotation that does not fit the text.
    """
    document = _object(value, "a document")
    passages: list[Passage] = []
    stretches: list[_Stretch] = []
    relations = _objects(document, "relations")
    gaps = 0
    items = _objects(document, "passages")
    begins = [0, *(_number(item, "offset", 0) for item in items[1:]), sys.maxsize]
    for item, region in zip(items, pairwise(begins), strict=False):
        inside = [stretch._replace(region=region) for stretch in _stretches(item)]
        if not (text := _text(item)):
            text = _assembled(inside, MAX_GAP - gaps)
            gaps += len(text) - sum(len(sentence.text) for sentence in inside[1:])
        passages.append(_passage(text, item))
        # Sentences of a passage that has a text of its own only hold annotations.
        stretches += inside
        for owner in (item, *_objects(item, "sentences")):
            relations += _objects(owner, "relations")
    metadata, labels = read_document_infons(_infons(document))
    draft = Document(_name(document), tuple(passages), metadata=metadata, labels=labels)
    stretches.append(_Stretch(draft.text, 0, _objects(document, "annotations")))
    entities, unlocated = _entities(draft.text, stretches)
    if unlocated:
        draft = replace(draft, metadata=draft.metadata | {UNLOCATED: json.dumps(unlocated, ensure_ascii=False)})
    known = {entity.id for entity in entities} | {_name(item) for item in relations}
    linked = [_relation(item, known) for item in relations]
    return draft.with_annotations(_unique_ids(entities, linked), linked)


def document_to(document: Document) -> dict[str, Any]:
    """BioC's members of a document. Each annotation stands in the passage where it begins."""
    passages = []
    begins = [passage.offset for passage in document.passages]
    inside: list[list[Entity]] = [[] for _ in begins]
    for entity in document.entities:
        inside[max(0, bisect_right(begins, entity.start) - 1)].append(entity)
    for passage, entities in zip(document.passages, inside, strict=True):
        passages.append(
            {
                "offset": passage.offset,
                "infons": passage_infons(passage),
                "text": passage.text,
                "sentences": [],
                "annotations": [_annotation(entity) for entity in entities],
                "relations": [],
            }
        )
    return {
        "id": document.id,
        "infons": document_infons(document),
        "passages": passages,
        "annotations": [],
        "relations": [
            {
                "id": relation.id,
                "infons": relation_infons(relation),
                "nodes": [{"refid": target, "role": role} for role, target in relation.arguments],
            }
            for relation in document.relations
        ],
    }


def _annotation(entity: Entity) -> dict[str, Any]:
    return {
        "id": entity.id,
        "infons": entity_infons(entity),
        "text": entity.text,
        "locations": [{"offset": start, "length": end - start} for start, end in entity.spans],
    }


def _stretches(passage: Members) -> list[_Stretch]:
    """The passage and its sentences."""
    return [
        _Stretch(_text(item), _number(item, "offset", default), _objects(item, "annotations"))
        for item, default in ((passage, 0), *((sentence, None) for sentence in _objects(passage, "sentences")))
    ]


def _assembled(stretches: list[_Stretch], most: int) -> str:
    """The text of a passage that is given only in sentences, each at its offset; changes the passage's own stretch.

    most   characters that may stand between the sentences, all gaps together
    """
    passage, *sentences = stretches
    text = ""
    for sentence in sentences:
        gap = sentence.offset - passage.offset - len(text)
        if not 0 <= gap <= most:
            raise InputError(
                f"the sentence at offset {sentence.offset} does not follow the one before it, which ends at "
                f"{passage.offset + len(text)}"
            )
        most -= gap
        text += " " * gap + sentence.text
    stretches[0] = passage._replace(text=text)
    return text


def _passage(text: str, item: Members) -> Passage:
    section, metadata = read_passage_infons(_infons(item))
    return Passage(text, _number(item, "offset", 0), section, metadata)


def _entities(text: str, stretches: Sequence[_Stretch]) -> tuple[list[Entity], list[Members]]:
    """The annotations that have a location, and the others as they are."""
    located = [[item for item in stretch.annotations if item.get("locations")] for stretch in stretches]
    parts = [
        Part(
            stretch.text,
            stretch.offset,
            [_location(item) for item in items],
            [f"annotation {_name(item)!r}" for item in items],
            stretch.region,
        )
        for stretch, items in zip(stretches, located, strict=True)
    ]
    entities = []
    for item, spans in zip(
        (item for items in located for item in items), parts_in_code_points(text, parts), strict=True
    ):
        kind, identifiers, confidence, metadata, attributes = read_entity_infons(_infons(item))
        actual = " ".join(text[start:end] for start, end in spans)
        entities.append(Entity(spans, kind, actual, _name(item), confidence, identifiers, metadata, attributes))
    unlocated: list[Members] = [
        {key: item[key] for key in ("id", "infons", "text") if item.get(key)}
        for stretch in stretches
        for item in stretch.annotations
        if not item.get("locations")
    ]
    return entities, unlocated


def _location(annotation: Members) -> Located:
    pairs = []
    for location in _objects(annotation, "locations"):
        start = _number(location, "offset")
        pairs.append((start, start + _number(location, "length")))
    return pairs, _text(annotation) or None


def _relation(item: Members, known: set[str]) -> Relation:
    """A relation. Nodes that refer to no annotation, as PubTator's service writes them for concepts, become metadata."""
    kind, confidence, metadata = read_relation_infons(_infons(item))
    nodes = [(_name(node, "role"), _name(node, "refid")) for node in _objects(item, "nodes")]
    if missing := [f"{role}:{target}" for role, target in nodes if target not in known]:
        metadata |= {UNRESOLVED: " ".join(missing)}
    arguments = tuple((role, target) for role, target in nodes if target in known)
    return Relation(kind or metadata.get("relation", ""), arguments, _name(item), confidence, metadata)


def _unique_ids(entities: Sequence[Entity], relations: Sequence[Relation]) -> list[Entity]:
    """Ids that are used again within a document, as some files number by passage, are dropped after the first."""
    targets = {target for relation in relations for _, target in relation.arguments}
    seen: set[str] = set()
    kept = []
    for entity in entities:
        again = bool(entity.id) and entity.id in seen
        if again and entity.id in targets:
            raise InputError(
                f"a relation refers to {entity.id!r}, which several annotations of the document are called"
            )
        seen.add(entity.id)
        kept.append(replace(entity, id="", metadata=entity.metadata | {"id": entity.id}) if again else entity)
    return kept


def _infons(item: Members) -> dict[str, str]:
    """Infons as strings: some BioC JSON files hold numbers and nulls in them."""
    values = _object(item.get("infons") or {}, "infons")
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in values.items()
        if value is not None
    }


def _text(item: Members) -> str:
    value = item.get("text")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"text: expected a text, found {described(value)}")
    return value


def _name(item: Members, key: str = "id") -> str:
    """An id, which some files give as a number."""
    value = item.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{key}: expected a text, found {described(value)}")
    return str(value)


def _number(item: Members, key: str, default: int | None = None) -> int:
    value = item.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        return int(value)
    raise InputError(f"{key}: expected a whole number, found {'nothing' if value is None else repr(value)}")


def _objects(item: Members, key: str) -> list[Members]:
    """The objects of a list member; none where it is missing or null."""
    values = item.get(key)
    if values is None:
        return []
    if not isinstance(values, list):
        raise InputError(f"{key}: expected a list, found {described(values)}")
    return [_object(value, f"an item of {key!r}") for value in values]


def _object(value: Any, name: str) -> Members:
    if not isinstance(value, Mapping):
        raise InputError(f"{name}: expected an object, found {described(value)}")
    return value

"""What BioC XML and BioC JSON share: a collection's parts as plain values, and the way to documents and back.

BioC keeps everything but text and offsets in string pairs called infons (Comeau et al. 2013). Ours are readable by other
tools: `type`, `identifier`, `confidence`. Where those would not give an annotation back exactly, an infon `textome` holds
the members as JSON beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textome.documents import Document, Entity, Passage, Relation, Span, replace_lone_surrogates
from textome.errors import InputError
from textome.formats.identifiers import from_curies, to_curies
from textome.formats.offsets import in_code_points

Infons = Mapping[str, str]
EXACT = "textome"


def document_from(value: Mapping[str, Any]) -> Document:
    """A document from BioC's members (`id`, `infons`, `passages`, `annotations`, `relations`).

    Offsets may count code points, UTF-8 bytes or UTF-16 units; each passage's are read in the unit that fits.
    Raises InputError naming the annotation that does not fit its text.
    """
    name = str(value.get("id", ""))
    infons = _strings(value.get("infons"))
    passages: list[Passage] = []
    entities: list[Entity] = []
    relations = list(value.get("relations") or ())
    for item in value.get("passages") or ():
        text, annotations = _passage_text(item)
        passages.append(_passage(text, item))
        for sentence in item.get("sentences") or ():
            relations += sentence.get("relations") or ()
        relations += item.get("relations") or ()
        entities += _entities(text, int(item.get("offset", 0)), annotations)
    draft = Document(name, tuple(passages), metadata=_exact(infons, dict))
    for annotation in value.get("annotations") or ():  # of the whole document
        entities += _entities(draft.text, 0, [annotation])
    return draft.with_annotations(_unique_ids(entities), [_relation(item) for item in relations])


def document_to(document: Document) -> dict[str, Any]:
    """BioC's members of a document. Each annotation stands in the passage where it begins."""
    passages = []
    for number, passage in enumerate(document.passages):
        last = number == len(document.passages) - 1
        end = None if last else document.passages[number + 1].offset
        inside = [
            index
            for index, entity in enumerate(document.entities)
            if (passage.offset <= entity.start or number == 0) and (end is None or entity.start < end)
        ]
        passages.append(
            {
                "offset": passage.offset,
                "infons": _infons(_passage_infons(passage), (passage.section, passage.metadata), _read_passage_infons),
                "text": passage.text,
                "sentences": [],
                "annotations": [_annotation(document.entities[index]) for index in inside],
                "relations": [],
            }
        )
    return {
        "id": document.id,
        "infons": _infons(document.metadata, document.metadata, dict),
        "passages": passages,
        "annotations": [],
        "relations": [_relation_to(relation) for relation in document.relations],
    }


def _passage_text(item: Mapping[str, Any]) -> tuple[str, list[Mapping[str, Any]]]:
    """A passage's text and annotations; a passage cut into sentences is put together again at their offsets."""
    annotations = list(item.get("annotations") or ())
    text = replace_lone_surrogates(item.get("text") or "")
    sentences = item.get("sentences") or ()
    if not text:
        start = int(item.get("offset", 0))
        for sentence in sentences:
            gap = int(sentence.get("offset", 0)) - start - len(text)
            text += " " * max(0, gap) + replace_lone_surrogates(sentence.get("text") or "")
    for sentence in sentences:
        annotations += sentence.get("annotations") or ()
    return text, annotations


def _passage(text: str, item: Mapping[str, Any]) -> Passage:
    section, metadata = _exact(_strings(item.get("infons")), _read_passage_infons)
    return Passage(text, int(item.get("offset", 0)), section, metadata)


def _passage_infons(passage: Passage) -> dict[str, str]:
    """A section that the metadata would not tell becomes the infon `type`, where other tools look for it."""
    if _read_passage_infons(passage.metadata)[0] == passage.section or not passage.section:
        return dict(passage.metadata)
    return dict(passage.metadata) | {"type": passage.section}


def _read_passage_infons(infons: Infons) -> tuple[str, dict[str, str]]:
    metadata = dict(infons)
    return metadata.get("section_type") or metadata.get("section") or metadata.get("type") or "", metadata


def _entities(text: str, offset: int, annotations: Sequence[Mapping[str, Any]]) -> list[Entity]:
    located = []
    for item in annotations:
        pairs = [
            (int(place["offset"]) - offset, int(place["offset"]) - offset + int(place["length"]))
            for place in item.get("locations") or ()
        ]
        said = item.get("text")
        located.append((pairs, None if said is None else replace_lone_surrogates(said)))
    names = [f"annotation {item.get('id', '')!r}" for item in annotations]
    made = []
    for item, spans in zip(annotations, in_code_points(text, located, names), strict=True):
        kind, identifiers, confidence, metadata = _exact(_strings(item.get("infons")), _read_entity_infons)
        where = tuple(Span(start + offset, end + offset) for start, end in spans)
        found = " ".join(text[start:end] for start, end in spans)
        made.append(Entity(where, kind, found, str(item.get("id") or ""), confidence, tuple(identifiers), metadata))
    return made


def _annotation(entity: Entity) -> dict[str, Any]:
    infons = dict(entity.metadata) | {"type": entity.type}
    if entity.identifiers and "identifier" not in infons:
        infons["identifier"] = from_curies(entity.identifiers)
    if entity.confidence is not None:
        infons["confidence"] = repr(entity.confidence)
    members = (entity.type, entity.identifiers, entity.confidence, entity.metadata)
    return {
        "id": entity.id,
        "infons": _infons(infons, members, _read_entity_infons),
        "text": entity.text,
        "locations": [{"offset": start, "length": end - start} for start, end in entity.spans],
    }


def _read_entity_infons(infons: Infons) -> tuple[str, tuple[str, ...], float | None, dict[str, str]]:
    metadata = dict(infons)
    kind = metadata.pop("type", "")
    confidence = _number(metadata.get("confidence"))
    if confidence is not None:
        del metadata["confidence"]
    identifiers = to_curies(metadata.get("identifier", ""), kind)
    if "identifier" in metadata and from_curies(identifiers) == metadata["identifier"]:
        del metadata["identifier"]
    return kind, identifiers, confidence, metadata


def _relation(item: Mapping[str, Any]) -> Relation:
    kind, confidence, metadata = _exact(_strings(item.get("infons")), _read_relation_infons)
    nodes = [(str(node.get("role") or ""), str(node.get("refid") or "")) for node in item.get("nodes") or ()]
    return Relation(kind, tuple(nodes), str(item.get("id") or ""), confidence, metadata)


def _relation_to(relation: Relation) -> dict[str, Any]:
    infons = dict(relation.metadata) | {"type": relation.type}
    if relation.confidence is not None:
        infons["confidence"] = repr(relation.confidence)
    members = (relation.type, relation.confidence, relation.metadata)
    return {
        "id": relation.id,
        "infons": _infons(infons, members, _read_relation_infons),
        "nodes": [{"refid": target, "role": role} for role, target in relation.arguments],
    }


def _read_relation_infons(infons: Infons) -> tuple[str, float | None, dict[str, str]]:
    metadata = dict(infons)
    kind = metadata.pop("type", "")
    confidence = _number(metadata.get("confidence"))
    if confidence is not None:
        del metadata["confidence"]
    return kind, confidence, metadata


def _infons(plain: Infons, members: Any, reader: Callable[[Infons], Any]) -> dict[str, str]:
    """The plain infons, with the exact members beside them where reading the plain ones gives something else."""
    if EXACT not in plain and reader(plain) == members:
        return dict(plain)
    return dict(plain) | {EXACT: json.dumps(members)}


def _exact(infons: Infons, reader: Callable[[Infons], Any]) -> Any:
    if EXACT in infons:
        try:
            return json.loads(infons[EXACT])
        except ValueError as error:
            raise InputError(f"the infon {EXACT!r} is not JSON ({error})") from error
    return reader(infons)


def _strings(value: Any) -> dict[str, str]:
    """Infons as strings: some BioC JSON files hold numbers and nulls in them."""
    if not isinstance(value, Mapping):
        return {}
    return {
        replace_lone_surrogates(str(key)): replace_lone_surrogates(item if isinstance(item, str) else json.dumps(item))
        for key, item in value.items()
        if item is not None
    }


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _unique_ids(entities: Sequence[Entity]) -> list[Entity]:
    """Ids that are used again within a document, as some files number by passage, are dropped after the first."""
    seen: set[str] = set()
    kept = []
    for entity in entities:
        again = bool(entity.id) and entity.id in seen
        seen.add(entity.id)
        kept.append(
            Entity(
                entity.spans,
                entity.type,
                entity.text,
                "",
                entity.confidence,
                entity.identifiers,
                dict(entity.metadata) | {"id": entity.id},
            )
            if again
            else entity
        )
    return kept

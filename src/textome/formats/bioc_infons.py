"""BioC's infons, its string pairs, and the members of documents, passages, entities and relations that they hold.

What other tools know stands plainly: `type`, `identifier`, `confidence`, metadata and attributes under their own keys, and
labels of a document as `label TASK`. Where reading those would give something else than was written, an infon `textome`
holds the exact members as JSON beside them. It counts only as long as the plain infons say the same: another tool that
edits those has the last word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textome.documents import Document, Entity, Identifier, Label, Passage, Relation
from textome.errors import InputError
from textome.formats.jsonl import identifier_from, identifier_to, label_from, label_to
from textome.formats.reading.identifiers import from_curies, to_curies
from textome.formats.reading.json_values import parse_json

Infons = Mapping[str, str]
_EXACT = "textome"


def document_infons(document: Document) -> dict[str, str]:
    labels = [label_to(label) for label in document.labels]
    return _written((dict(document.metadata), labels), _plain_document, _read_document)


def read_document_infons(infons: Infons) -> tuple[dict[str, str], tuple[Label, ...]]:
    """The metadata and labels of a document."""
    metadata, labels = _read(infons, _plain_document, _read_document)
    return dict(metadata), tuple(map(label_from, labels))


def passage_infons(passage: Passage) -> dict[str, str]:
    return _written((passage.section, passage.metadata), _plain_passage, _read_passage)


def read_passage_infons(infons: Infons) -> tuple[str, dict[str, str]]:
    """Section and metadata of a passage."""
    section, metadata = _read(infons, _plain_passage, _read_passage)
    return section, dict(metadata)


def entity_infons(entity: Entity) -> dict[str, str]:
    identifiers = [identifier_to(item) for item in entity.identifiers]
    members = (entity.type, identifiers, entity.confidence, entity.metadata, entity.attributes)
    return _written(members, _plain_entity, _read_entity)


def read_entity_infons(
    infons: Infons,
) -> tuple[str, tuple[Identifier, ...], float | None, dict[str, str], dict[str, str]]:
    """Type, identifiers, confidence, metadata and attributes of an annotation."""
    kind, identifiers, confidence, metadata, attributes = _read(infons, _plain_entity, _read_entity)
    return kind, tuple(map(identifier_from, identifiers)), confidence, dict(metadata), dict(attributes)


def relation_infons(relation: Relation) -> dict[str, str]:
    return _written((relation.type, relation.confidence, relation.metadata), _plain_relation, _read_relation)


def read_relation_infons(infons: Infons) -> tuple[str, float | None, dict[str, str]]:
    """Type, confidence and metadata of a relation."""
    kind, confidence, metadata = _read(infons, _plain_relation, _read_relation)
    return kind, confidence, dict(metadata)


def _plain_document(metadata: Infons, labels: Sequence[Any]) -> dict[str, str]:
    """The labels of the document itself, those of a task together; labels at spans have no infon of their own."""
    names_of_task: dict[str, list[str]] = {}
    for label in map(label_from, labels):
        if label.span is None:
            names_of_task.setdefault(f"label {label.task}".strip(), []).append(label.name)
    return {key: "; ".join(names) for key, names in names_of_task.items()} | dict(metadata)


def _read_document(infons: Infons) -> tuple[Any, ...]:
    return dict(infons), []


def _plain_passage(section: str, metadata: Infons) -> dict[str, str]:
    """A section that the metadata does not tell becomes the infon `type`, where other tools look for it."""
    if not section or _named_section(metadata) == section:
        return dict(metadata)
    return dict(metadata) | {"type": section}


def _read_passage(infons: Infons) -> tuple[Any, ...]:
    metadata = dict(infons)
    return _named_section(infons) or metadata.pop("type", ""), metadata


def _named_section(infons: Infons) -> str:
    """PubMed Central's full texts have the section in `section_type`, and in `type` what kind of passage it is."""
    return infons.get("section_type") or infons.get("section") or ""


def _plain_entity(
    kind: str, identifiers: Sequence[Any], confidence: float | None, metadata: Infons, attributes: Infons
) -> dict[str, str]:
    infons = dict(attributes) | _plain_relation(kind, confidence, metadata)
    if identifiers and "identifier" not in metadata:
        infons["identifier"] = from_curies([identifier_from(item).curie for item in identifiers])
    return infons


def _read_entity(infons: Infons) -> tuple[Any, ...]:
    kind, confidence, metadata = _read_relation(infons)
    curies = to_curies(metadata.get("identifier", ""), kind)
    # A raw field that the identifiers would not give back as it was stays beside them.
    if "identifier" in metadata and from_curies(curies) == metadata["identifier"]:
        del metadata["identifier"]
    return kind, [{"curie": curie} for curie in curies], confidence, metadata, {}


def _plain_relation(kind: str, confidence: float | None, metadata: Infons) -> dict[str, str]:
    infons = dict(metadata) | {"type": kind}
    if confidence is not None:
        infons["confidence"] = repr(float(confidence))
    return infons


def _read_relation(infons: Infons) -> tuple[Any, ...]:
    """A `confidence` that is not a probability, as some tools give scores, stays in the metadata."""
    metadata = dict(infons)
    kind = metadata.pop("type", "")
    confidence = None
    try:
        value = float(metadata.get("confidence", ""))
    except ValueError:
        pass
    else:
        if 0 <= value <= 1:
            confidence = value
            del metadata["confidence"]
    return kind, confidence, metadata


def _written(
    members: tuple[Any, ...], plain: Callable[..., dict[str, str]], read: Callable[..., Any]
) -> dict[str, str]:
    infons = plain(*members)
    if _EXACT not in infons and read(infons) == members:
        return infons
    return infons | {_EXACT: json.dumps(members)}


def _read(infons: Infons, plain: Callable[..., dict[str, str]], read: Callable[[Infons], Any]) -> Any:
    if _EXACT not in infons:
        return read(infons)
    others = {key: value for key, value in infons.items() if key != _EXACT}
    try:
        members = parse_json(infons[_EXACT])
    except InputError:
        members = None
    empty = read({})
    if not isinstance(members, list):
        return read(infons)  # an infon of that name, but not ours
    if len(members) == len(empty) - 1:
        members.append(empty[-1])  # older files have no labels and attributes
    if len(members) != len(empty) or not all(map(_alike, members, empty)):
        return read(infons)
    try:
        described = plain(*members)
    except InputError:
        return read(infons)
    described.pop(_EXACT, None)
    return members if described == others else read(others)


def _alike(value: Any, example: Any) -> bool:
    """Is `value` of the kind of `example`: a text, texts by name, a list, or (where that is None) a confidence?"""
    if example is None:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)
    if isinstance(example, dict):
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    return isinstance(value, type(example))

"""JSON lines: one document a line, the lossless format of Textome's own; and JSON records of other annotation tools.

    {"id": "1", "passages": [{"text": "...", "offset": 0, "section": "title", "metadata": {}}],
     "entities": [{"id": "T1", "type": "Disease", "spans": [[0, 4]], "text": "...", "confidence": 0.98,
                   "identifiers": [{"curie": "mesh:D003920", "score": 0.9, "label": "Diabetes Mellitus"}],
                   "attributes": {"negated": "true"}, "metadata": {}}],
     "relations": [{"id": "R1", "type": "CID", "arguments": [["chemical", "T1"], ["disease", "T2"]],
                    "confidence": null, "metadata": {}}],
     "labels": [{"name": "RESULTS", "task": "sections", "confidence": 0.7, "span": [0, 80],
                 "scores": {"RESULTS": 0.7, "METHODS": 0.3}, "metadata": {}}],
     "metadata": {}}

Offsets count code points of the document's text; where no passage stands there is a line break for each code point. Empty
members are left out in writing.

In place of `passages` reading also takes `"text": "..."`, or `"title": "..."` and `"abstract": "..."` with one separator
between them, by any of the names that tables have (`members`); a line may be a bare JSON string, and an identifier a bare
CURIE. The id may be called `pmid` or the like; a missing one is the line's number. Null is missing. Texts and numbers under
other names become metadata. Records need not stand on a line each: a list of them, or objects over several lines, are read
too. What other annotation tools write is in `annotation_tools`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from textome.documents import (
    Document,
    Entity,
    Identifier,
    Label,
    Passage,
    Relation,
    Span,
    check_entity_characters,
)
from textome.errors import InputError
from textome.formats.annotation_tools import RejectedError, own_members
from textome.formats.reading.json_values import read_values
from textome.formats.reading.members import described, document_of, id_of, roles_of
from textome.formats.reading.sources import Quarantine, Source, Target

# Members that are written also where they are empty, since reading needs them.
_ALWAYS = ("text", "type", "passages", "name", "curie")
# Members by which JSON over several lines is told as records of texts.
_KNOWN = ("passages", "text", "abstract", "title", "denotations", "tokens", "annotations", "label", "entities")
_OWN = ("passages", "entities", "relations", "labels", "metadata")


def sniff(head: str, name: str) -> bool:
    """The first line is a JSON string or object, or JSON over several lines has one of our members near its beginning."""
    line = head.lstrip().split("\n", 1)[0].strip()
    if not line.startswith(("{", "[", '"')) or '"documents"' in line[:400] or '"%TYPES"' in line[:400]:
        return False
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, str):  # or the first cell of a table, in quotation marks
        return re.search(r"\.[ct]sv(\.(gz|bz2|xz))?$", name) is None
    if isinstance(value, dict):
        return True
    return line.startswith(("{", "[")) and '"documents"' not in head and any(f'"{key}"' in head for key in _KNOWN)


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """A document for each record; a bad one is quarantined with its line. Halves of surrogate pairs become U+FFFD."""
    for number, position, value in read_values(source, quarantine):
        items = (
            value["annotations"] if isinstance(value, dict) and {"classes", "annotations"} == set(value) else [value]
        )
        for item in items if isinstance(items, list) else ():
            try:
                yield document_from(item, str(number))
            except RejectedError as error:
                quarantine.pass_over(str(error))
            except InputError as error:
                quarantine.add(source.name, position, error)


def write(documents: Iterable[Document], target: Target) -> int:
    """One line a document, in UTF-8."""
    number = 0
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            line = json.dumps(document_to(document), ensure_ascii=False, separators=(",", ":"))
            stream.write(line.encode("utf-8") + b"\n")
    return number


def document_to(document: Document) -> dict[str, Any]:
    """The document as the members that the module's text shows."""
    return {"id": document.id} | _without_empty(
        {
            "passages": [
                _without_empty(
                    {"text": item.text, "offset": item.offset, "section": item.section, "metadata": item.metadata}
                )
                for item in document.passages
            ],
            "entities": [
                _without_empty(
                    {
                        "id": item.id,
                        "type": item.type,
                        "spans": [list(span) for span in item.spans],
                        "text": item.text,
                        "confidence": item.confidence,
                        "identifiers": [identifier_to(identifier) for identifier in item.identifiers],
                        "attributes": item.attributes,
                        "metadata": item.metadata,
                    }
                )
                for item in document.entities
            ],
            "relations": [
                _without_empty(
                    {
                        "id": item.id,
                        "type": item.type,
                        "arguments": [list(pair) for pair in item.arguments],
                        "confidence": item.confidence,
                        "metadata": item.metadata,
                    }
                )
                for item in document.relations
            ],
            "labels": [label_to(item) for item in document.labels],
            "metadata": document.metadata,
        }
    )


def identifier_to(identifier: Identifier) -> dict[str, Any]:
    return _without_empty({"curie": identifier.curie, "score": identifier.score, "label": identifier.label})


def label_to(label: Label) -> dict[str, Any]:
    return _without_empty(
        {
            "name": label.name,
            "task": label.task,
            "confidence": label.confidence,
            "span": list(label.span) if label.span else None,
            "scores": label.scores,
            "metadata": label.metadata,
        }
    )


def document_from(value: Any, default_id: str) -> Document:
    """A document from parsed JSON. Raises InputError that names the member that is not as it should be."""
    if isinstance(value, str):
        return Document.from_text(value, default_id)
    members = _typed(own_members(value), dict, "a record")
    if members.get("passages") is not None:
        passages = tuple(_passage(item) for item in _list(members, "passages"))
        draft = Document(default_id if members.get("id") is None else id_of(members, "id"), passages)
    else:
        draft = _simple(members, default_id)
    metadata = draft.metadata | _strings(members, "metadata")
    draft = replace(draft, metadata=metadata, labels=tuple(map(label_from, _list(members, "labels"))))
    items = [_typed(item, dict, "an entity") for item in _list(members, "entities")]
    spans = [_spans(item) for item in items]
    check_entity_characters(spans)
    entities = tuple(_entity(item, where, draft) for item, where in zip(items, spans, strict=True))
    relations = tuple(_relation(item) for item in _list(members, "relations"))
    return draft.with_annotations(entities, relations)


def _simple(members: dict[str, Any], default_id: str) -> Document:
    """A document of `text`, or of title and abstract, as tables have them. Offsets of entities count in `text` alone."""
    others = {key: value for key, value in members.items() if key not in _OWN and not key.startswith("_")}
    try:
        roles = roles_of(list(others))
    except InputError:
        if isinstance(members.get("questions", members.get("data")), list):
            raise InputError(
                "these are questions, as of SQuAD or BioASQ, and no texts; recipes and `textome evaluate` read them"
            ) from None
        raise InputError('there is no text: expected "passages", "text", or "title" and "abstract"') from None
    if members.get("entities") and "text" in roles:
        roles.pop("title", None)
    return document_of(others, roles, default_id)


def _passage(value: Any) -> Passage:
    members = _typed(value, dict, "a passage")
    offset = _typed(members.get("offset", 0), int, "offset")
    return Passage(_text(members, "text", ""), offset, _text(members, "section", ""), _strings(members, "metadata"))


def _spans(members: dict[str, Any]) -> tuple[Span, ...]:
    return tuple(_span(pair, "spans: expected pairs of whole numbers") for pair in _list(members, "spans"))


def _entity(members: dict[str, Any], where: tuple[Span, ...], document: Document) -> Entity:
    text = _text(members, "text") if "text" in members else document.text_at(where)
    return Entity(
        where,
        _text(members, "type"),
        text,
        _text(members, "id", ""),
        _probability(members, "confidence"),
        tuple(identifier_from(item) for item in _list(members, "identifiers")),
        _strings(members, "metadata"),
        _strings(members, "attributes"),
    )


def identifier_from(value: Any) -> Identifier:
    """An identifier, or a bare CURIE. Raises InputError that names the member that is not as it should be."""
    if isinstance(value, str):
        return Identifier(value)
    members = _typed(value, dict, "an identifier")
    return Identifier(_text(members, "curie"), _probability(members, "score"), _text(members, "label", ""))


def label_from(value: Any) -> Label:
    """A label. Raises InputError that names the member that is not as it should be."""
    members = _typed(value, dict, "a label")
    span = members.get("span")
    scores = _typed(members.get("scores", {}), dict, "scores")
    return Label(
        _text(members, "name"),
        _text(members, "task", ""),
        _probability(members, "confidence"),
        None if span is None else _span(span, "span: expected a pair of whole numbers"),
        {name: _required_probability(scores, name) for name in scores},
        _strings(members, "metadata"),
    )


def _span(value: Any, expected: str) -> Span:
    match value:
        case [int(start), int(end)] if type(start) is type(end) is int:
            return Span(start, end)
    raise InputError(f"{expected}, found {str(value)[:80]!r}")


def _relation(value: Any) -> Relation:
    members = _typed(value, dict, "a relation")
    arguments = []
    for pair in _list(members, "arguments"):
        match pair:
            case [str(role), str(target)]:
                arguments.append((role, target))
            case _:
                raise InputError(f"arguments: expected pairs of role and id, found {pair!r}")
    return Relation(
        _text(members, "type"),
        tuple(arguments),
        _text(members, "id", ""),
        _probability(members, "confidence"),
        _strings(members, "metadata"),
    )


def _probability(members: dict[str, Any], key: str) -> float | None:
    return None if members.get(key) is None else _required_probability(members, key)


def _required_probability(members: dict[str, Any], key: str) -> float:
    value = members[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"{key}: expected a number from 0 to 1, found {value!r}")
    return float(value)


def _strings(members: dict[str, Any], key: str) -> dict[str, str]:
    values = _typed({} if members.get(key) is None else members[key], dict, key)
    return {name: _text(values, name) for name in values}


def _text(members: dict[str, Any], key: str, default: str | None = None) -> str:
    if key not in members or (members[key] is None and default is not None):
        if default is None:
            raise InputError(f"{key!r} is missing")
        return default
    return _typed(members[key], str, key)  # type: ignore[no-any-return]


def _list(members: dict[str, Any], key: str) -> list[Any]:
    return _typed([] if members.get(key) is None else members[key], list, key)  # type: ignore[no-any-return]


def _typed(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = {dict: "an object", str: "a text", list: "a list", int: "a whole number"}[kind]
        raise InputError(f"{name}: expected {expected}, found {described(value)}")
    return value


def _without_empty(members: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value or key in _ALWAYS or value == 0}

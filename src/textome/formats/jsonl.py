"""JSON lines: one document a line, the lossless format of Textome's own.

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
members are left out in writing. In place of `passages` reading also takes `"text": "..."`, or `"title": "..."` and
`"abstract": "..."` with one separator between them; a line may be a bare JSON string, and an identifier a bare CURIE. A
missing `id` is the line's number. Members of other names are passed over.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
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
    replace_lone_surrogates,
)
from textome.errors import InputError
from textome.formats.compression import DECOMPRESSION_ERRORS
from textome.formats.sources import Quarantine, Source, Target

# Members that are written also where they are empty, since reading needs them.
_ALWAYS = ("text", "type", "passages", "name", "curie")
_MOST_DIGITS = 100
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def sniff(head: str, name: str) -> bool:
    """The first line is a JSON string, or an object that is whole or has one of our members near its beginning."""
    line = head.lstrip().split("\n", 1)[0].strip()
    if not line.startswith(("{", '"')):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return (
            line.startswith("{")
            and '"documents"' not in line
            and any(f'"{key}"' in line[:400] for key in ("passages", "text", "abstract", "title"))
        )
    return '"documents"' not in line[:400]


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """Documents line by line. A bad line is quarantined with its number. Halves of surrogate pairs become U+FFFD."""
    with source.open_text() as stream:
        number = 0
        try:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    try:
                        yield document_from(parse_json(line.strip()), str(number))
                    except InputError as error:
                        quarantine.add(source.name, f"line {number}", error)
        except DECOMPRESSION_ERRORS as error:
            quarantine.add(source.name, f"after line {number}", f"the file is cut short or damaged ({error})")


def write(documents: Iterable[Document], target: Target) -> int:
    """One line a document, in UTF-8."""
    number = 0
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            line = json.dumps(document_to(document), ensure_ascii=False, separators=(",", ":"))
            stream.write(line.encode("utf-8") + b"\n")
    return number


def parse_json(data: bytes | str) -> Any:
    """Parse strict JSON: UTF-8, no NaN or Infinity, no number beyond them, no member twice, bounded nesting.

    Halves of surrogate pairs, which JSON can spell but no text file can hold, become U+FFFD. Raises InputError that
    says where.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_moderate,
            object_pairs_hook=_unique,
        )
        return _without_lone_surrogates(value) if _SURROGATE_ESCAPE.search(text) else value
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}; convert the file to UTF-8 first") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if "\n" in text else f"column {error.colno}"
        raise InputError(f"not valid JSON at {place} ({error.msg})") from error
    except RecursionError as error:
        raise InputError("the JSON is nested too deeply") from error


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
    members = _typed(value, dict, "the line")
    number = members.get("id")
    name = str(number) if type(number) is int else _text(members, "id", default_id)
    metadata = _strings(members, "metadata")
    if "passages" in members:
        passages = tuple(_passage(item) for item in _list(members, "passages"))
    else:
        passages = _simple_passages(members)
    labels = tuple(label_from(item) for item in _list(members, "labels"))
    draft = Document(name, passages, metadata=metadata, labels=labels)
    items = [_typed(item, dict, "an entity") for item in _list(members, "entities")]
    spans = [_spans(item) for item in items]
    check_entity_characters(spans)
    entities = tuple(_entity(item, where, draft) for item, where in zip(items, spans, strict=True))
    relations = tuple(_relation(item) for item in _list(members, "relations"))
    return draft.with_annotations(entities, relations)


def _simple_passages(members: dict[str, Any]) -> tuple[Passage, ...]:
    if "text" in members:
        return (Passage(_text(members, "text")),)
    passages: list[Passage] = []
    for section in ("title", "abstract"):
        if text := _text(members, section, ""):
            passages.append(Passage(text, passages[-1].end + 1 if passages else 0, section))
    if not passages:
        raise InputError('there is no text: expected "passages", "text", or "title" and "abstract"')
    return tuple(passages)


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
    values = _typed(members.get(key, {}), dict, key)
    return {name: _text(values, name) for name in values}


def _text(members: dict[str, Any], key: str, default: str | None = None) -> str:
    if key not in members:
        if default is None:
            raise InputError(f"{key!r} is missing")
        return default
    return _typed(members[key], str, key)  # type: ignore[no-any-return]


def _list(members: dict[str, Any], key: str) -> list[Any]:
    return _typed(members.get(key, []), list, key)  # type: ignore[no-any-return]


def _typed(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        shown = {dict: "an object", str: "a string", list: "a list", int: "a whole number"}[kind]
        raise InputError(f"{name}: expected {shown}, found {type(value).__name__}")
    return value


def _without_empty(members: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value not in ("", None, [], {}) or key in _ALWAYS}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InputError(f"the member {key!r} is given twice")
            seen.add(key)
    return members


def _without_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return replace_lone_surrogates(value)
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {replace_lone_surrogates(key): _without_lone_surrogates(item) for key, item in value.items()}
    return value


def _finite(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise InputError("not valid JSON: a number is larger than 1.8e308, which few readers can hold")
    return value


def _moderate(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise InputError(
            f"not valid JSON: a number has {len(digits):,} digits, and no member needs more than {_MOST_DIGITS}"
        )
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise InputError(f"{name} is not a JSON number")

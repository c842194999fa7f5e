"""The documents that a request holds: checked, bounded, and with what of them could not be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from textome.documents import Document
from textome.errors import InputError, plain_message
from textome.formats import Quarantine, Source, bioc, guess_format, jsonl, read_documents
from textome.serve.limits import Limits, check_file, is_packed, strict_json, unpack
from textome.serve.problems import Problem, bad_request, inconsistent, too_large, unsupported, without_text
from textome.serve.schemas import DocumentModel, DocumentsRequest, Quarantined

Body = TypeVar("Body", bound=BaseModel)
Request = TypeVar("Request", bound=DocumentsRequest)
InputFormat = Literal[
    "pubmed-xml", "jats", "bioc-xml", "bioc-json", "jsonl", "pubtator", "medline", "ris", "csv", "conll", "plain"
]
# Members of a request's outermost object: each that is unknown would be an error of its own.
_MEMBERS = 100


class Uploaded(NamedTuple):
    """The documents of a file, the records that could not be read, and how many it says are not data, by reason."""

    documents: list[Document]
    quarantined: list[Quarantined]
    passed_over: dict[str, int]

    @property
    def members(self) -> dict[str, Any]:
        """What an answer tells beside the documents."""
        members = {"quarantined": [item.model_dump() for item in self.quarantined], "passed_over": self.passed_over}
        return {name: value for name, value in members.items() if value}


def validated(data: bytes, kind: type[Body], limits: Limits) -> tuple[Body, dict[str, Any]]:
    """A request from its JSON, checked, and the members as they were. Raises Problem (400) that points at what is wrong."""
    value = strict_json(data, limits)
    if isinstance(value, dict):
        if len(value) > _MEMBERS:
            raise bad_request(
                f"the request has {len(value):,} members, and no request has so many; see /v1/openapi.json"
            )
        for name in ("documents", "texts", "pairs", "first", "second"):
            if isinstance(items := value.get(name), list):
                _check_number(len(items), limits)
    try:
        return kind.model_validate(value), value
    except ValidationError as error:
        raise invalid(error.errors(include_input=False, include_url=False, include_context=False)) from error


def invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """A problem from what pydantic found. Only the places are told, and what was expected there."""
    paths = [[part for part in error["loc"] if not _is_branch(part)] for error in errors]
    # A document that is no text either has an error for each: what is wrong inside it tells more.
    inside = (number for number, path in enumerate(paths) if path[: len(paths[0])] == paths[0])
    deepest = max(inside, key=lambda number: len(paths[number]))
    first = errors[deepest]
    pointer = "".join(f"/{part}" for part in paths[deepest])[:200]
    message = "there is no such member" if first["type"] == "extra_forbidden" else plain_message(first)
    return bad_request(f"{pointer or 'the request'}: {message}; see /v1/openapi.json", pointer=pointer)


def with_documents(data: bytes, kind: type[Request], limits: Limits) -> tuple[Request, list[Document]]:
    """A request as `validated` gives it, and its documents. Raises Problem also where they are too many, too large, or
    contradict themselves."""
    request, value = validated(data, kind, limits)
    return request, _documents_of(request, value, limits)


def _documents_of(request: DocumentsRequest, value: Mapping[str, Any], limits: Limits) -> list[Document]:
    if "text" in request.model_fields_set:
        return bounded([Document.from_text(request.text)], limits)
    if "documents" in request.model_fields_set:
        return checked_documents(request.documents, limits)
    items = value["bioc"]["documents"]
    _check_number(len(items), limits)
    return bounded(_consistent(items, lambda item, _: bioc.document_from(item)), limits)


def uploaded_documents(data: bytes, format: str | None, limits: Limits, name: str = "") -> Uploaded:
    """The documents of a file in any format that Textome reads, and what of it could not be read.

    name   of the file, as its sender says; of a path the last part counts

    Raises Problem where nothing could be read.
    """
    if is_packed(data):
        data = unpack(data, limits.body_bytes)
    name = re.split(r"[/\\]", name)[-1].strip() or "upload"
    source = Source(name, data=data)
    quarantine = Quarantine(keep=100)
    try:
        chosen = format or guess_format(source)
        check_file(data, chosen, limits)
        if chosen == "parquet":
            raise unsupported("Parquet is not read here; send JSON lines or CSV, or use textome bulk")
        if chosen == "brat":
            raise unsupported("brat is two files; send one of the other formats, for instance the .txt file alone")
        documents = bounded(read_documents(source, chosen, quarantine), limits)
    except InputError as error:
        raise unsupported(without_text(error).removeprefix(f"{name}: ")) from error
    bad = [
        Quarantined(position=item.position.split(", ")[0], reason=without_text(InputError(item.reason)))
        for item in quarantine.records
    ]
    if quarantine.count > len(bad):
        bad.append(Quarantined(position="", reason=f"and {quarantine.count - len(bad):,} more records"))
    if not documents:
        passed_over = ", ".join(f"{number} passed over, {reason}" for reason, number in quarantine.passed_over.items())
        reason = (
            f"{bad[0].position}: {bad[0].reason}".removeprefix(": ") if bad else passed_over or "it holds no documents"
        )
        raise inconsistent(f"no document could be read ({reason})", quarantined=[item.model_dump() for item in bad])
    return Uploaded(documents, bad, dict(quarantine.passed_over))


def bounded(documents: Iterable[Document], limits: Limits) -> list[Document]:
    """The documents, as long as they stay within the limits. Raises Problem (413) at the first beyond them."""
    kept: list[Document] = []
    characters = annotations = annotated = sentences = 0
    for document in documents:
        kept.append(document)
        characters += document.length
        annotations += len(document.entities) + len(document.relations) + len(document.labels)
        annotated += _annotated_characters(document)
        sentences += sum(map(document.text.count, ".!?\n"))
        _check_number(len(kept), limits)
        if characters > limits.characters:
            raise too_large(f"more than {limits.characters:,} characters; send fewer documents at a time")
        if sentences > limits.sentences:
            raise too_large(f"more than {limits.sentences:,} sentences or lines; send fewer documents at a time")
        if annotations > limits.annotations:
            raise too_large(f"more than {limits.annotations:,} annotations; send fewer documents at a time")
        if annotated > limits.characters:
            raise too_large(f"more than {limits.characters:,} characters in entities; send fewer documents at a time")
    return kept


def _annotated_characters(document: Document) -> int:
    """Characters of entities, each from its beginning to its end, and again for every relation that names them: as many
    as an answer may show."""
    sizes = {entity.id: entity.end - entity.start + sum(map(len, entity.curies)) for entity in document.entities}
    named = (sizes.get(target, 0) for relation in document.relations for _, target in relation.arguments)
    return sum(entity.end - entity.start for entity in document.entities) + sum(named)


def checked_documents(items: Sequence[str | DocumentModel], limits: Limits) -> list[Document]:
    """The documents of a request. Raises Problem where they are too many or too large, or one contradicts itself."""
    _check_number(len(items), limits)
    # One at a time: all of them once more would fill the memory.
    values = (item if isinstance(item, str) else item.model_dump(exclude_unset=True) for item in items)
    return bounded(_consistent(values, lambda item, number: jsonl.document_from(item, str(number))), limits)


def _consistent(items: Iterable[Any], make: Any) -> Iterator[Document]:
    for number, item in enumerate(items, 1):
        try:
            yield make(item, number)
        except InputError as error:
            raise inconsistent(
                f"document {number}: {without_text(error)}", pointer=f"/documents/{number - 1}"
            ) from error


def _check_number(number: int, limits: Limits) -> None:
    if number > limits.documents:
        raise too_large(f"more than {limits.documents:,} documents; send fewer at a time")


def _is_branch(part: object) -> bool:
    """Is this part of a place the name of a union's branch, which says nothing to a client?"""
    return part in ("str", "constrained-str", "DocumentModel", "IdentifierModel", "body", "query")

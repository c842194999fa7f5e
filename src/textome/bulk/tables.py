"""Documents as Parquet tables and back. The schema is a contract with whoever reads the tables: see docs/guides/bulk.md.

Offsets count Unicode code points of `documents.text`, as everywhere in Textome. An entity names the sentence that it
begins in, so that what is said together can be found by comparing numbers.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import pyarrow as pa

from textome.documents import Document, Entity, Identifier, Label, Relation, Span
from textome.formats.parquet import passages_of
from textome.text.sentences import split_sentences

Row = dict[str, Any]
_TEXTS = pa.map_(pa.string(), pa.string())
_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
_PASSAGE = pa.struct([("section", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("metadata", _TEXTS)])


def _field(name: str, type: pa.DataType, about: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, type, nullable=nullable, metadata={"about": about})


DOCUMENTS = pa.schema(
    [
        _field("document_id", pa.string(), "the PMID, or what else the input names the document"),
        _field("source", pa.string(), "the input file, as it was given"),
        _field("record", pa.int64(), "number of the record in that file, from 1"),
        _field("year", pa.int16(), "year of publication, where the input tells it", nullable=True),
        _field("journal", pa.string(), "journal, where the input tells it", nullable=True),
        _field("title", pa.string(), "text of the first passage whose section is title", nullable=True),
        _field("text", pa.string(), "the whole text that all offsets count in"),
        _field("passages", pa.list_(_PASSAGE), "the sections of the text and their places"),
        _field("sentences", pa.list_(_SPAN), "the places of the sentences"),
        _field("metadata", _TEXTS, "what else the input tells: authors, MeSH headings, DOI, ..."),
    ]
)
ENTITIES = pa.schema(
    [
        _field("document_id", pa.string(), "as in documents"),
        _field("source", pa.string(), "as in documents"),
        _field("record", pa.int64(), "as in documents; (source, record) is the key"),
        _field("number", pa.int32(), "index of the entity in its document; (source, record, number) is the key"),
        _field("entity_id", pa.string(), "unique in its document; may be empty"),
        _field("type", pa.string(), "Disease, Chemical, Gene, ..."),
        _field("text", pa.string(), "the mention, as the text has it"),
        _field("start", pa.int32(), "first code point of the mention"),
        _field("end", pa.int32(), "code point after its last"),
        _field("spans", pa.list_(_SPAN), "its pieces: more than one where it is discontinuous"),
        _field("sentence", pa.int32(), "index in documents.sentences of the sentence it begins in", nullable=True),
        _field("confidence", pa.float64(), "probability from 0 to 1; none for what the input brought", nullable=True),
        _field("identifiers", pa.list_(pa.string()), "CURIEs such as mesh:D009369, where known; see the table of them"),
        _field("attributes", _TEXTS, "how the text speaks of it: negated, certainty, ..."),
        _field("metadata", _TEXTS, "what else the input tells"),
    ]
)
_ARGUMENT = pa.struct([("role", pa.string()), ("target", pa.string())])
RELATIONS = pa.schema(
    [
        _field("document_id", pa.string(), "as in documents"),
        _field("source", pa.string(), "as in documents"),
        _field("record", pa.int64(), "as in documents; (source, record) is the key"),
        _field("relation_id", pa.string(), "unique in its document; may be empty"),
        _field("type", pa.string(), "kind of relation"),
        _field("arguments", pa.list_(_ARGUMENT), "role and entity_id or relation_id of each argument"),
        _field("confidence", pa.float64(), "probability from 0 to 1; none for what the input brought", nullable=True),
        _field("metadata", _TEXTS, "what else the input tells"),
    ]
)
IDENTIFIERS = pa.schema(
    [
        _field("document_id", pa.string(), "as in documents"),
        _field("source", pa.string(), "as in documents"),
        _field("record", pa.int64(), "as in documents; (source, record) is the key"),
        _field("entity", pa.int32(), "entities.number of the entity that names the concept"),
        _field("rank", pa.int32(), "0 for the most probable of the entity's identifiers, then 1, ..."),
        _field("curie", pa.string(), "the concept, such as mesh:D009369"),
        _field("score", pa.float64(), "probability from 0 to 1; none for what the input brought", nullable=True),
        _field("label", pa.string(), "preferred name of the concept; may be empty"),
    ]
)
_SCORES = pa.map_(pa.string(), pa.float64())
LABELS = pa.schema(
    [
        _field("document_id", pa.string(), "as in documents"),
        _field("source", pa.string(), "as in documents"),
        _field("record", pa.int64(), "as in documents; (source, record) is the key"),
        _field("task", pa.string(), "the task whose label it is; may be empty"),
        _field("name", pa.string(), "the label, or the text of an answer"),
        _field(
            "start", pa.int32(), "first code point of the text it is about; none: the whole document", nullable=True
        ),
        _field("end", pa.int32(), "code point after its last", nullable=True),
        _field("sentence", pa.int32(), "index in documents.sentences of the sentence it begins in", nullable=True),
        _field("confidence", pa.float64(), "probability from 0 to 1; none for what the input brought", nullable=True),
        _field("scores", _SCORES, "the probabilities of all labels of the task, where they are known"),
        _field("metadata", _TEXTS, "what else is known"),
    ]
)
TABLES = {
    "documents": DOCUMENTS,
    "entities": ENTITIES,
    "relations": RELATIONS,
    "identifiers": IDENTIFIERS,
    "labels": LABELS,
}
_YEAR = re.compile("[0-9]{4}")
_ROWS = 256


def batches_of(documents: Sequence[tuple[str, int, Document]]) -> dict[str, pa.RecordBatch]:
    """Documents, each with its source and record, as one batch of rows for each table."""
    rows: dict[str, list[Row]] = {name: [] for name in TABLES}
    for source, record, document in documents:
        key = {"document_id": document.id, "source": source, "record": record}
        sentences = [
            Span(start + passage.offset, end + passage.offset)
            for passage in document.passages
            for start, end in split_sentences(passage.text)
        ]
        starts = [span.start for span in sentences]
        rows["documents"].append(key | _document_row(document, sentences))
        for number, entity in enumerate(document.entities):
            rows["entities"].append(key | _entity_row(number, entity, starts))
            rows["identifiers"] += [key | row for row in _identifier_rows(number, entity)]
        rows["relations"] += [key | _relation_row(item) for item in document.relations]
        rows["labels"] += [key | _label_row(item, starts) for item in document.labels]
    return {name: pa.RecordBatch.from_pylist(rows[name], schema=schema) for name, schema in TABLES.items()}


def document_of(row: Row, rows: Mapping[str, Sequence[Row]]) -> Document:
    """The document that rows were made from, exactly: one of `documents`, and those of it in the other tables."""
    identifiers: dict[int, list[Identifier]] = {}
    for item in sorted(rows.get("identifiers", ()), key=itemgetter("entity", "rank")):
        identifier = Identifier(item["curie"], item["score"], item["label"])
        identifiers.setdefault(item["entity"], []).append(identifier)
    entities = (_entity(item, tuple(identifiers.get(item["number"], ()))) for item in rows.get("entities", ()))
    relations = (
        Relation(
            item["type"],
            tuple((argument["role"], argument["target"]) for argument in item["arguments"]),
            item["relation_id"],
            item["confidence"],
            dict(item["metadata"]),
        )
        for item in rows.get("relations", ())
    )
    labels = map(_label, rows.get("labels", ()))
    metadata = dict(row["metadata"])
    return Document(row["document_id"], passages_of(row), tuple(entities), tuple(relations), metadata, tuple(labels))


def _entity(row: Row, identifiers: tuple[Identifier, ...]) -> Entity:
    return Entity(
        tuple(Span(span["start"], span["end"]) for span in row["spans"]),
        row["type"],
        row["text"],
        row["entity_id"],
        row["confidence"],
        identifiers,
        dict(row["metadata"]),
        dict(row["attributes"]),
    )


def _label(row: Row) -> Label:
    span = None if row["start"] is None else Span(row["start"], row["end"])
    return Label(row["name"], row["task"], row["confidence"], span, dict(row["scores"]), dict(row["metadata"]))


def _document_row(document: Document, sentences: Sequence[Span]) -> Row:
    year = _YEAR.search(document.metadata.get("year", ""))
    return {
        "year": int(year[0]) if year else None,
        "journal": document.metadata.get("journal"),
        "title": next((item.text for item in document.passages if item.section.lower() == "title"), None),
        "text": document.text,
        "passages": [
            {"section": item.section, "start": item.offset, "end": item.end, "metadata": list(item.metadata.items())}
            for item in document.passages
        ],
        "sentences": _spans(sentences),
        "metadata": list(document.metadata.items()),
    }


def _entity_row(number: int, entity: Entity, sentence_starts: Sequence[int]) -> Row:
    return {
        "number": number,
        "entity_id": entity.id,
        "type": entity.type,
        "text": entity.text,
        "start": entity.start,
        "end": entity.end,
        "spans": _spans(entity.spans),
        "sentence": _sentence(entity.start, sentence_starts),
        "confidence": entity.confidence,
        "identifiers": list(entity.curies),
        "attributes": list(entity.attributes.items()),
        "metadata": list(entity.metadata.items()),
    }


def _relation_row(relation: Relation) -> Row:
    return {
        "relation_id": relation.id,
        "type": relation.type,
        "arguments": [{"role": role, "target": target} for role, target in relation.arguments],
        "confidence": relation.confidence,
        "metadata": list(relation.metadata.items()),
    }


def _identifier_rows(number: int, entity: Entity) -> Iterator[Row]:
    for rank, item in enumerate(entity.identifiers):
        yield {"entity": number, "rank": rank, "curie": item.curie, "score": item.score, "label": item.label}


def _label_row(label: Label, sentence_starts: Sequence[int]) -> Row:
    start, end = label.span or (None, None)
    return {
        "task": label.task,
        "name": label.name,
        "start": start,
        "end": end,
        "sentence": None if start is None else _sentence(start, sentence_starts),
        "confidence": label.confidence,
        "scores": list(label.scores.items()),
        "metadata": list(label.metadata.items()),
    }


def _sentence(position: int, sentence_starts: Sequence[int]) -> int | None:
    """The number of the sentence around a position, or None before the first."""
    number = bisect_right(sentence_starts, position) - 1
    return number if number >= 0 else None


def _spans(spans: Sequence[Span]) -> list[dict[str, int]]:
    return [{"start": start, "end": end} for start, end in spans]

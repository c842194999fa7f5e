"""spaCy's DocBin (`.spacy`): documents as spaCy stores them, for its training and for those who go on in spaCy.

A `Doc` has entities that do not overlap in `doc.ents`; all entities are in the span group `doc.spans["textome"]`. The
first identifier of an entity is `span.kb_id_`, its id `span.id_`. Labels of the whole text are `doc.cats`. All that a
`Doc` has no field for is in `doc.user_data["textome"]`, by which Textome reads back exactly the document that it wrote.

Tokens are those of spaCy's English tokenizer. An entity that does not begin or end with a token is widened to whole tokens
in `doc.ents` and `doc.spans`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from textome.documents import Document, Entity, Identifier, Label
from textome.errors import InputError, MissingExtraError
from textome.formats.jsonl import document_from, document_to
from textome.formats.reading.sources import Quarantine, Source, Target

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.tokens import Span as DocSpan

KEY = "textome"
# What a file may unpack to, in bytes: documents are held in memory all together.
MAX_BYTES = 1 << 30
# A category of a Doc is a label of the document from this score on.
_MIN_CATEGORY = 0.5


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """A document for each Doc. Raises InputError for a file that is not a DocBin."""
    spacy = _spacy()
    with source.open_raw() as stream:
        data = stream.read()
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(data, MAX_BYTES)
        if unpacker.unconsumed_tail:
            raise InputError(f"{source.name}: the file unpacks to more than {MAX_BYTES:,} bytes; cut it into several")
        docs = list(spacy.tokens.DocBin().from_bytes(data).get_docs(spacy.blank("xx").vocab))
    except InputError:
        raise
    except Exception as error:  # spaCy lets through whatever the damage leads to
        raise InputError(
            f"{source.name}: this is not a DocBin of spaCy, or a damaged one ({type(error).__name__}: {str(error)[:200]})"
        ) from error
    for number, doc in enumerate(docs, 1):
        try:
            yield document_of(doc, str(number))
        except InputError as error:
            quarantine.add(source.name, f"document {number}", error)


def write(documents: Iterable[Document], target: Target) -> int:
    """All documents, with what only Textome knows in `user_data`."""
    spacy = _spacy()
    tokenizer = spacy.blank("en").tokenizer
    docs = spacy.tokens.DocBin(attrs=["ENT_IOB", "ENT_TYPE", "ENT_KB_ID", "ENT_ID", "SPACY"], store_user_data=True)
    number = 0
    for number, document in enumerate(documents, 1):
        doc = tokenizer(document.text)
        annotate_doc(doc, document)
        docs.add(doc)
    with target.open() as stream:
        stream.write(docs.to_bytes())
    return number


def annotate_doc(doc: Doc, document: Document, group: str = KEY, set_ents: bool = True) -> None:
    """Put the annotations of a document into a Doc of the same text.

    group      the key of the span group in `doc.spans`
    set_ents   whether `doc.ents` gets the entities too: of those that overlap the longest; they replace what they overlap
    """
    from spacy.tokens import SpanGroup
    from spacy.util import filter_spans

    document = _with_ids(document)
    spans = [span for entity in document.entities if (span := _doc_span(doc, entity)) is not None]
    doc.spans[group] = SpanGroup(doc, name=group, spans=spans)
    if set_ents:
        disjoint = filter_spans(spans)
        used = {token.i for span in disjoint for token in span}
        doc.ents = [*disjoint, *(span for span in doc.ents if not any(token.i in used for token in span))]
    for label in document.labels:
        if label.span is None:
            doc.cats[label.name] = 1.0 if label.confidence is None else label.confidence
    doc.user_data[KEY] = document_to(document)


def document_of(doc: Doc, default_id: str = "") -> Document:
    """The document in a Doc: the one that Textome put there, or else its entities, span groups and categories.

    Raises InputError where what Textome put there does not fit the Doc's text any more.
    """
    if (members := doc.user_data.get(KEY)) is not None:
        document = document_from(_plain(members), default_id)
        if document.text == doc.text:
            return document
        raise InputError("the text is not the one that Textome annotated; delete doc.user_data['textome'] first")
    draft = Document.from_text(doc.text, default_id)
    spans = [*doc.ents, *(span for group in doc.spans.values() for span in group)]
    unique = {(span.start_char, span.end_char, span.label_): span for span in reversed(spans)}
    entities = [
        draft.entity([(start, end)], label or "entity", identifiers=[Identifier(span.kb_id_)] if span.kb_id_ else [])
        for (start, end, label), span in sorted(unique.items(), key=lambda item: item[0])
        if start < end
    ]
    scores = {name: min(max(float(score), 0.0), 1.0) for name, score in doc.cats.items()}
    labels = [Label(name, "", score, scores=scores) for name, score in scores.items() if score >= _MIN_CATEGORY]
    return draft.with_annotations(entities).with_labels(labels)


def _with_ids(document: Document) -> Document:
    """Every entity with an id, by which spans of the Doc name it."""
    if all(entity.id for entity in document.entities):
        return document
    used = {entity.id for entity in document.entities} | {relation.id for relation in document.relations}
    ids = (name for number in count(1) if (name := f"T{number}") not in used)
    entities = [entity if entity.id else replace(entity, id=next(ids)) for entity in document.entities]
    return document.with_annotations(entities, document.relations)


def _doc_span(doc: Doc, entity: Entity) -> DocSpan | None:
    """The tokens from the beginning of an entity to its end; None where they are all white space that spaCy drops."""
    curie = entity.identifiers[0].curie if entity.identifiers else ""
    return doc.char_span(entity.start, entity.end, entity.type, kb_id=curie, span_id=entity.id, alignment_mode="expand")


def _plain(value: Any) -> Any:
    """Lists instead of the tuples that spaCy's files have."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _spacy() -> Any:
    try:
        import spacy
        import spacy.tokens
    except ImportError as error:
        raise MissingExtraError("spaCy's format", "spacy") from error
    return spacy

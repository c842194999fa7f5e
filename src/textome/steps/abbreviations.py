"""Abbreviations that a document defines: what a short form stands for, and mentions of it that agree with each other.

An entity that is a short form gets the attribute `long_form`. Where the long form is an entity of some type, so is its
short form wherever it stands in the document: models overlook short forms, or give them another type here and there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from textome.documents import Document, Entity, Label, Span
from textome.steps.step import StepSettings
from textome.text.abbreviations import find_abbreviations

LONG_FORM = "long_form"
# A type that the model gives to fewer of a short form's occurrences, and not to its long form, is a slip.
_MIN_SHARE = 0.5


class Abbreviations(StepSettings):
    """What the short forms of a document stand for.

    agree   entities of a short form follow its long form: overlooked ones are added with the confidence of the long form's
            entity, those of types that the long form has not are left out; human annotations stay as they are
    labels  each definition also becomes a label of the document: the long form at the place of the short form
    """

    agree: bool = True
    labels: bool = False

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            definitions = list(_definitions(document))
            if definitions:
                occurrences = _occurrences(document, definitions)
                if self.agree:
                    document = _agreeing(document, occurrences)
                document = _with_long_forms(document, occurrences)
                if self.labels:
                    document = document.with_labels([*document.labels, *map(_label, definitions)])
            yield document


@dataclass(frozen=True, slots=True)
class _Definition:
    short_form: str
    long_form: str
    short: Span
    long: Span


def _definitions(document: Document) -> Iterator[_Definition]:
    for passage in document.passages:
        for item in find_abbreviations(passage.text):
            short, long = (
                Span(span.start + passage.offset, span.end + passage.offset) for span in (item.short, item.long)
            )
            yield _Definition(document.text_at([short]), document.text_at([long]), short, long)


def _occurrences(document: Document, definitions: Sequence[_Definition]) -> dict[Span, _Definition]:
    """Where a short form stands as a word of its own, with the last definition of it until there, else the first.

    A short form of one letter stands for something else too often: only its definition counts.
    """
    by_form: dict[str, list[_Definition]] = {}
    for item in definitions:
        by_form.setdefault(item.short_form, []).append(item)
    found = {item.short: item for item in definitions}
    forms = sorted((form for form in by_form if len(form) > 1), key=len, reverse=True)
    if not forms:
        return found
    pattern = re.compile(rf"(?<!\w)(?:({'|'.join(map(re.escape, forms))})s?)(?!\w)")
    for match in pattern.finditer(document.text):
        items = by_form[match[1]]
        before = [item for item in items if item.short.start <= match.start()]
        found[Span(*match.span())] = before[-1] if before else items[0]
    return found


def _agreeing(document: Document, occurrences: dict[Span, _Definition]) -> Document:
    """The document with its entities of short forms as those of the long forms; human annotations stay."""
    at: dict[Span, list[Entity]] = {}
    for entity in document.entities:
        if len(entity.spans) == 1:
            at.setdefault(entity.spans[0], []).append(entity)
    referred = {target for relation in document.relations for _, target in relation.arguments}
    dropped: set[int] = set()
    added: list[Entity] = []
    by_long_form: dict[Span, list[Span]] = {}
    for span, definition in occurrences.items():
        by_long_form.setdefault(definition.long, []).append(span)
    for long, spans in by_long_form.items():
        long_types = {entity.type: entity for entity in at.get(long, ())}
        inside = {entity.type for entity in document.entities if entity.start < long.end and entity.end > long.start}
        given = [entity for span in spans for entity in at.get(span, ())]
        for entity in given:
            if entity.type in inside or entity.confidence is None or entity.id in referred:
                continue
            share = sum(other.type == entity.type for other in given) / len(spans)
            if long_types or share < _MIN_SHARE:
                dropped.add(id(entity))
        for source in long_types.values():
            if source.confidence is None:
                continue
            same = [entity for entity in document.entities if entity.type == source.type]
            added += [
                document.entity([span], source.type, confidence=source.confidence)
                for span in spans
                if not any(entity.start < span.end and entity.end > span.start for entity in same)
            ]
    if not dropped and not added:
        return document
    kept = document.with_annotations(
        [item for item in document.entities if id(item) not in dropped], document.relations
    )
    return kept.with_new_entities(added)


def _with_long_forms(document: Document, occurrences: dict[Span, _Definition]) -> Document:
    """The document whose entities of short forms say what they stand for."""
    entities = [
        replace(entity, attributes=entity.attributes | {LONG_FORM: occurrences[entity.spans[0]].long_form})
        if len(entity.spans) == 1 and entity.spans[0] in occurrences and LONG_FORM not in entity.attributes
        else entity
        for entity in document.entities
    ]
    return document.with_annotations(entities, document.relations)


def _label(definition: _Definition) -> Label:
    where = {"long_form_start": str(definition.long.start), "long_form_end": str(definition.long.end)}
    return Label(definition.long_form, "abbreviations", span=definition.short, metadata=where)

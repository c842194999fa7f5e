"""The section of a note or an abstract in which each entity stands; headings are not entities."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from textome.documents import Document, Entity, Span
from textome.steps.step import StepSettings
from textome.text.sections import SUBSECTIONS, Section, find_sections, kind_of

SECTION = "section"


class Sections(StepSettings):
    """The attribute `section` of entities, with a kind of textome.text.sections such as "family_history" or "methods".

    headings   leave out what a model finds in a heading, such as a disease "Cardiovascular:"; human annotations stay
    """

    headings: bool = True

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            yield self._read(document)

    def _read(self, document: Document) -> Document:
        entities = sorted(document.entities, key=lambda entity: entity.start)
        starts = [entity.start for entity in entities]
        referred = {target for relation in document.relations for _, target in relation.arguments}
        changed: dict[int, Entity | None] = {}
        for passage in document.passages:
            sections = find_sections(passage.text)
            kind = kind_of(passage.section)
            if not sections and not kind:
                continue
            table = _Table(sections)
            for entity in entities[bisect_left(starts, passage.offset) : bisect_left(starts, passage.end)]:
                span = Span(entity.start - passage.offset, entity.end - passage.offset)
                if (
                    self.headings
                    and table.is_heading(span)
                    and entity.confidence is not None
                    and entity.id not in referred
                ):
                    changed[id(entity)] = None
                elif (name := table.kind_at(span.start) or kind) and SECTION not in entity.attributes:
                    changed[id(entity)] = replace(entity, attributes=entity.attributes | {SECTION: name})
        if not changed:
            return document
        result = [changed.get(id(entity), entity) for entity in document.entities]
        return document.with_annotations([entity for entity in result if entity is not None], document.relations)


class _Table:
    """The sections of a passage, for look-ups by place."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = [section for section in sections if section.kind not in SUBSECTIONS]
        self._starts = [section.span.start for section in self._sections]
        self._headings = [section.heading for section in sections if section.kind]
        self._heading_starts = [heading.start for heading in self._headings]

    def kind_at(self, start: int) -> str:
        number = bisect_right(self._starts, start) - 1
        return self._sections[number].kind if number >= 0 else ""

    def is_heading(self, span: Span) -> bool:
        """Do these lie in the words of a known heading, or in them and the colon?"""
        number = bisect_right(self._heading_starts, span.start) - 1
        return number >= 0 and span.end <= self._headings[number].end + 1

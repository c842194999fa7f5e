"""Abbreviations that a document defines: what a short form stands for, and mentions of it that agree with each other.

An entity that is a short form gets the attribute `long_form`. Where the long form is an entity of some type, so is its
short form wherever it stands in the document: models overlook short forms, or give them another type here and there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from textome.documents import Document, Entity, Label, Span
from textome.patterns import lazy_pattern
from textome.steps.step import StepSettings
from textome.text.abbreviations import find_abbreviations

LONG_FORM = "long_form"
# A type that the model gives to fewer of a short form's occurrences, and not to its long form, is a slip.
_MIN_SHARE = 0.5
_WORD_START = lazy_pattern(r"(?<!\w)\w")
_WORD_END = lazy_pattern(r"s?(?!\w)")
_PLURAL = lazy_pattern(r"s(?!\w)")


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
    definition_at = {item.short: item for item in definitions}
    lengths = sorted({len(form) for form in by_form if len(form) > 1}, reverse=True)
    end = 0
    for start in (match.start() for match in _WORD_START.finditer(document.text)):
        if start < end or (form := _form_at(document.text, start, by_form, lengths)) is None:
            continue
        end = start + len(form)
        end += _PLURAL.match(document.text, end) is not None
        items = by_form[form]
        before = bisect_right(items, start, key=lambda item: item.short.start)
        definition_at[Span(start, end)] = items[max(0, before - 1)]
    return definition_at


def _form_at(text: str, start: int, forms: Collection[str], lengths: Sequence[int]) -> str | None:
    """The longest of the short forms that stands here as a word of its own, or with a plural s."""
    for length in lengths:
        form = text[start : start + length]
        if form in forms and _WORD_END.match(text, start + length):
            return form
    return None


def _agreeing(document: Document, occurrences: dict[Span, _Definition]) -> Document:
    """The document with its entities of short forms as those of the long forms; human annotations stay."""
    at: dict[Span, list[Entity]] = {}
    for entity in document.entities:
        if len(entity.spans) == 1:
            at.setdefault(entity.spans[0], []).append(entity)
    referred = {target for relation in document.relations for _, target in relation.arguments}
    dropped: set[int] = set()
    added: list[Entity] = []
    covers = _covers(document.entities)
    by_long_form: dict[Span, list[Span]] = {}
    for span, definition in occurrences.items():
        by_long_form.setdefault(definition.long, []).append(span)
    for long, spans in by_long_form.items():
        long_types = {entity.type: entity for entity in at.get(long, ())}
        entities = [entity for span in spans for entity in at.get(span, ())]
        counts = Counter(entity.type for entity in entities)
        for entity in entities:
            if entity.confidence is None or entity.id in referred or covers[entity.type].touches(long):
                continue
            if long_types or counts[entity.type] / len(spans) < _MIN_SHARE:
                dropped.add(id(entity))
        for source in long_types.values():
            if source.confidence is None:
                continue
            added += [
                document.entity([span], source.type, confidence=source.confidence)
                for span in spans
                if not covers[source.type].touches(span)
            ]
    if not dropped and not added:
        return document
    kept = document.with_annotations(
        [item for item in document.entities if id(item) not in dropped], document.relations
    )
    return kept.with_new_entities(added)


class _Cover:
    """Where the entities of a type stand."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._starts, self._ends = list[int](), list[int]()
        for start, end in sorted(spans):
            if self._ends and start < self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def touches(self, span: Span) -> bool:
        """Whether one of them overlaps `span`."""
        before = bisect_left(self._starts, span.end)
        return before > 0 and self._ends[before - 1] > span.start


def _covers(entities: Iterable[Entity]) -> dict[str, _Cover]:
    spans: dict[str, list[Span]] = {}
    for entity in entities:
        spans.setdefault(entity.type, []).append(Span(entity.start, entity.end))
    return {kind: _Cover(covering) for kind, covering in spans.items()}


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

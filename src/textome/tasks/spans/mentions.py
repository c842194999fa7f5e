"""Sentences with mentions, which tasks learn from corpora that each annotate some of the types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from pydantic import Field

from textome.documents import Document, Entity
from textome.errors import InputError
from textome.tasks.spans.iob import Mention
from textome.tasks.task import Prediction, Task
from textome.text.sentences import sentence_spans


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with its mentions, whose offsets count from the start of `text`.

    annotated  the heads whose types this text is annotated for
    document   the number of the document that it is from, among those of its corpus
    offset     where in its document it begins
    """

    text: str
    mentions: tuple[Mention, ...] = ()
    annotated: tuple[int, ...] = ()
    document: int = field(default=0, compare=False)
    offset: int = field(default=0, compare=False)


class MentionTask(Task[Sentence, Prediction]):
    """A task about mentions of some types, each with a head of its own, so that corpora may annotate only some of them.

    types   in the order of the model's heads
    """

    types: tuple[str, ...] = Field(min_length=1)

    def sentences(
        self, document: Document, types: Mapping[str, str], split: bool = True, number: int = 0
    ) -> Iterator[Sentence]:
        """The sentences of a document with its mentions.

        types    by the document's own names, the types that it is annotated for
        split    whether passages are cut into sentences
        number   of the document in its corpus
        """
        heads = {label: self.types.index(name) for label, name in types.items()}
        annotated = tuple(sorted(set(heads.values())))
        for start, end in sentence_spans(document, split):
            mentions = tuple(
                Mention(entity.start - start, entity.end - start, heads[entity.type])
                for entity in document.entities
                if entity.start < end and entity.end > start and entity.type in heads
            )
            yield Sentence(document.text[start:end], mentions, annotated, number, start)

    def texts_of(self, record: Sentence) -> tuple[str, ...]:
        return (record.text,)

    def group_of(self, record: Sentence, number: int) -> object:
        """A document with all its sentences is one."""
        return record.document

    def check_labelled(self, name: str, records: Sequence[Sentence]) -> None:
        if not any(record.mentions for record in records):
            raise InputError(
                f"task {name!r}: no training sentence has a mention of {', '.join(self.types)}; check the types of corpora"
            )


def with_entities(document: Document, entities: Sequence[Entity]) -> Document:
    """The document with new entities in order of their start, each with an id that is not used."""
    old = document.entities
    known = {(entity.spans, entity.type) for entity in old}
    used = {entity.id for entity in old} | {relation.id for relation in document.relations}
    ids = (name for number in count(1) if (name := f"T{number}") not in used)
    new = [
        replace(entity, id=next(ids))
        for entity in sorted(entities, key=lambda entity: (entity.start, -entity.end, entity.type))
        if (entity.spans, entity.type) not in known
    ]
    return document.with_annotations([*old, *new], document.relations)

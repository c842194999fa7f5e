"""Documents, and the annotations of them: entities, relations and labels.

Offsets count Unicode code points from the start of the document's text, and for every annotation
`annotation.text` equals the document's text at its spans. Both are checked when a document is made: a `Document`
that exists is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple, Self

from textome.errors import InputError

# Between the passages of a document stands one filler for each code point that no passage covers.
GAP = "\n"
# Larger gaps between a document's passages are damaged offsets, and filling them could take all memory.
MAX_GAP = 10_000_000
# Spans are cheap to write and their texts are not: a document whose entities have more characters, all together, is
# damaged or hostile.
MAX_ENTITY_CHARACTERS = 10_000_000
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Span(NamedTuple):
    """Half-open range `[start, end)` of code points."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of text at a place in its document, for instance a title or one section of an abstract.

    `offset` is in code points from the start of the document; `section` is free text ("title", "METHODS", ...).
    """

    text: str
    offset: int = 0
    section: str = ""
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.offset + len(self.text)


@dataclass(frozen=True, slots=True)
class Identifier:
    """A concept that an entity names.

    curie  a Bioregistry CURIE such as `mesh:D009369`, or what a corpus says where its vocabulary is not known
    score  a probability in [0, 1], or None for a human annotation
    label  the concept's preferred name, or empty
    """

    curie: str
    score: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """What a task says of a whole document, or of the text at `span`: a class of a text or a sentence, or an answer.

    name        the class, or the text of an answer
    task        the name of the task, or empty
    confidence  a probability in [0, 1], or None for a human annotation
    scores      the probabilities of all classes of the task, this one included, where they are known
    """

    name: str
    task: str = ""
    confidence: float | None = None
    span: Span | None = None
    scores: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_number(cls, name: str, task: str, value: float) -> Label:
        """A number that a task predicts, as a measurement of a molecule: `name` says which, `value` how large it is."""
        return cls(name, task, metadata={"value": repr(value)})

    @property
    def value(self) -> float | None:
        """The number, of a label that is one."""
        return float(self.metadata["value"]) if "value" in self.metadata else None


@dataclass(frozen=True, slots=True)
class Entity:
    """A mention: one span, or several where it is discontinuous, with its type.

    `text` is the document's text at the spans, the pieces of a discontinuous mention joined by one space (as brat
    does). `confidence` is a probability in [0, 1], or None for a human annotation. `identifiers` are the concepts that it
    names, the most probable first. `attributes` say how the text speaks of it, as `negated` or `certainty`; one that
    only holds or does not has the value "true", or is missing. `id` is unique among the entities and relations of a
    document, or empty if nothing refers to the entity.
    """

    spans: tuple[Span, ...]
    type: str
    text: str
    id: str = ""
    confidence: float | None = None
    identifiers: tuple[Identifier, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def curies(self) -> tuple[str, ...]:
        return tuple(identifier.curie for identifier in self.identifiers)

    @property
    def start(self) -> int:
        return self.spans[0].start

    @property
    def end(self) -> int:
        return self.spans[-1].end


@dataclass(frozen=True, slots=True)
class Relation:
    """A typed relation between annotations; `arguments` are (role, id of an entity or relation) in order."""

    type: str
    arguments: tuple[tuple[str, str], ...]
    id: str = ""
    confidence: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def titled(title: str, text: str, section: str = "abstract") -> tuple[Passage, ...]:
    """A title and a text as passages, one separator between them; one that is empty is not a passage."""
    passages = [Passage(title, 0, "title")] if title else []
    if text:
        passages.append(Passage(text, len(title) + 1 if title else 0, section))
    return tuple(passages)


@dataclass(frozen=True)
class Document:
    """A text in passages with its annotations. See the module's text for what always holds.

    Raises InputError when a passage overlaps another, an annotation lies outside the text or does not match it, an
    id is used twice, or a relation points nowhere; the message names the document and the annotation.
    """

    id: str
    passages: tuple[Passage, ...]
    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()

    def __post_init__(self) -> None:
        self._check_passages()
        self._check_annotations()

    @classmethod
    def from_text(cls, text: str, id: str = "") -> Document:
        """A document of one passage. A lone surrogate, which no file can hold, becomes U+FFFD, one for one."""
        return cls(replace_lone_surrogates(id), (Passage(replace_lone_surrogates(text)),))

    @cached_property
    def text(self) -> str:
        """The passages at their offsets, with `GAP` wherever no passage stands."""
        pieces: list[str] = []
        position = 0
        for passage in self.passages:
            pieces.append(GAP * (passage.offset - position))
            pieces.append(passage.text)
            position = passage.end
        return "".join(pieces)

    @property
    def length(self) -> int:
        """Code points of the text."""
        return self.passages[-1].end if self.passages else 0

    def _repr_html_(self) -> str:
        """The document in a notebook: its text with the entities marked, and tables of the annotations."""
        page: str = import_module("textome.formats.html").notebook(self)
        return page

    def text_at(self, spans: Sequence[Span]) -> str:
        """The text of an annotation at `spans`: the slices, joined by one space.

        Raises InputError where a span is empty, out of order, or outside the text.
        """
        if problem := spans_problem(spans, self.length):
            raise InputError(f"document {self.id!r}: {problem}")
        return self._text_at(spans)

    def _text_at(self, spans: Sequence[Span]) -> str:
        return " ".join([self.text[start:end] for start, end in spans])

    def entity(
        self,
        spans: Iterable[tuple[int, int]],
        type: str,
        *,
        id: str = "",
        confidence: float | None = None,
        identifiers: Iterable[str | Identifier] = (),
        metadata: dict[str, str] | None = None,
        attributes: dict[str, str] | None = None,
    ) -> Entity:
        """A new entity of this document with its text filled in (the document itself is not changed).

        identifiers   CURIEs, or whole identifiers
        """
        where = tuple(Span(*span) for span in spans)
        return Entity(
            where,
            type,
            self.text_at(where),
            id,
            confidence,
            as_identifiers(identifiers),
            dict(metadata or {}),
            dict(attributes or {}),
        )

    def with_annotations(self, entities: Iterable[Entity], relations: Iterable[Relation] = ()) -> Document:
        """The same text and labels, with these entities and relations in place of the old ones."""
        return self._changed(entities=tuple(entities), relations=tuple(relations))

    def with_new_entities(self, entities: Iterable[Entity]) -> Document:
        """The same document with these entities besides its own, in the order of the text, each with an id that is free."""
        used_ids = {entity.id for entity in self.entities} | {relation.id for relation in self.relations}
        ids = (name for number in count(1) if (name := f"T{number}") not in used_ids)
        new = [replace(entity, id=next(ids)) for entity in sorted(entities, key=lambda entity: entity.start)]
        everything = sorted([*self.entities, *new], key=lambda entity: entity.start)
        return self.with_annotations(everything, self.relations) if new else self

    def with_labels(self, labels: Iterable[Label]) -> Document:
        """The same text, entities and relations, with these labels in place of the old ones."""
        return self._changed(labels=tuple(labels))

    def _changed(self, **annotations: tuple[Any, ...]) -> Self:
        """The same text, which is not checked again, with other annotations, which are."""
        document = object.__new__(type(self))
        document.__dict__.update(self.__dict__, **annotations)
        document._check_annotations()
        return document

    def _check_passages(self) -> None:
        position = gaps = 0
        for number, passage in enumerate(self.passages, 1):
            if passage.offset < position:
                raise InputError(
                    f"document {self.id!r}, passage {number}: offset {passage.offset} overlaps the passage before it, "
                    f"which ends at {position}"
                )
            gaps += passage.offset - position
            if gaps > MAX_GAP:
                raise InputError(
                    f"document {self.id!r}, passage {number}: offset {passage.offset} leaves a gap of more than "
                    f"{MAX_GAP} characters after the text before it, which ends at {position}"
                )
            if _LONE_SURROGATE.search(passage.text):
                raise InputError(
                    f"document {self.id!r}, passage {number}: the text holds half of a surrogate pair, which is not "
                    f"Unicode text; replace it first (textome.documents.replace_lone_surrogates)"
                )
            position = passage.end

    def _check_annotations(self) -> None:
        seen: set[str] = set()
        length = self.length
        check_entity_characters((entity.spans for entity in self.entities), f"document {self.id!r}: ")
        for entity in self.entities:
            self._check_entity(entity, length)
            if entity.id:
                self._check_new(entity.id, seen)
        for relation in self.relations:
            if relation.id:
                self._check_new(relation.id, seen)
        for label in self.labels:
            if label.span is not None and not 0 <= label.span.start < label.span.end <= length:
                raise InputError(
                    f"document {self.id!r}, label {label.name!r}: span {label.span.start}-{label.span.end} is empty or "
                    f"outside the text of {length} characters"
                )
        for relation in self.relations:
            for role, target in relation.arguments:
                if target not in seen:
                    raise InputError(
                        f"document {self.id!r}, relation {relation.id or relation.type!r}: argument {role!r} refers "
                        f"to {target!r}, which is not an annotation of this document"
                    )

    def _check_entity(self, entity: Entity, length: int) -> None:
        if not (problem := spans_problem(entity.spans, length)):
            if entity.text == (actual := self._text_at(entity.spans)):
                return
            problem = (
                f"the annotation says {entity.text[:200]!r} but the text at {entity.start}-{entity.end} is "
                f"{actual[:200]!r}"
            )
        raise InputError(f"document {self.id!r}, {entity.type} {entity.id or entity.text[:200]!r}: {problem}")

    def _check_new(self, id: str, seen: set[str]) -> None:
        if id in seen:
            raise InputError(f"document {self.id!r}: the annotation id {id!r} is used twice")
        seen.add(id)


@dataclass(frozen=True)
class Record(Document):
    """A document whose content is not text: an image, a sound, a signal, a sequence, a molecule, or several together.

    content  what the reader of an input makes of the raw data, as pixels or samples (see `textome.inputs`)
    target   a label, a tuple of all labels that hold, values by name (missing ones left out), or None where the data has
             none

    `metadata` holds what a part of the data can be chosen by, as the speaker or the file's own split.
    """

    passages: tuple[Passage, ...] = ()
    content: Any = None
    target: str | tuple[str, ...] | Mapping[str, float] | None = None


def spans_problem(spans: Sequence[Span], length: int) -> str:
    """What is wrong with the spans of one annotation of a text of `length` code points, or nothing.

    Spans that pass are disjoint, so their texts together are no longer than the text.
    """
    if not spans:
        return "the annotation has no span"
    position = 0
    for start, end in spans:
        if not position <= start < end <= length:
            return f"span {start}-{end} is empty, out of order, or outside the text of {length} characters"
        position = end
    return ""


def check_entity_characters(spans: Iterable[Sequence[tuple[int, int]]], where: str = "") -> None:
    """Raises InputError where entities, each from its beginning to its end, have more than `MAX_ENTITY_CHARACTERS`.

    Readers call it with the spans of all entities of a document, before they build texts of them.

    where   how the message begins
    """
    if sum(map(extent, spans)) > MAX_ENTITY_CHARACTERS:
        raise InputError(
            f"{where}the texts of all entities together have more than {MAX_ENTITY_CHARACTERS:,} characters"
        )


def extent(spans: Sequence[tuple[int, int]]) -> int:
    """Code points from the beginning of the first span to the end of the last, in whatever order the spans stand."""
    if len(spans) == 1:  # nearly all
        return max(0, spans[0][1] - spans[0][0])
    return max(0, max(end for _, end in spans) - min(start for start, _ in spans)) if spans else 0


def as_identifiers(curies: Iterable[str | Identifier]) -> tuple[Identifier, ...]:
    """CURIEs as identifiers without score and label; identifiers as they are."""
    return tuple(item if isinstance(item, Identifier) else Identifier(item) for item in curies)


def as_document(item: str | Document, number: int = 0) -> Document:
    """A text as a document with its number as id (none for 0); a document as it is.

    Raises InputError for anything else.
    """
    if isinstance(item, str):
        return Document.from_text(item, id=str(number) if number else "")
    if isinstance(item, Document):
        return item
    raise InputError(f"input {number}: expected a text or a Document, found {type(item).__name__}")


def replace_lone_surrogates(text: str) -> str:
    """`text` with each half of a surrogate pair replaced by U+FFFD; the length in code points stays the same."""
    return _LONE_SURROGATE.sub("\ufffd", text)

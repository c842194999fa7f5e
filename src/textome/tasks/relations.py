"""Relations between entities: which pairs are asked about, how the model reads a pair, and what its scores mean.

A pair is marked in its text, head `@ * type * mention @`, tail `# ^ type ^ mention #` (Zhou and Chen 2021, typed markers in
punctuation, which any vocabulary spells), and its label is scored from the states at [CLS] and at the two markers.

    sentence  every two mentions in one sentence, or in one passage of a corpus that is cut into sentences already
    document  every two concepts of a document: mentions with a common identifier, or where there is none with equal text.
              All mentions of both are marked, and scored from the two that stand nearest to each other

With `one_pass` a text is not read once for each of its pairs but once for all of them (Zhong and Chen 2021, section 3.4):
every mention is marked by the first word of its type, `@ Gene mention @` for a GeneOrGeneProduct, and a pair is scored from
the states at [CLS], at the markers of the two nearest mentions, and at those of the first mentions of both.

A text longer than the model's window is read in windows that hold a mention of both; where none does, the sentences of the
two nearest mentions are read one after the other. The window that is most confident of a relation wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, count, permutations
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from textome.documents import Document, Entity, Relation, Span
from textome.formats import read_documents
from textome.formats.reading.identifiers import from_curies
from textome.formats.reading.sources import Quarantine
from textome.tasks.examples import Example, Floats, sigmoid, softmax
from textome.tasks.labels import Classified, Decision, LabelTask
from textome.tasks.pair_examples import Candidate, PairReader, nearest
from textome.tasks.task import HeadShape, Record
from textome.text.sentences import sentence_spans
from textome.text.tokenization import Tokenizer

Scope = Literal["sentence", "document"]


class PairTask(LabelTask[Record, Classified]):
    """Relations between what a document mentions; a record has a `document` and `labels`."""

    output_kind: ClassVar[str] = "relations"

    def ready(self, document: Document) -> Document:
        """The document with an id for every entity: relations refer to entities by id."""
        if all(entity.id for entity in document.entities):
            return document
        ids = _free_ids(document, "T")
        entities = [entity if entity.id else replace(entity, id=next(ids)) for entity in document.entities]
        return document.with_annotations(entities, document.relations)

    def labels_of(self, record: Any) -> tuple[str, ...]:
        return tuple(record.labels)

    def group_of(self, record: Any, number: int) -> object:
        """A document with all its pairs is one."""
        return id(record.document)


class Relations(PairTask[Candidate]):
    """Relations between the entities of documents in one of the formats.

    labels          the relation types; other relations of the data are left out
    none            the label of pairs without a relation; no such label with `multi_label`
    pairs           [head type, tail type] of entities that may be related; empty: any two
    directed        whether the second of two entities of one type may be the head
    split           whether passages are cut into sentences; false where each passage of the data is one
    one_pass        a text is read once for all its pairs, which makes documents with many pairs many times as fast
    negative_ratio  of training: at most so many pairs without a relation for each with one, drawn by the seed
    """

    kind: Literal["relations"] = "relations"
    metric: Literal["micro_f1", "macro_f1", "weighted_f1"] = "micro_f1"
    labels: tuple[str, ...] = Field(min_length=1)
    none: str = "none"
    pairs: tuple[tuple[str, str], ...] = ()
    scope: Scope = "sentence"
    directed: bool = False
    split: bool = True
    one_pass: bool = False
    negative_ratio: float | None = Field(None, gt=0)

    @classmethod
    def from_version_1(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """With the label of pairs without a relation apart from the labels, where it stood among them."""
        none = entry.get("negative", ())
        labels = [label for label in entry.get("labels", ()) if label not in none]
        return {key: value for key, value in entry.items() if key != "negative"} | {"labels": labels}

    @property
    def classes(self) -> tuple[str, ...]:
        return self.labels if self.multi_label else (self.none, *self.labels)

    @property
    def head_shape(self) -> HeadShape:
        """Of [CLS] and two markers, or four where all mentions are marked."""
        return HeadShape(len(self.classes), 5 if self.one_pass else 3)

    @property
    def negative_labels(self) -> Sequence[str]:
        return () if self.multi_label else (self.none,)

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[Candidate]:
        for document in read_documents(path, layout, quarantine):
            yield from self.candidates(document)

    def records(self, document: Document, question: str | None = None) -> list[Candidate]:
        """The pairs that the task asks about; the document must be `ready`."""
        return [item for item in self.candidates(document) if item.head]

    def candidates(self, document: Document) -> list[Candidate]:
        """Every pair that the task asks about, with the labels that the document's relations give it, and a candidate
        without mentions for each relation of these labels that no pair can reach."""
        gold = _Gold(document, set(self.classes))
        candidates = []
        for scope, groups in self._groups(document):
            for first, second in permutations(groups, 2) if self.directed else combinations(groups, 2):
                for head, tail in self._oriented(first, second):
                    name = f"{document.id}:{head[0].id or head[0].start}-{tail[0].id or tail[0].start}"
                    labels = tuple(gold.labels(head, tail, self.directed))
                    if not labels and not self.multi_label:
                        labels = (self.none,)
                    candidates.append(Candidate(name, document, head, tail, scope, labels))
        for number, label in enumerate(gold.unreached(), 1):
            candidates.append(Candidate(f"{document.id}:unreached-{number}", document, (), (), Span(0, 0), (label,)))
        return candidates

    def examples(self, records: Sequence[Candidate], tokenizer: Tokenizer, window: int, overlap: int) -> list[Example]:
        types = frozenset(kind for pair in self.pairs for kind in pair)
        return PairReader(tokenizer, window, overlap, self.one_pass, types).examples(records)

    def targets(self, example: Example, record: Candidate) -> NDArray[Any]:
        """(1, 1) the label's number, or (1, num_labels) of 0 and 1."""
        return self.label_row(record.labels, record.id)

    def decode(
        self, records: Sequence[Candidate], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[Classified]:
        """The label of each candidate; one that cannot be read has none."""
        squash = sigmoid if self.multi_label else softmax
        nothing = np.zeros(len(self.classes))
        if not self.multi_label:
            nothing[0] = 1.0
        best: list[NDArray[np.float64]] = [nothing for _ in records]
        seen: set[int] = set()
        for example, logits in zip(examples, scores, strict=True):
            rows = squash(logits.astype(np.float64) / self.temperature)
            for number, shares in zip(example.owners, rows, strict=True):
                if number not in seen or self._evidence(shares) > self._evidence(best[number]):
                    best[number] = shares
                seen.add(number)
        return [self.decide(shares) for shares in best]

    def annotate(
        self, name: str, document: Document, records: Sequence[Candidate], predictions: Sequence[Classified]
    ) -> Document:
        """The document with the relations that it does not have yet (of concepts, between the two nearest mentions)."""
        relations = []
        for item, prediction in zip(records, predictions, strict=True):
            for label in prediction.labels:
                confidence = round(prediction.scores[label], 6)
                if label not in self.negative_labels and not self._choice.leaves_out(prediction.scores[label]):
                    head, tail = nearest(item.head, item.tail)
                    relations.append(Relation(label, (("head", head.id), ("tail", tail.id)), confidence=confidence))
        return with_relations(document, relations)

    def decisions(self, records: Sequence[Candidate], predictions: Sequence[Classified]) -> Iterator[Decision]:
        for record, prediction in zip(records, predictions, strict=True):
            text = "(a relation that no candidate reaches)"
            if record.head:
                scope = record.document.text[record.scope.start : record.scope.end]
                text = f"{record.head[0].text} / {record.tail[0].text}: {scope}"
            yield Decision(record.id, text, record.labels, prediction)

    def is_nothing(self, prediction: Classified) -> bool:
        return set(prediction.labels) <= set(self.negative_labels)

    def texts_of(self, record: Candidate) -> tuple[str, ...]:
        return (record.document.text[record.scope.start : record.scope.end],)

    def prepared(self, records: list[Candidate], seed: int) -> list[Candidate]:
        """The pairs that can be read: those with a relation, and so many of the others as `negative_ratio` says."""
        records = [record for record in records if record.head]
        if self.negative_ratio is None:
            return records
        none = set(self.negative_labels)
        negative = [index for index, record in enumerate(records) if set(record.labels) <= none]
        number = round(self.negative_ratio * (len(records) - len(negative)))
        kept = set(np.random.default_rng(seed).permutation(negative)[:number].tolist())
        return [record for index, record in enumerate(records) if index in kept or not set(record.labels) <= none]

    def _evidence(self, shares: NDArray[np.float64]) -> float:
        return float(shares.max()) if self.multi_label else 1 - float(shares[0])

    def _groups(self, document: Document) -> Iterator[tuple[Span, list[tuple[Entity, ...]]]]:
        """What is read together, and the groups of mentions in it: single ones, or those of a concept."""
        if self.scope == "sentence":
            entities = sorted(document.entities, key=lambda entity: (entity.start, entity.end))
            for scope in sentence_spans(document, self.split):
                inside = [(entity,) for entity in entities if scope.start <= entity.start and entity.end <= scope.end]
                if len(inside) > 1:
                    yield scope, list(inside)
            return
        groups = concepts(document, lambda kind: kind).values()
        yield Span(0, len(document.text)), [tuple(group) for group in groups]

    def _oriented(
        self, first: tuple[Entity, ...], second: tuple[Entity, ...]
    ) -> list[tuple[tuple[Entity, ...], tuple[Entity, ...]]]:
        """The pair as (head, tail) where the task asks about it; of undirected ones only once."""
        if any(one is two for one in first for two in second):
            return []
        types = (first[0].type, second[0].type)
        if not self.pairs or types in self.pairs:
            return [(first, second)]
        if not self.directed and types[::-1] in self.pairs:
            return [(second, first)]
        return []


def with_relations(document: Document, relations: Iterable[Relation]) -> Document:
    """The document with those relations of `relations` that it does not have yet, each with an id of its own."""
    old = document.relations
    ids = _free_ids(document, "R")
    known = {(relation.type, tuple(target for _, target in relation.arguments)) for relation in old}
    new = [
        replace(relation, id=next(ids))
        for relation in relations
        if (relation.type, tuple(target for _, target in relation.arguments)) not in known
    ]
    return document.with_annotations(document.entities, [*old, *new])


def _free_ids(document: Document, letter: str) -> Iterator[str]:
    used = {entity.id for entity in document.entities} | {relation.id for relation in document.relations}
    return (name for number in count(1) if (name := f"{letter}{number}") not in used)


class _Gold:
    """The relations of a document by the pair that they are between."""

    def __init__(self, document: Document, labels: set[str]) -> None:
        self._labels_of_pair: dict[tuple[str, str], list[str]] = {}
        self._reached: set[tuple[str, str, str]] = set()
        for relation in document.relations:
            if relation.type in labels and all(ends := ends_of(relation)):
                self._labels_of_pair.setdefault(ends, []).append(relation.type)

    def labels(self, head: Sequence[Entity], tail: Sequence[Entity], directed: bool) -> list[str]:
        labels: list[str] = []
        for one in names_of(head):
            for two in names_of(tail):
                for pair in ((one, two),) if directed else ((one, two), (two, one)):
                    for label in self._labels_of_pair.get(pair, ()):
                        self._reached.add((*pair, label))
                        if label not in labels:
                            labels.append(label)
        return labels

    def unreached(self) -> list[str]:
        return [
            label
            for pair, labels in self._labels_of_pair.items()
            for label in dict.fromkeys(labels)
            if (*pair, label) not in self._reached
        ]


def ends_of(relation: Relation) -> tuple[str, str]:
    """What a relation is between: ids of mentions, or, if it has not two arguments, the concepts that its metadata name."""
    ends = [name for _, name in relation.arguments]
    if len(ends) < 2:
        ends = [relation.metadata.get("entity1", ""), relation.metadata.get("entity2", "")]
    return ends[0], ends[1]


def concepts(document: Document, type_of: Callable[[str], str | None]) -> dict[tuple[str, str], list[Entity]]:
    """The mentions of each concept, by type and identifier; of a mention without any its text, without case, is one.

    type_of   the name of an entity's type, None for one that is left out
    """
    mentions: dict[tuple[str, str], list[Entity]] = {}
    for entity in sorted(document.entities, key=lambda entity: (entity.start, entity.end)):
        if (kind := type_of(entity.type)) is not None:
            for key in [from_curies((name,)) for name in entity.curies] or [entity.text.casefold()]:
                mentions.setdefault((kind, key), []).append(entity)
    return mentions


def names_of(group: Iterable[Entity]) -> set[str]:
    """What a relation may call a group: the ids of its mentions, or the concepts that all of them have."""
    shared = set.intersection(*({from_curies((name,)) for name in entity.curies} for entity in group))
    return {entity.id for entity in group if entity.id} | shared

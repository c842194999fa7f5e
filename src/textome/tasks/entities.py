"""Entities: spans of sentences, by one head of three labels (O, B, I) for each type, see iob.

A text is cut into sentences, and each is read by itself; one that is longer than the model in windows, whose scores are
joined before spans are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed
from itertools import count
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from textome.documents import Document, Entity
from textome.formats import read_documents
from textome.formats.sources import Quarantine
from textome.metrics.entities import score_entities
from textome.tasks.examples import Example, Floats
from textome.tasks.iob import LABELS, Found, Labels, decode, label_names, log_probabilities, targets
from textome.tasks.mentions import MentionTask, Sentence
from textome.tasks.task import HeadShape
from textome.tasks.windows import windows, with_special_tokens
from textome.text.tokenization import Tokenizer, Tokens, end_of_character

Probability = Annotated[float, Field(ge=0, le=1)]


class Recognised(NamedTuple):
    """The entities of a sentence, whose first and last words count in `tokens`; without any word, `tokens` is None."""

    tokens: Tokens | None
    entities: list[Found]


class Entities(MentionTask[Recognised]):
    """Entities of the types.

    default_types       those that are emitted where a user names none; empty: all
    mutually_exclusive  groups of types that are never said of the same word: a mention of one type then teaches the others
                        of its groups what they are not, in corpora that do not annotate them too
    temperature         by type, what scores are divided by before probabilities are taken; 1 where a type is missing
    thresholds          by type, entities below it are left out where a user names no other; 0 where a type is missing
    """

    old_keys: ClassVar[Mapping[str, str]] = {"exclusive": "mutually_exclusive"}

    kind: Literal["entities"] = "entities"
    metric: Literal["entity_f1"] = "entity_f1"
    default_types: tuple[str, ...] = ()
    mutually_exclusive: tuple[tuple[str, ...], ...] = ()
    temperature: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    thresholds: dict[str, Probability] = Field(default_factory=dict)

    @classmethod
    def from_version_1(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Without the labels, which are always O, B, I."""
        return {key: value for key, value in entry.items() if key != "labels"}

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if len(set(self.types)) < len(self.types):
            raise ValueError("a type is named twice")
        groups = [name for group in self.mutually_exclusive for name in group]
        for key, names in (
            ("default_types", self.default_types),
            ("mutually_exclusive", groups),
            ("temperature", self.temperature),
            ("thresholds", self.thresholds),
        ):
            if unknown := [name for name in names if name not in self.types]:
                raise ValueError(f"{key} names {unknown[0]!r}, which is not in types")
        return self

    @property
    def head(self) -> HeadShape:
        return HeadShape(len(LABELS) * len(self.types), 0)

    @property
    def loss(self) -> str:
        return "iob"

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.types

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(f"{name}:{label}" for name in self.types for label in LABELS)

    @property
    def checkpoint_labels(self) -> tuple[str, ...]:
        return label_names(self.types)

    def negative_types(self) -> dict[int, list[int]]:
        """By the number of a type, the numbers of those that exclude it."""
        groups = [[self.types.index(name) for name in group] for group in self.mutually_exclusive]
        return {
            head: sorted({other for group in groups if head in group for other in group} - {head})
            for head in sorted({head for group in groups for head in group})
        }

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[Sentence]:
        for number, document in enumerate(read_documents(path, layout, quarantine)):
            yield from self.sentences(document, {name: name for name in self.types}, layout != "conll", number)

    def records(self, document: Document, question: str | None = None) -> list[Sentence]:
        return list(self.sentences(document, {}))

    def examples(self, records: Sequence[Sentence], tokenizer: Tokenizer, window: int, overlap: int) -> list[Example]:
        """The inputs of sentences, scored at the first piece of each word; none for a sentence without any word."""
        examples = []
        for number, tokens in enumerate(tokenizer.encode([record.text for record in records])):
            for piece in windows(tokens, window - 2, overlap) if len(tokens.ids) else ():
                words = np.flatnonzero((tokens.first >= piece.keep_start) & (tokens.first < piece.keep_end))
                ids = with_special_tokens(tokens, piece, tokenizer)
                positions = (tokens.first[words] - piece.start + 1).astype(np.int32)
                first = int(words[0]) if len(words) else 0
                examples.append(Example(number, ids, None, positions, start=first, tokens=tokens))
        return examples

    def targets(self, example: Example, record: Sentence) -> Labels:
        """(m, num_types) of O, B, I; IGNORED under heads whose type the text is not annotated for."""
        assert example.tokens is not None
        exclusive = self.negative_types()
        labels = targets(example.tokens, record.mentions, len(self.types), record.annotated, exclusive)
        return labels[example.start : example.start + len(example.positions)]

    def decode(
        self, records: Sequence[Sentence], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[Recognised]:
        """The entities of each sentence, in order of their start; those of different types may overlap."""
        temperature = np.array([self.temperature.get(name, 1.0) for name in self.types], np.float32)
        pieces: dict[int, list[Floats]] = {}
        tokens: dict[int, Tokens | None] = {}
        for example, logits in zip(examples, scores, strict=True):
            tokens[example.record] = example.tokens
            pieces.setdefault(example.record, []).append(logits.reshape(len(logits), -1, len(LABELS)))
        found = {
            number: decode(log_probabilities(rows[0] if len(rows) == 1 else np.concatenate(rows), temperature))
            for number, rows in pieces.items()
        }
        return [Recognised(tokens.get(number), found.get(number, [])) for number in range(len(records))]

    def annotate(
        self, name: str, document: Document, records: Sequence[Sentence], predictions: Sequence[Recognised]
    ) -> Document:
        """The document with new entities of the default types over their thresholds."""
        emitted = self.default_types or self.types
        entities = []
        for record, (tokens, found) in zip(records, predictions, strict=True):
            for first, last, head, confidence in found:
                kind = self.types[head]
                if tokens is not None and kind in emitted and confidence >= self.thresholds.get(kind, 0.0):
                    start = record.offset + int(tokens.word_starts[first])
                    end = end_of_character(document.text, record.offset + int(tokens.word_ends[last]))
                    entities.append(document.entity([(start, end)], kind, confidence=round(confidence, 6)))
        return with_entities(document, entities)

    def score(self, records: Sequence[Sentence], predictions: Sequence[Recognised]) -> dict[str, float]:
        """Micro F1 of entities of the types that each sentence is annotated for; first word, last word and type must be
        right."""
        gold, predicted = [], []
        for record, (tokens, found) in zip(records, predictions, strict=True):
            predicted.append({(it.first, it.last, it.head) for it in found if it.head in record.annotated})
            gold.append(set() if tokens is None else self._gold(record, tokens))
        return {"entity_f1": score_entities(gold, predicted).micro.f1}

    def _gold(self, record: Sentence, tokens: Tokens) -> set[tuple[int, int, int]]:
        """The mentions of a sentence as (first word, last word, head), as targets can tell them."""
        labels = targets(tokens, record.mentions, len(self.types), record.annotated)
        certain = np.full((*labels.shape, len(LABELS)), -np.inf, np.float32)
        np.put_along_axis(certain, np.maximum(labels, 0)[..., None].astype(np.int64), 0.0, axis=-1)
        return {(it.first, it.last, it.head) for it in decode(certain)}


def with_entities(document: Document, entities: Sequence[Entity], replace: bool = False) -> Document:
    """The document with new entities in order of their start, each with an id that is not used.

    replace   drop the annotations that the document already has
    """
    old = () if replace else document.entities
    relations = () if replace else document.relations
    known = {(entity.spans, entity.type) for entity in old}
    used = {entity.id for entity in old} | {relation.id for relation in relations}
    ids = (name for number in count(1) if (name := f"T{number}") not in used)
    new = [
        changed(entity, id=next(ids))
        for entity in sorted(entities, key=lambda entity: (entity.start, -entity.end, entity.type))
        if (entity.spans, entity.type) not in known
    ]
    return document.with_annotations([*old, *new], relations)

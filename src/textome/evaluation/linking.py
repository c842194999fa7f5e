"""Scores of identifiers: of gold mentions, of documents, and of mentions and identifiers together.

strict      of the mentions that have an identifier in the corpus, how many get exactly its set of identifiers
lenient     as BELB counts (Garda et al. 2023): how many get a first identifier that is one of the corpus's
document    F1 over pairs of a document and an identifier (micro); an identifier for a mention that has none in the corpus
            counts against it
together    F1 over mentions with their identifiers, start, end, type and set of identifiers all right: end to end
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol, runtime_checkable

from textome.documents import Document, Entity
from textome.pipeline import Step


@dataclass(slots=True)
class LinkingScore:
    """Counts of one type of entity; the scores are shares in [0, 1].

    mentions    that have an identifier in the corpus
    seen        of these, those with identifiers that all stand in the training documents
    errors      (mention, gold, predicted) with their number
    """

    mentions: int = 0
    strict_hits: int = 0
    lenient_hits: int = 0
    seen: int = 0
    seen_hits: int = 0
    unlinkable: int = 0
    unlinked: int = 0
    gold_pairs: set[tuple[int, str]] = field(default_factory=set)
    predicted_pairs: set[tuple[int, str]] = field(default_factory=set)
    errors: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @property
    def strict(self) -> float:
        return self.strict_hits / max(self.mentions, 1)

    @property
    def lenient(self) -> float:
        return self.lenient_hits / max(self.mentions, 1)

    @property
    def strict_seen(self) -> float:
        return self.seen_hits / max(self.seen, 1)

    @property
    def strict_unseen(self) -> float:
        return (self.strict_hits - self.seen_hits) / max(self.mentions - self.seen, 1)

    @property
    def document_f1(self) -> float:
        both = len(self.gold_pairs & self.predicted_pairs)
        return 2 * both / max(len(self.gold_pairs) + len(self.predicted_pairs), 1)

    def as_dict(self) -> dict[str, float | int]:
        """Counts, and scores in percent."""
        names = ("strict", "lenient", "strict_seen", "strict_unseen", "document_f1")
        percents = {name: round(100 * getattr(self, name), 2) for name in names}
        counts = {name: getattr(self, name) for name in ("mentions", "seen", "unlinkable", "unlinked")}
        return counts | percents


def without_identifiers(documents: Iterable[Document]) -> list[Document]:
    """The documents with their mentions, which a linker is then asked to link."""
    return [
        document.with_annotations([replace(entity, identifiers=()) for entity in document.entities], document.relations)
        for document in documents
    ]


def score_linking(
    gold: Sequence[Document],
    linked: Sequence[Document],
    type_of: Callable[[str], str | None],
    seen: Mapping[str, Collection[str]] | None = None,
) -> dict[str, LinkingScore]:
    """Scores by type. `linked` are the gold documents with the same mentions and the identifiers of a linker.

    type_of  the type that a type of the corpus counts under; None leaves its mentions out
    seen     the identifiers in the training documents, by type
    """
    scores: dict[str, LinkingScore] = defaultdict(LinkingScore)
    for number, (expected, document) in enumerate(zip(gold, linked, strict=True)):
        for entity, answer in zip(expected.entities, document.entities, strict=True):
            if type := type_of(entity.type):
                _count(scores[type], number, entity, answer, (seen or {}).get(type, ()))
    return dict(scores)


def score_together(
    gold: Sequence[Document], annotated: Sequence[Document], type_of: Callable[[str], str | None]
) -> dict[str, tuple[float, float, float]]:
    """Precision, recall and F1 by type of mentions with their identifiers, of documents annotated from raw text.

    A mention without an identifier in the corpus, or none found, counts as such, with an empty set.
    """
    hits: Counter[str] = Counter()
    num_gold: Counter[str] = Counter()
    num_predicted: Counter[str] = Counter()
    for expected, document in zip(gold, annotated, strict=True):
        gold_mentions, predicted = _mentions(expected, type_of), _mentions(document, type_of)
        num_gold.update(item[2] for item in gold_mentions)
        num_predicted.update(item[2] for item in predicted)
        hits.update(item[2] for item in gold_mentions & predicted)
    return {
        type: (
            hits[type] / max(num_predicted[type], 1),
            hits[type] / num_gold[type],
            2 * hits[type] / max(num_predicted[type] + num_gold[type], 1),
        )
        for type in sorted(num_gold)
    }


@runtime_checkable
class HasReplacements(Protocol):
    """A linker that knows which identifiers a terminology has replaced since."""

    def current(self, curie: str) -> str: ...


def link_gold_mentions(step: Step, documents: Iterable[Document]) -> tuple[list[Document], list[Document]]:
    """The documents, and the same mentions with the identifiers that a linker gives them.

    An identifier of the documents that its terminology has replaced becomes its successor, where the linker knows that.
    """
    gold = list(documents)
    linked = list(step(without_identifiers(gold)))
    return (with_current_identifiers(gold, step.current) if isinstance(step, HasReplacements) else gold), linked


def with_current_identifiers(documents: Iterable[Document], current: Callable[[str], str]) -> list[Document]:
    """The documents with the successors of identifiers that a terminology has replaced."""
    current = lru_cache(maxsize=None)(current)
    return [
        document.with_annotations([_current(entity, current) for entity in document.entities], document.relations)
        for document in documents
    ]


def _current(entity: Entity, current: Callable[[str], str]) -> Entity:
    return replace(entity, identifiers=tuple(replace(each, curie=current(each.curie)) for each in entity.identifiers))


def _count(score: LinkingScore, number: int, entity: Entity, answer: Entity, seen: Collection[str]) -> None:
    expected, predicted = set(entity.curies), set(answer.curies)
    score.gold_pairs |= {(number, curie) for curie in expected}
    score.predicted_pairs |= {(number, curie) for curie in predicted}
    if not expected:
        score.unlinkable += 1
        score.unlinked += not predicted
        return
    score.mentions += 1
    is_right = expected == predicted
    score.strict_hits += is_right
    score.lenient_hits += bool(answer.curies) and answer.curies[0] in expected
    if expected <= set(seen):
        score.seen += 1
        score.seen_hits += is_right
    if not is_right:
        score.errors[entity.text, " ".join(sorted(expected)), " ".join(answer.curies)] += 1


def _mentions(document: Document, type_of: Callable[[str], str | None]) -> set[tuple[int, int, str, frozenset[str]]]:
    return {
        (entity.start, entity.end, type, frozenset(entity.curies))
        for entity in document.entities
        if (type := type_of(entity.type))
    }

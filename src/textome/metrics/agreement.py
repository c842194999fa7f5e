"""How far two annotators of the same documents agree: F1 of mentions and Cohen's kappa of words, and where they differ."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from textome.documents import Document, Entity, Span
from textome.errors import InputError
from textome.metrics.entities import PRF

_WORD = re.compile(r"\w+|[^\w\s]")
_TOO_MANY = 20  # names of documents in a message
Label = TypeVar("Label", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A mention that one annotator alone has, or that the two give different types.

    document       its id
    first, second  the types that the annotators give the spans; empty where one has no mention there
    """

    document: str
    spans: tuple[Span, ...]
    text: str
    first: str
    second: str


@dataclass(frozen=True)
class Agreement:
    """The agreement of two annotators.

    documents        ids that both have
    mentions         F1 and counts of all mentions, and `types` those of each type; the first annotator stands in the
                     place of the gold standard, and F1 is the same the other way round. A mention counts where its spans
                     and its type are the same.
    kappa            of all words, each labelled with the types of the mentions over it, or none; None where kappa is
                     undefined, as both give all words one label
    annotated_kappa  of the words that at least one annotator labels
    disagreements    in the order of the documents and of their text
    missing          ids of documents that one annotator alone has
    """

    documents: tuple[str, ...]
    mentions: PRF
    types: dict[str, PRF]
    kappa: float | None
    annotated_kappa: float | None
    disagreements: tuple[Disagreement, ...]
    missing: tuple[str, ...]


def agreement(first: Sequence[Document], second: Sequence[Document]) -> Agreement:
    """The agreement of two annotators on the documents whose id both have.

    F1 as agreement: Hripcsak and Rothschild 2005 (kappa comes near it where most words have no label). Identifiers and
    relations are not compared.

    Raises InputError where no id is the same, an id is used twice, or two documents of one id differ in their text.
    """
    by_first, by_second = _by_id(first, "first"), _by_id(second, "second")
    both = [id for id in by_first if id in by_second]
    if not both:
        raise InputError("the two annotators have no document in common; their documents need the same ids")
    if different := [id for id in both if by_first[id].text != by_second[id].text]:
        raise InputError(
            f"the texts of {', '.join(map(repr, different[:_TOO_MANY]))} are not the same; compare annotations of one text"
        )
    pairs = [(by_first[id], by_second[id]) for id in both]
    numbers: dict[str, int] = {}  # of types: names may be long
    labels = Counter(
        pair for one, other in pairs for pair in zip(_labels(one, numbers), _labels(other, numbers), strict=True)
    )
    types = _counts(pairs)
    return Agreement(
        documents=tuple(both),
        mentions=PRF(*(sum(counts) for counts in zip(*types.values(), strict=True))) if types else PRF(0, 0, 0),
        types={type: PRF(*types[type]) for type in sorted(types)},
        kappa=cohens_kappa(labels),
        annotated_kappa=cohens_kappa(Counter({pair: number for pair, number in labels.items() if any(pair)})),
        disagreements=tuple(item for one, other in pairs for item in _disagreements(one, other)),
        missing=(*(id for id in by_first if id not in by_second), *(id for id in by_second if id not in by_first)),
    )


def cohens_kappa(pairs: Counter[tuple[Label, Label]]) -> float | None:
    """Cohen's kappa of the labels that two annotators give the same items (Cohen 1960, equation 1).

    pairs   how often each pair of labels is given

    None where kappa is undefined: no item, or both give all items one label.
    """
    total = pairs.total()
    if not total:
        return None
    observed = sum(number for (one, other), number in pairs.items() if one == other) / total
    first: Counter[Label] = Counter()
    second: Counter[Label] = Counter()
    for (one, other), number in pairs.items():
        first[one] += number
        second[other] += number
    expected = sum(number * second[label] for label, number in first.items()) / total**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _by_id(documents: Sequence[Document], whose: str) -> dict[str, Document]:
    by_id: dict[str, Document] = {}
    for number, document in enumerate(documents, 1):
        if document.id in by_id:
            raise InputError(
                f"document {number} of the {whose} annotator has the id {document.id!r}, which is used before"
            )
        by_id[document.id] = document
    return by_id


def _counts(pairs: Sequence[tuple[Document, Document]]) -> dict[str, list[int]]:
    """Of each type the mentions that both have, that the second has alone, and that the first has alone."""
    counts: dict[str, list[int]] = {}
    for one, other in pairs:
        by_first, by_second = ({(item.type, item.spans) for item in document.entities} for document in (one, other))
        for column, mentions in enumerate((by_first & by_second, by_second - by_first, by_first - by_second)):
            for type, _ in mentions:
                counts.setdefault(type, [0, 0, 0])[column] += 1
    return counts


def _labels(document: Document, numbers: dict[str, int]) -> list[frozenset[int]]:
    """The label of each word: the types of the mentions over it, by their numbers, which are given here."""
    words = [match.span() for match in _WORD.finditer(document.text)]
    ends = [end for _, end in words]
    types: list[set[int]] = [set() for _ in words]
    for entity in document.entities:
        type = numbers.setdefault(entity.type, len(numbers))
        for start, end in entity.spans:
            word = bisect_right(ends, start)
            while word < len(words) and words[word][0] < end:
                types[word].add(type)
                word += 1
    return [frozenset(item) for item in types]


def _disagreements(one: Document, other: Document) -> Iterator[Disagreement]:
    by_first, by_second = _by_spans(one.entities), _by_spans(other.entities)
    for spans in sorted({*by_first, *by_second}):
        first, second = by_first.get(spans, set()), by_second.get(spans, set())
        if first != second:
            alone = [sorted(first - second), sorted(second - first)]
            yield Disagreement(one.id, spans, one.text_at(spans), ", ".join(alone[0]), ", ".join(alone[1]))


def _by_spans(entities: Iterable[Entity]) -> dict[tuple[Span, ...], set[str]]:
    types: dict[tuple[Span, ...], set[str]] = {}
    for entity in entities:
        types.setdefault(entity.spans, set()).add(entity.type)
    return types

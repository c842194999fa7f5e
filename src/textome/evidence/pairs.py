"""Pairs of concepts with all that documents say of them: support, contradiction, the first year, a score, a probability.

The score ranks pairs. S are the documents that support a pair, N those that contradict it, each with c, the confidence of
its most confident statement. M documents mention both concepts in one sentence, where E would by chance
(`statements.read_co_mentions`). They count for the verbs of `CO_MENTIONED`, where the documents support more than they
contradict:

    score = sum over S of c - sum over N of c + max(0, M - E)

What a drug treats is what it is most often named with, so that co-mentions bring known indications to the top; of what it
causes they would bring the same indications to the top (docs/results/tasks.md has the figures).

The probability that a relation holds is that of a noisy-or (Pearl 1988, section 4.3.2) in which each document is
independent evidence, with `TRUST` the share of rightly read statements that are also true; it says nothing of how much
was written about a pair, and a single text of high confidence is near its end. With S the supporting and N the
contradicting documents,

    p = (1 - prod over S of (1 - TRUST c)) * prod over N of (1 - TRUST c)

A document contradicts where it denies the relation, or asserts the opposite one (`predicates.OPPOSITES`) and not this one.
What it only supposes counts as neither, and is counted beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

from textome.bulk.query import Results
from textome.evidence.predicates import OPPOSITES
from textome.evidence.statements import CoMentions, Concept, Reading, Statement, read_co_mentions, read_statements

TRUST = 0.9
# Verbs for which co-mentions are evidence.
CO_MENTIONED = frozenset({"treats"})
# The broader concepts of one, up to the roots of its hierarchy.
Broader = Callable[[Concept], Iterable[Concept]]
Key = tuple[str, tuple[str, str], tuple[str, str]]


@dataclass
class Pair:
    """Two concepts that a verb joins, and the statements of each kind by document, the most confident one first.

    speculated   documents that only suppose it
    co_mentions  documents that mention both in one sentence, beyond the number expected by chance
    known        whether it stands in a list of known pairs; None without one
    """

    head: Concept
    verb: str
    tail: Concept
    supporting: dict[str, list[Statement]] = field(default_factory=dict)
    contradicting: dict[str, list[Statement]] = field(default_factory=dict)
    speculated: dict[str, list[Statement]] = field(default_factory=dict)
    co_mentions: float = 0.0
    known: bool | None = None

    @property
    def score(self) -> float:
        """See the module's text."""
        supporting, contradicting = (
            sum(map(_confidence, documents.values())) for documents in (self.supporting, self.contradicting)
        )
        counts = self.verb in CO_MENTIONED and supporting > contradicting
        return supporting - contradicting + (self.co_mentions if counts else 0.0)

    @property
    def probability(self) -> float:
        """See the module's text."""
        against = prod(1 - TRUST * _confidence(item) for item in self.contradicting.values())
        return (1 - prod(1 - TRUST * _confidence(item) for item in self.supporting.values())) * against

    @property
    def first_year(self) -> int | None:
        """The year of the first document that supports it, where one is known."""
        years = [item[0].year for item in self.supporting.values() if item[0].year is not None]
        return min(years, default=None)

    @property
    def document_ids(self) -> list[str]:
        """Of the supporting documents, the most confident first."""
        return sorted(self.supporting, key=lambda name: (-_confidence(self.supporting[name]), name))

    @property
    def statements(self) -> Iterator[Statement]:
        """The most confident statement of each document: those that support, then those against, then suppositions."""
        for documents in (self.supporting, self.contradicting, self.speculated):
            yield from sorted((item[0] for item in documents.values()), key=lambda item: -item.confidence)


def read_pairs(results: Results, reading: Reading | None = None, broader: Broader | None = None) -> list[Pair]:
    """The pairs of a bulk run's results as `textome evidence` ranks them. Raises InputError for damaged tables."""
    return gather(read_statements(results, reading), broader, read_co_mentions(results))


def gather(
    statements: Iterable[Statement], broader: Broader | None = None, co_mentions: CoMentions | None = None
) -> list[Pair]:
    """The pairs of all statements, ranked.

    broader      what a statement says of a concept counts for its broader concepts too
    co_mentions  documents that mention two concepts together beyond chance; those of a broader concept are added up

    Two concepts of one type, of which neither is the head, stand in the order of their names.
    """
    groups: dict[Key, dict[str, list[Statement]]] = {}
    narrow: dict[Key, set[frozenset[tuple[str, str]]]] = {}
    names: dict[tuple[str, str], Concept] = {}
    for statement in statements:
        ends = frozenset((item.type, item.key) for item in (statement.head, statement.tail))
        for head in _levels(statement.head, broader):
            for tail in _levels(statement.tail, broader):
                if head.key == tail.key:
                    continue
                if head.type == tail.type and tail.key < head.key:
                    head, tail = tail, head
                one, two = (head.type, head.key), (tail.type, tail.key)
                for end, concept in ((one, head), (two, tail)):
                    names.setdefault(end, concept)
                key = (statement.verb, one, two)
                groups.setdefault(key, {}).setdefault(statement.document_id, []).append(statement)
                narrow.setdefault(key, set()).add(ends)
    pairs = []
    for (verb, one, two), documents in groups.items():
        pair = Pair(names[one], verb, names[two])
        pair.co_mentions = sum((co_mentions or {}).get(ends, 0.0) for ends in narrow[verb, one, two])
        for name, items in documents.items():
            _sort_in(pair, name, items)
        for name, items in groups.get((OPPOSITES.get(verb, ""), one, two), {}).items():
            opposed = [item for item in items if item.assertion == "asserted"]
            if opposed and name not in pair.supporting:
                pair.contradicting.setdefault(name, []).extend(opposed)
        pairs.append(pair)
    return ranked(pairs)


def ranked(pairs: Iterable[Pair]) -> list[Pair]:
    """Those that any document supports first, by score, then by probability and name."""
    return sorted(
        pairs,
        key=lambda pair: (
            not pair.supporting,
            -round(pair.score, 9),
            -round(pair.probability, 9),
            pair.head.name,
            pair.tail.name,
            pair.verb,
        ),
    )


@dataclass(frozen=True, slots=True)
class Bridge:
    """A concept that two lists have in common (Swanson 1986): related to some concepts of each.

    score   the probability that it is related to at least one of each list
    """

    concept: Concept
    first: tuple[Pair, ...]
    second: tuple[Pair, ...]

    @property
    def score(self) -> float:
        return prod(1 - prod(1 - pair.probability for pair in side) for side in (self.first, self.second))


def in_common(pairs: Iterable[Pair], first: Iterable[str], second: Iterable[str]) -> list[Bridge]:
    """The concepts that are related to one of each list, the most probable first; the lists hold keys of concepts."""
    sides: tuple[dict[str, list[Pair]], ...] = ({}, {})
    concepts: dict[str, Concept] = {}
    lists = (frozenset(first), frozenset(second))
    for pair in pairs:
        for one, other in ((pair.head, pair.tail), (pair.tail, pair.head)):
            if pair.supporting and other.key not in lists[0] | lists[1]:
                concepts.setdefault(other.key, other)
                for side, keys in zip(sides, lists, strict=True):
                    if one.key in keys:
                        side.setdefault(other.key, []).append(pair)
    shared = [
        Bridge(concepts[key], tuple(sides[0][key]), tuple(sides[1][key])) for key in sides[0].keys() & sides[1].keys()
    ]
    return sorted(shared, key=lambda bridge: (-round(bridge.score, 9), bridge.concept.name))


def _levels(concept: Concept, broader: Broader | None) -> Sequence[Concept]:
    if broader is None or not concept.has_identifier:
        return (concept,)
    return (concept, *broader(concept))


def _sort_in(pair: Pair, name: str, items: list[Statement]) -> None:
    """A document counts once: as support if it asserts the relation anywhere, else as denial, else as supposition."""
    kinds = {"asserted": pair.supporting, "negated": pair.contradicting, "speculated": pair.speculated}
    for kind, documents in kinds.items():
        if matching := [item for item in items if item.assertion == kind]:
            documents[name] = sorted(matching, key=lambda item: -item.confidence)
            return


def _confidence(items: Sequence[Statement]) -> float:
    return max(item.confidence for item in items)

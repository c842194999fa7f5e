"""Statements: what one document says of two concepts, and the sentences that say it, from the tables of a bulk run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from textome.bulk.query import Results
from textome.documents import Span
from textome.evidence.assertion import Assertion, assertion_of
from textome.evidence.predicates import is_reversed, predicate_of, type_named

# Attributes of a mention, of the step `context`, that the relation of it has too.
_NEGATED, _SPECULATED = ("negated",), ("uncertain", "hypothetical")
_RETRACTED = ("retracted publication", "retraction of publication", "retraction")
# By the types and keys of two concepts.
CoMentions = Mapping[frozenset[tuple[str, str]], float]
_CO_MENTIONS = f"""
    WITH kept AS (SELECT source, record FROM documents WHERE NOT list_has_any(
        string_split(lower(coalesce(metadata['publication_types'], '')), '; '), {list(_RETRACTED)})),
    mentions AS (SELECT DISTINCT source, record, number, document_id, sentence, type,
        coalesce(identifiers[1], lower(text)) AS concept FROM entities SEMI JOIN kept USING (source, record)),
    counts AS (SELECT type, concept, count(DISTINCT document_id) AS documents FROM mentions GROUP BY ALL),
    ends AS (SELECT DISTINCT a.type AS type_1, a.concept AS concept_1, b.type AS type_2, b.concept AS concept_2
        FROM relation_ends r
        JOIN mentions a ON a.source = r.source AND a.record = r.record AND a.number = r.head
        JOIN mentions b ON b.source = r.source AND b.record = r.record AND b.number = r.tail)
    SELECT type_1, concept_1, type_2, concept_2, count(DISTINCT a.document_id) AS together,
        any_value(one.documents * two.documents) / (SELECT count(DISTINCT document_id) FROM mentions) AS expected
    FROM ends
    JOIN counts one ON one.type = type_1 AND one.concept = concept_1
    JOIN counts two ON two.type = type_2 AND two.concept = concept_2
    JOIN mentions a ON a.type = type_1 AND a.concept = concept_1
    JOIN mentions b ON b.type = type_2 AND b.concept = concept_2 AND b.source = a.source AND b.record = a.record
        AND b.sentence = a.sentence
    GROUP BY ALL"""


@dataclass(frozen=True, slots=True)
class Concept:
    """key   a CURIE, or what a text calls a thing without identifier, in small letters
    name  its preferred name, or the mention's text
    """

    type: str
    key: str
    name: str

    @property
    def has_identifier(self) -> bool:
        return ":" in self.key and " " not in self.key


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a document; `start` is its first code point in the document's text."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A relation that a document has.

    relation    the type that the model or the input gave; `verb` says it for the types of head and tail
    sentences   those of the two mentions: one where both stand in the same
    head_span, tail_span   the mentions, in code points of the document's text
    confidence  a probability in [0, 1]; 1 for what the input brought
    novel       the probability that the text reports it as new, if it is known
    """

    head: Concept
    tail: Concept
    relation: str
    document_id: str
    year: int | None
    section: str
    confidence: float
    assertion: Assertion
    sentences: tuple[Sentence, ...]
    head_span: Span
    tail_span: Span
    novel: float | None = None

    @property
    def verb(self) -> str:
        return predicate_of(self.relation, self.head.type, self.tail.type).verb


@dataclass
class Reading:
    """What was noticed while statements were read.

    retracted      how many statements of each retracted document were left out
    vocabularies   of each type and name in small letters, the prefixes of its identifiers, in their order
    disagreeing    documents in several files whose mentions have other identifiers in each: they count for all of these
    """

    retracted: Counter[str] = field(default_factory=Counter)
    vocabularies: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    disagreeing: set[str] = field(default_factory=set)

    def several_vocabularies(self) -> dict[str, dict[str, list[str]]]:
        """Of each type, the names that have identifiers of several vocabularies, and these.

        A vocabulary that is made of several, as the bundled one, has a concept in one of them: so documents were linked
        with different vocabularies.
        """
        names: dict[str, dict[str, list[str]]] = {}
        for (type, name), prefixes in self.vocabularies.items():
            if len(prefixes) > 1:
                names.setdefault(type, {})[name] = list(prefixes)
        return names


def read_statements(results: Results, reading: Reading | None = None) -> Iterator[Statement]:
    """All relations between two mentions, and none of a retracted article, which `reading` counts.

    Raises InputError where the tables are damaged.
    """
    reading = Reading() if reading is None else reading
    identifiers: dict[tuple[str, str, str, str, Span, Span], tuple[str, str]] = {}
    answer = results.ask("SELECT * FROM stated_relations ORDER BY source, record, head_start, tail_start, relation")
    for values in answer.rows:
        row = dict(zip(answer.columns, values, strict=True))
        kinds = (row["publication_types"] or "").lower().split("; ")
        if any(kind in _RETRACTED for kind in kinds):
            reading.retracted[row["document_id"]] += 1
            continue
        statement = _statement(row)
        types = (statement.head.type, statement.tail.type)
        mentions = (statement.document_id, statement.relation, *types, statement.head_span, statement.tail_span)
        keys = (statement.head.key, statement.tail.key)
        if identifiers.setdefault(mentions, keys) != keys:
            reading.disagreeing.add(statement.document_id)
        for concept in (statement.head, statement.tail):
            if concept.has_identifier:
                prefixes = reading.vocabularies.setdefault((concept.type, concept.name.lower()), {})
                prefixes[concept.key.partition(":")[0]] = None
        yield statement


def read_co_mentions(results: Results) -> dict[frozenset[tuple[str, str]], float]:
    """Of the concepts of each relation, how many more documents mention both in one sentence than would by chance: with n
    and m documents of each among N, n m / N. Pairs without more are left out, and so are retracted articles.

    Raises InputError where the tables are damaged.
    """
    excess: dict[frozenset[tuple[str, str]], float] = {}
    for type_1, concept_1, type_2, concept_2, together, expected in results.ask(_CO_MENTIONS).rows:
        if together > expected:
            excess[frozenset(((type_named(type_1), concept_1), (type_named(type_2), concept_2)))] = together - expected
    return excess


def _statement(row: Mapping[str, Any]) -> Statement:
    ends = [(Concept(type_named(row[f"{end}_type"]), row[end], row[f"{end}_label"]), end) for end in ("head", "tail")]
    if is_reversed(ends[0][0].type, ends[1][0].type):
        ends.reverse()
    head, tail = (concept for concept, _ in ends)
    head_span, tail_span = (Span(row[f"{end}_start"], row[f"{end}_end"]) for _, end in ends)
    sentences = dict.fromkeys(
        Sentence(row[f"{end}_sentence"], row[f"{end}_sentence_start"])
        for end in ("head", "tail")
        if row[f"{end}_sentence"]
    )
    return Statement(
        head,
        tail,
        row["relation"],
        row["document_id"],
        row["year"],
        row["section"] or "",
        1.0 if row["confidence"] is None else float(row["confidence"]),
        _assertion(row, tuple(sentences), head_span, tail_span),
        tuple(sorted(sentences, key=lambda sentence: sentence.start)),
        head_span,
        tail_span,
        _novelty(row["novel"]),
    )


def _assertion(row: Mapping[str, Any], sentences: tuple[Sentence, ...], head: Span, tail: Span) -> Assertion:
    """By what the sentence of both says, and by what the step `context` says of the mentions."""
    attributes = {name for end in ("head", "tail") for name in dict(row[f"{end}_attributes"] or {})}
    assertion: Assertion = "asserted"
    if len(sentences) == 1:
        start = sentences[0].start
        inside = (Span(span.start - start, span.end - start) for span in (head, tail))
        assertion = assertion_of(sentences[0].text, *inside)
    if assertion == "negated" or attributes.intersection(_NEGATED):
        return "negated"
    return "speculated" if assertion == "speculated" or attributes.intersection(_SPECULATED) else "asserted"


def _novelty(text: str | None) -> float | None:
    """A probability that stands there as a number, or as BioRED's "Novel" and "No"."""
    words = {"novel": 1.0, "no": 0.0}
    if text is None or text.lower() in words:
        return None if text is None else words[text.lower()]
    return float(text) if text.replace(".", "", 1).isdigit() else None

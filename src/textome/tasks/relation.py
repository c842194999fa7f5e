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
two nearest mentions are read one after the other. Of several windows the one counts that is surest of a relation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from textome.documents import Document, Entity, Relation, Span
from textome.errors import InputError
from textome.formats.identifiers import from_curies
from textome.tasks.classification import Classified, number_of
from textome.tasks.inputs import Floats, Integers, Unit, first_tokens, joined, sigmoid, softmax
from textome.tasks.ner import windows
from textome.text.sentences import sentence_spans
from textome.text.tokenization import Tokenizer, Tokens

Scope = Literal["sentence", "document"]
_Spot = tuple[int, int, str]  # start, end and type of a mention
_Mark = tuple[int, int, str, tuple[str, str]]  # the same, and what stands before and behind it
_HEAD, _TAIL, _ANY = ("@ * {} * ", " @"), ("# ^ {} ^ ", " #"), ("@ {} ", " @")
# Pairs of one text that are scored together at most; each takes as much memory as a few tokens.
_ROWS = 256


def relation_states(one_pass: bool) -> int:
    """How many states of a text score a pair: at [CLS] and two markers, or four where all mentions are marked."""
    return 5 if one_pass else 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two groups of mentions that may be related, and how: `labels` are empty where nothing is said about them.

    head, tail   the mentions, one each in a sentence; both empty for a relation of the corpus that no candidate can reach
                 (its mentions stand in two sentences, say), which counts as missed
    place        what is read of the document
    """

    id: str
    document: Document
    head: tuple[Entity, ...]
    tail: tuple[Entity, ...]
    place: Span
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Relations:
    """The relation task: its labels, and which pairs it asks about.

    labels    the relation types; `negative` is one of them, unless several types may hold at once (`multi_label`)
    pairs     (head type, tail type) of the entities that may be related; empty: any two
    directed  whether the second of two entities of one type may be the head
    split     whether passages are cut into sentences
    one_pass  whether a text is read once for all its pairs
    """

    labels: tuple[str, ...]
    tokenizer: Tokenizer
    window: int
    overlap: int
    pairs: tuple[tuple[str, str], ...] = ()
    scope: Scope = "sentence"
    directed: bool = False
    split: bool = True
    negative: str = "none"
    multi_label: bool = False
    threshold: float = 0.5
    temperature: float = 1.0
    one_pass: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head: [CLS] and the markers."""
        return len(self.labels), relation_states(self.one_pass)

    def candidates(self, document: Document) -> list[Candidate]:
        """Every pair that the task asks about, with the labels that the document's relations give it, and a candidate
        without mentions for each relation of these labels that no pair can reach."""
        gold = _Gold(document, set(self.labels))
        found = []
        for place, groups in self._groups(document):
            for first, second in permutations(groups, 2) if self.directed else combinations(groups, 2):
                for head, tail in self._oriented(first, second):
                    name = f"{document.id}:{head[0].id or head[0].start}-{tail[0].id or tail[0].start}"
                    labels = gold.labels(head, tail, self.directed)
                    found.append(Candidate(name, document, head, tail, place, self._told(labels)))
        for number, label in enumerate(gold.unreached(), 1):
            found.append(Candidate(f"{document.id}:unreached-{number}", document, (), (), Span(0, 0), (label,)))
        return found

    def units(self, items: Sequence[Candidate]) -> list[Unit]:
        """The inputs of the model for each candidate, or for each text."""
        if self.one_pass:
            return self._shared_units(items)
        numbers = [number for number, item in enumerate(items) if item.head]
        marked = [_marked(items[number]) for number in numbers]
        encoded = self.tokenizer.encode([text for text, _, _ in marked])
        found = []
        for number, (_, heads, tails), tokens in zip(numbers, marked, encoded, strict=True):
            found += self._units(number, items[number], tokens, heads, tails)
        return found

    def targets(self, unit: Unit, item: Candidate) -> NDArray[Any]:
        """(1, 1) the label's number, or (1, num_labels) of 0 and 1."""
        numbers = [number_of(name, self.labels, item.id) for name in item.labels]
        if self.multi_label:
            return np.isin(np.arange(len(self.labels)), numbers).astype(np.float32)[None]
        if len(numbers) != 1:
            raise InputError(
                f"record {item.id}: the pair has the relations {', '.join(item.labels)} at once; multi_label = true takes "
                f"several"
            )
        return np.array([numbers], np.int64)

    def predictions(
        self, items: Sequence[Candidate], units: Sequence[Unit], scores: Sequence[Floats]
    ) -> list[Classified]:
        """The label of each candidate; one that cannot be read has none."""
        squash = sigmoid if self.multi_label else softmax
        nothing = np.zeros(len(self.labels))
        if not self.multi_label:
            nothing[self.labels.index(self.negative)] = 1.0
        best: list[NDArray[np.float64]] = [nothing for _ in items]
        seen: set[int] = set()
        for unit, logits in zip(units, scores, strict=True):
            every = squash(logits.astype(np.float64) / self.temperature)
            for item, shares in zip(unit.rows or (unit.item,), every, strict=True):
                if item not in seen or self._evidence(shares) > self._evidence(best[item]):
                    best[item] = shares
                seen.add(item)
        return [self._decide(shares) for shares in best]

    def relations(
        self, candidates: Sequence[Candidate], found: Sequence[Classified], min_confidence: float = 0.0
    ) -> Iterator[Relation]:
        """Relations between the mentions of candidates (between the two nearest, of concepts)."""
        for item, guess in zip(candidates, found, strict=True):
            for label in guess.labels:
                if label != self.negative and guess.scores[label] >= min_confidence:
                    head, tail = _nearest(item.head, item.tail)
                    ends = (("head", head.id), ("tail", tail.id))
                    yield Relation(label, ends, confidence=round(guess.scores[label], 6))

    def _told(self, labels: Sequence[str]) -> tuple[str, ...]:
        return tuple(labels) if labels or self.multi_label else (self.negative,)

    def _evidence(self, shares: NDArray[np.float64]) -> float:
        return float(shares.max()) if self.multi_label else 1 - float(shares[self.labels.index(self.negative)])

    def _decide(self, shares: NDArray[np.float64]) -> Classified:
        scores = {name: float(share) for name, share in zip(self.labels, shares, strict=True)}
        if self.multi_label:
            return Classified(tuple(name for name, share in scores.items() if share >= self.threshold), scores)
        return Classified((self.labels[int(shares.argmax())],), scores)

    def _groups(self, document: Document) -> Iterator[tuple[Span, list[tuple[Entity, ...]]]]:
        """What is read together, and the groups of mentions in it: single ones, or those of a concept."""
        if self.scope == "sentence":
            entities = sorted(document.entities, key=lambda entity: (entity.start, entity.end))
            for place in sentence_spans(document, self.split):
                inside = [(entity,) for entity in entities if place.start <= entity.start and entity.end <= place.end]
                if len(inside) > 1:
                    yield place, list(inside)
            return
        concepts: dict[tuple[str, str], list[Entity]] = {}
        for entity in sorted(document.entities, key=lambda entity: (entity.start, entity.end)):
            for key in _concepts(entity):
                concepts.setdefault((entity.type, key), []).append(entity)
        yield Span(0, len(document.text)), [tuple(group) for group in concepts.values()]

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

    def _units(self, number: int, item: Candidate, tokens: Tokens, heads: list[int], tails: list[int]) -> list[Unit]:
        first, second = first_tokens(tokens, heads), first_tokens(tokens, tails)
        found = []
        for window in windows(tokens, self.window - 2, self.overlap):
            inside = [[place for place in places if window.start <= place < window.end] for places in (first, second)]
            if all(inside):
                places = [0, *(place - window.start + 1 for place in _nearest_places(*inside))]
                found.append(self._unit(number, tokens.ids[window.start : window.end], places))
        return found or [self._far_apart(number, item)]

    def _shared_units(self, items: Sequence[Candidate]) -> list[Unit]:
        """Units of texts, with a row for each candidate of the text that has mentions of both in the window."""
        texts: dict[tuple[int, Span], list[int]] = {}
        for number, item in enumerate(items):
            if item.head:
                texts.setdefault((id(item.document), item.place), []).append(number)
        marked = [self._all_marked(items[numbers[0]]) for numbers in texts.values()]
        encoded = self.tokenizer.encode([text for text, _ in marked])
        found = []
        for numbers, (_, offsets), tokens in zip(texts.values(), marked, encoded, strict=True):
            firsts = dict(zip(offsets, first_tokens(tokens, offsets.values()), strict=True))
            read: set[int] = set()
            for window in windows(tokens, self.window - 2, self.overlap):
                rows, places = list[int](), list[list[int]]()
                for number in numbers:
                    inside = [
                        [
                            place - window.start + 1
                            for entity in side
                            if window.start <= (place := firsts[_spot(entity)]) < window.end
                        ]
                        for side in (items[number].head, items[number].tail)
                    ]
                    if all(inside):
                        rows.append(number)
                        places.append([0, *_nearest_places(*inside), min(inside[0]), min(inside[1])])
                read.update(rows)
                ids, types = joined([tokens.ids[window.start : window.end]], self.tokenizer)
                for start in range(0, len(rows), _ROWS):
                    some = tuple(rows[start : start + _ROWS])
                    chosen = np.array(places[start : start + _ROWS], np.int32)
                    found.append(Unit(some[0], ids, types, chosen, rows=some))
            found += [self._far_apart(number, items[number]) for number in numbers if number not in read]
        return found

    def _all_marked(self, item: Candidate) -> tuple[str, dict[_Spot, int]]:
        """A candidate's text with every mention marked that the task could ask about, and where the markers begin."""
        types = {kind for pair in self.pairs for kind in pair}
        place = item.place
        inside = (one for one in item.document.entities if place.start <= one.start and one.end <= place.end)
        spots = list(dict.fromkeys(_spot(entity) for entity in inside if not types or entity.type in types))
        marks = [(start, end, _first_word(kind), _ANY) for start, end, kind in spots]
        text, offsets = _with_markers(item.document.text, place, marks)
        return text, dict(zip(spots, offsets, strict=True))

    def _far_apart(self, number: int, item: Candidate) -> Unit:
        """The sentences of the two nearest mentions, one after the other, each cut around its mention to half a window."""
        half = (self.window - 2) // 2
        pieces, places = list[Integers](), [0]
        head, tail = _nearest(item.head, item.tail)
        for entity, own in ((head, _ANY if self.one_pass else _HEAD), (tail, _ANY if self.one_pass else _TAIL)):
            text, offset = _marked_sentence(item.document, entity, own)
            (tokens,) = self.tokenizer.encode([text])
            place = first_tokens(tokens, [offset])[0]
            start = max(0, min(place - half // 4, len(tokens.ids) - half))
            places.append(sum(len(piece) for piece in pieces) + place - start + 1)
            pieces.append(tokens.ids[start : start + half])
        return self._unit(number, np.concatenate(pieces), places + places[1:] * self.one_pass)

    def _unit(self, number: int, ids: Integers, places: list[int]) -> Unit:
        ids, types = joined([ids], self.tokenizer)
        return Unit(number, ids, types, np.array([places], np.int32))


class _Gold:
    """The relations of a document by the pair that they are between."""

    def __init__(self, document: Document, labels: set[str]) -> None:
        self._found: dict[tuple[str, str], list[str]] = {}
        self._reached: set[tuple[str, str, str]] = set()
        for relation in document.relations:
            if relation.type in labels:
                ends = [name for _, name in relation.arguments]
                if len(ends) < 2:
                    ends = [relation.metadata.get("entity1", ""), relation.metadata.get("entity2", "")]
                if all(ends[:2]):
                    self._found.setdefault((ends[0], ends[1]), []).append(relation.type)

    def labels(self, head: Sequence[Entity], tail: Sequence[Entity], directed: bool) -> list[str]:
        found: list[str] = []
        for one in _names(head):
            for two in _names(tail):
                for pair in ((one, two),) if directed else ((one, two), (two, one)):
                    for label in self._found.get(pair, ()):
                        self._reached.add((*pair, label))
                        if label not in found:
                            found.append(label)
        return found

    def unreached(self) -> list[str]:
        return [
            label
            for pair, labels in self._found.items()
            for label in dict.fromkeys(labels)
            if (*pair, label) not in self._reached
        ]


def _concepts(entity: Entity) -> list[str]:
    return [from_curies((name,)) for name in entity.curies] or [entity.text.casefold()]


def _names(group: Sequence[Entity]) -> set[str]:
    """What a relation may call a group: the ids of its mentions, or the concepts that all of them have."""
    shared = set.intersection(*({from_curies((name,)) for name in entity.curies} for entity in group))
    return {entity.id for entity in group if entity.id} | shared


def _nearest(head: Sequence[Entity], tail: Sequence[Entity]) -> tuple[Entity, Entity]:
    return min(((one, two) for one in head for two in tail), key=lambda pair: abs(pair[0].start - pair[1].start))


def _nearest_places(first: Sequence[int], second: Sequence[int]) -> tuple[int, int]:
    return min(((one, two) for one in first for two in second), key=lambda pair: abs(pair[0] - pair[1]))


def _first_word(kind: str) -> str:
    """Where every mention is marked, long names of types would be half of what is read."""
    found = re.match(r"[^\W\d_]?[^\W\d_A-Z]+|[A-Z]+", kind)
    return found[0] if found else kind


def _spot(entity: Entity) -> _Spot:
    return entity.start, entity.end, entity.type


def _marked(item: Candidate) -> tuple[str, list[int], list[int]]:
    """A candidate's text with its mentions marked, and where in it the markers of heads and of tails begin."""
    marks = [(*_spot(entity), _HEAD) for entity in item.head] + [(*_spot(entity), _TAIL) for entity in item.tail]
    text, offsets = _with_markers(item.document.text, item.place, marks)
    return text, offsets[: len(item.head)], offsets[len(item.head) :]


def _with_markers(text: str, place: Span, marks: Sequence[_Mark]) -> tuple[str, list[int]]:
    """The text of a place with markers put around mentions, and where in it each mention's marker begins."""
    # What is put in, in order of place: at one place ends come before starts, and the outer of two starts first.
    edits = []
    for number, (start, end, kind, (opening, closing)) in enumerate(marks):
        edits.append((start, 1, -end, opening.format(kind), number))
        edits.append((end, 0, -start, closing, -1))
    found: list[str] = []
    offsets = [0] * len(marks)
    position, length = place.start, 0
    for at, _, _, piece, number in sorted(edits):
        gap = text[position:at]
        found += [gap, piece]
        if number >= 0:
            offsets[number] = length + len(gap)
        length += len(gap) + len(piece)
        position = at
    found.append(text[position : place.end])
    return "".join(found), offsets


def _marked_sentence(document: Document, entity: Entity, own: tuple[str, str]) -> tuple[str, int]:
    """The sentence of a mention with the mention marked, and where the marker begins."""
    place = next(span for span in sentence_spans(document) if span.start <= entity.start < span.end)
    text = document.text
    before, after = text[place.start : entity.start], text[entity.end : max(place.end, entity.end)]
    kind = _first_word(entity.type) if own is _ANY else entity.type
    return f"{before}{own[0].format(kind)}{text[entity.start : entity.end]}{own[1]}{after}", len(before)

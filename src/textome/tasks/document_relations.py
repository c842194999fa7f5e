"""Relations between the concepts of a document, all of them in one pass of the encoder.

Every mention that a pair could be of is marked in the text by a sign of its type on both sides (Zhong and Chen 2021,
section 3.4; Zhou and Chen 2021), and each pair of concepts is scored from the hidden states at

    [CLS], and the markers of the two mentions that stand nearest to each other
    up to `MENTIONS` markers of each concept, of which the elementwise maximum is taken
    up to `BETWEEN` tokens evenly between the two nearest mentions, of which the maximum is taken

The outputs are, in this order: whether the pair is related at all; the type of the relation, given that there is one;
whether the text reports it as new; and for each of `further` labels of another guideline whether it holds. A corpus
teaches the outputs that it annotates, and no others. A text longer than the window is read in windows that overlap, and
the most confident one wins; two concepts that share no window are not asked about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from textome.documents import Document, Entity, Relation, Span
from textome.errors import InputError
from textome.formats import read_documents
from textome.formats.reading.sources import Quarantine
from textome.tasks.examples import Example, Floats, first_tokens, sigmoid, softmax
from textome.tasks.labels import THRESHOLDS, Classified, Decision
from textome.tasks.pair_examples import nearest, shared_examples, with_markers
from textome.tasks.relations import PairTask, concepts, ends_of, names_of, with_relations
from textome.tasks.task import HeadShape
from textome.text.tokenization import Tokenizer

MENTIONS, BETWEEN = 6, 12
NOVEL = "novel"
# The sign of each type, in the order of `types`; a vocabulary spells each by one token.
_SIGNS = "@#$&*^%~"
_MAY_BE_RELATED = 0.1
_TEMPERATURES = np.geomspace(0.5, 4, 31)


@dataclass(frozen=True, slots=True)
class ConceptPair:
    """Two concepts of a document, by their mentions, and how they are related.

    head, tail   both empty for a relation of the corpus between concepts that no pair asks about, which counts as missed
    labels       types, `NOVEL`, and further labels
    known        the outputs that the corpus annotates: "types", and further labels
    """

    id: str
    document: Document
    head: tuple[Entity, ...]
    tail: tuple[Entity, ...]
    labels: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()


class DocumentRelations(PairTask[ConceptPair]):
    """Relations between the concepts of a document: mentions with a common identifier, or, if they have none, equal text.

    labels      the types of relations
    types       the types of entities that are read: what a corpus calls them -> the model's name
    pairs       the types of entities that may be related, each pair of types in one order only
    novelty     whether the corpus says of each relation if the text reports it as new
    further     labels of other guidelines, each between a head and a tail of these types
    implies     for a further label the type that a relation of this label has
    threshold   the probability from which a pair is related
    thresholds  the probability from which each further label holds; 0.5 if it is not named
    """

    evaluated_by: ClassVar[str] = "scores"
    losses: ClassVar[tuple[str, ...]] = ("binary_cross_entropy",)

    kind: Literal["document_relations"] = "document_relations"
    metric: Literal["mean_f1", "pair_f1", "typed_f1"] = "mean_f1"
    labels: tuple[str, ...] = Field(min_length=2)
    types: dict[str, str] = Field(min_length=1)
    pairs: tuple[tuple[str, str], ...] = Field(min_length=1)
    novelty: bool = False
    further: dict[str, tuple[str, str]] = Field(default_factory=dict)
    implies: dict[str, str] = Field(default_factory=dict)
    thresholds: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if len(set(self.types.values())) > len(_SIGNS):
            raise ValueError(f"at most {len(_SIGNS)} types of entities can be marked")
        ends = {kind for pair in (*self.pairs, *self.further.values()) for kind in pair}
        if unknown := ends - set(self.types.values()):
            raise ValueError(f"pairs and further name {min(unknown)!r}, which is none of types")
        orders = {*self.pairs, *self.further.values()}
        if twice := [pair for pair in orders if pair[0] != pair[1] and pair[::-1] in orders]:
            raise ValueError(f"{' and '.join(min(twice))} stand in pairs and further in both orders; choose one")
        if unknown := {*self.implies} - {*self.further} | {*self.implies.values()} - {*self.labels}:
            raise ValueError(f"implies names {min(unknown)!r}, which is not a label")
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        return (*self.labels, *self.further)

    @property
    def output_names(self) -> tuple[str, ...]:
        return ("related", *self.labels, *((NOVEL,) if self.novelty else ()), *self.further)

    @property
    def head_shape(self) -> HeadShape:
        groups = (MENTIONS, MENTIONS, BETWEEN)
        return HeadShape(len(self.output_names), 3 + sum(groups), groups)

    @property
    def loss(self) -> str:
        return "binary_cross_entropy"

    def fitted(self, name: str, records: Sequence[ConceptPair]) -> Self:
        if not any(record.labels for record in records):
            raise InputError(f"task {name!r}: no training document has a relation of {', '.join(self.labels)}")
        return self

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[ConceptPair]:
        """All pairs of a file. Types and further labels are taken as annotated where the file has any relation of them."""
        documents = list(read_documents(path, layout, quarantine))
        seen = {relation.type for document in documents for relation in document.relations}
        known = {label for label in self.further if label in seen} | ({"types"} if seen & {*self.labels} else set())
        for document in documents:
            yield from self.candidates(document, frozenset(known))

    def records(self, document: Document, question: str | None = None) -> list[ConceptPair]:
        """The pairs that the task asks about; the document must be `ready`."""
        return self._pairs(document)

    def candidates(self, document: Document, known: frozenset[str]) -> list[ConceptPair]:
        """The pairs that the corpus annotates, with their labels, and one without mentions for each two concepts that are
        related and make no pair."""
        gold = self._gold(document, known)
        pairs = []
        for pair in self._pairs(document, known):
            labels = set()
            for one in names_of(pair.head):
                for two in names_of(pair.tail):
                    labels |= gold.pop(frozenset((one, two)), set())
            pairs.append(ConceptPair(pair.id, document, pair.head, pair.tail, tuple(sorted(labels)), pair.known))
        for number, labels in enumerate(gold.values(), 1):
            name = f"{document.id}:unreached-{number}"
            pairs.append(ConceptPair(name, document, (), (), tuple(sorted(labels)), known))
        return pairs

    def examples(
        self, records: Sequence[ConceptPair], tokenizer: Tokenizer, window: int, overlap: int
    ) -> list[Example]:
        """One or several windows of each document, with a row of positions for each of its pairs."""
        owned: dict[int, list[int]] = {}
        for number, record in enumerate(records):
            if record.head:
                owned.setdefault(id(record.document), []).append(number)
        marked = [self._marked(records[numbers[0]].document) for numbers in owned.values()]
        encoded = tokenizer.encode([text for text, _ in marked])
        examples = []
        for numbers, (_, offsets), tokens in zip(owned.values(), marked, encoded, strict=True):
            firsts = dict(zip(offsets, first_tokens(tokens, offsets.values()), strict=True))
            mentions = {
                number: [
                    [firsts[entity.start, entity.end] for entity in side]
                    for side in (records[number].head, records[number].tail)
                ]
                for number in numbers
            }
            examples += shared_examples(mentions, tokens, tokenizer, window, overlap, _positions)
        return examples

    def targets(self, example: Example, record: ConceptPair) -> NDArray[Any]:
        """(1, outputs) of 0 and 1, and NaN where the corpus does not say. Only related pairs teach types and novelty."""
        row = dict.fromkeys(self.output_names, np.nan)
        labels = set(record.labels)
        if "types" in record.known:
            row["related"] = float(bool(labels & {*self.labels}))
        for label in record.known & {*self.further}:
            row[label] = float(label in labels)
        types = labels & {*self.labels} or {self.implies[label] for label in labels if label in self.implies}
        if types:
            row |= {name: float(name in types) for name in self.labels}
        if self.novelty and labels & {*self.labels}:
            row[NOVEL] = float(NOVEL in labels)
        return np.array([list(row.values())], np.float32)

    def decode(
        self, records: Sequence[ConceptPair], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[Classified]:
        """The type of each pair that is related, and the further labels that hold, of those that its types of entities may
        have (`known`)."""
        predictions = []
        for record, shares in zip(records, self._probabilities(records, examples, scores), strict=True):
            decision = self.decide(shares)
            able = record.known | ({*self.labels} if "types" in record.known else set())
            predictions.append(Classified(tuple(label for label in decision.labels if label in able), decision.scores))
        return predictions

    def decide(self, shares: NDArray[np.float64]) -> Classified:
        """Of probabilities (outputs,), of which those of types sum to 1, given that the pair is related; `scores` has the
        probability of each type times that of a relation."""
        by_name = dict(zip(self.output_names, map(float, shares), strict=True))
        scores = {name: by_name[name] * by_name["related"] for name in self.labels}
        scores |= {name: by_name[name] for name in (*self.further, *((NOVEL,) if self.novelty else ()))}
        labels = [max(self.labels, key=lambda name: scores[name])] if by_name["related"] >= self.threshold else []
        labels += [name for name in self.further if scores[name] >= self.thresholds.get(name, 0.5)]
        return Classified(tuple(labels), scores)

    def annotate(
        self, name: str, document: Document, records: Sequence[ConceptPair], predictions: Sequence[Classified]
    ) -> Document:
        """The document with the relations that it does not have yet, each between the two nearest mentions.

        In the relation's metadata `novel` is the probability that the text reports it as new.
        """
        new = []
        for record, prediction in zip(records, predictions, strict=True):
            for label in prediction.labels:
                confidence = round(prediction.scores[label], 6)
                if self._choice.leaves_out(confidence):
                    continue
                head, tail = nearest(record.head, record.tail)
                about = {NOVEL: f"{prediction.scores[NOVEL]:.4f}"} if NOVEL in prediction.scores else {}
                new.append(
                    Relation(label, (("head", head.id), ("tail", tail.id)), confidence=confidence, metadata=about)
                )
        return with_relations(document, new)

    def decisions(self, records: Sequence[ConceptPair], predictions: Sequence[Classified]) -> Iterator[Decision]:
        classes = {*self.classes}
        for record, prediction in zip(records, predictions, strict=True):
            text = "(a relation that no pair reaches)"
            if record.head:
                text = f"{record.head[0].text} / {record.tail[0].text}: {record.document.text}"
            known = {*record.known & {*self.further}, *(self.labels if "types" in record.known else ())}
            labels = tuple(label for label in prediction.labels if label in known)
            gold = tuple(label for label in record.labels if label in classes)
            yield Decision(record.id, text, gold, Classified(labels, prediction.scores))

    def score(self, records: Sequence[ConceptPair], predictions: Sequence[Classified]) -> dict[str, float]:
        """F1 of related pairs (`pair_f1`), of pairs with their type (`typed_f1`), with type and novelty (`novel_f1`), and
        of each further label; `mean_f1` is the mean of all but `novel_f1`. What no record annotates has no score."""
        right, total = Counter[str](), Counter[str]()

        def count(name: str, gold: set[str], predicted: set[str]) -> None:
            right[name] += len(gold & predicted)
            total[name] += len(gold) + len(predicted)

        for record, prediction in zip(records, predictions, strict=True):
            gold, predicted = {*record.labels}, {*prediction.labels}
            if "types" in record.known:
                types, guess = gold & {*self.labels}, predicted & {*self.labels}
                count("pair_f1", {"related"} if types else set(), {"related"} if guess else set())
                count("typed_f1", types, guess)
                if self.novelty:
                    new = f" {prediction.scores[NOVEL] >= 0.5}"
                    count("novel_f1", {f"{name} {NOVEL in gold}" for name in types}, {name + new for name in guess})
            for label in record.known & {*self.further}:
                count(f"{label}_f1", gold & {label}, predicted & {label})
        f1_of = {name: 2 * right[name] / max(1, total[name]) for name in total}
        counted = [value for name, value in f1_of.items() if name != "novel_f1"]
        return f1_of | {"mean_f1": float(np.mean(counted)) if counted else 0.0}

    def calibrated(self, records: Sequence[ConceptPair], examples: Sequence[Example], scores: Sequence[Floats]) -> Self:
        """With the temperature that makes the gold pairs most probable (Guo et al. 2017), and the thresholds that give the
        best mean of pair and typed F1, and the best F1 of each further label."""
        related = np.array([[bool({*record.labels} & {*self.labels})] for record in records])
        known = np.array([bool(record.head) and "types" in record.known for record in records])
        task = self
        if known.any():
            scaled = (self.model_copy(update={"temperature": float(value)}) for value in _TEMPERATURES)
            losses = [(each._log_loss_of(records, examples, scores, related, known), each) for each in scaled]
            task = min(losses, key=lambda item: item[0])[1]
            task = task.model_copy(update={"temperature": round(task.temperature, 4)})
        shares = task._probabilities(records, examples, scores)
        for name in ("threshold", *self.further):
            tried = []
            for value in np.round(THRESHOLDS, 2).tolist():
                update = {name: value} if name == "threshold" else {"thresholds": task.thresholds | {name: value}}
                at = task.model_copy(update=update)
                score_of = at.score(records, [at.decide(row) for row in shares])
                which = ("pair_f1", "typed_f1") if name == "threshold" else (f"{name}_f1",)
                tried.append((sum(score_of.get(item, 0.0) for item in which), -abs(value - 0.5), value, at))
            task = max(tried, key=lambda item: item[:3])[3]
        return task

    def soft_targets(
        self, records: Sequence[ConceptPair], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[NDArray[np.floating]]:
        """Types and novelty are known only of pairs that may well be related."""
        rows = np.array(self._probabilities(records, examples, scores)).reshape(len(records), -1)
        rows[rows[:, 0] < _MAY_BE_RELATED, 1 : len(self.output_names) - len(self.further)] = np.nan
        return [*rows[:, None]]

    def is_nothing(self, prediction: Classified) -> bool:
        return not prediction.labels

    def texts_of(self, record: ConceptPair) -> tuple[str, ...]:
        return (record.document.text,)

    def prepared(self, records: list[ConceptPair], seed: int) -> list[ConceptPair]:
        return [record for record in records if record.head]

    def _probabilities(
        self, records: Sequence[ConceptPair], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[NDArray[np.float64]]:
        """(outputs,) of each record; zeros of one that was not read. The types' are those of a softmax among them."""
        further = len(self.output_names) - len(self.further)
        best = [np.zeros(len(self.output_names)) for _ in records]
        for example, logits in zip(examples, scores, strict=True):
            wide = logits.astype(np.float64) / self.temperature
            shares = sigmoid(wide)
            shares[:, 1 : 1 + len(self.labels)] = softmax(wide[:, 1 : 1 + len(self.labels)])
            for number, row in zip(example.owners, shares, strict=True):
                winner = row if row[0] > best[number][0] else best[number]
                best[number] = np.concatenate([winner[:further], np.maximum(row[further:], best[number][further:])])
        return best

    def _log_loss_of(
        self,
        records: Sequence[ConceptPair],
        examples: Sequence[Example],
        scores: Sequence[Floats],
        related: NDArray[np.bool_],
        known: NDArray[np.bool_],
    ) -> float:
        """The mean negative log-likelihood that the pairs of which it is known are related or not."""
        shares = np.array([row[:1] for row in self._probabilities(records, examples, scores)]).clip(1e-9, 1 - 1e-9)
        return float(-np.log(np.where(related, shares, 1 - shares))[known].mean())

    def _pairs(self, document: Document, known: frozenset[str] | None = None) -> list[ConceptPair]:
        """The pairs of concepts whose types may be related; with `known`, those that a corpus annotates something of."""
        pairs = []
        for (first, head), (second, tail) in combinations(concepts(document, self.types.get).items(), 2):
            kinds = (first[0], second[0])
            if kinds not in self.pairs and kinds not in self.further.values():
                kinds, head, tail = kinds[::-1], tail, head
            own = frozenset(label for label, ends in self.further.items() if ends == kinds)
            own |= {"types"} if kinds in self.pairs else set()
            own = own if known is None else own & known
            if own and {id(item) for item in head} != {id(item) for item in tail}:
                name = f"{document.id}:{head[0].id or head[0].start}-{tail[0].id or tail[0].start}"
                pairs.append(ConceptPair(name, document, tuple(head), tuple(tail), (), own))
        return pairs

    def _gold(self, document: Document, known: frozenset[str]) -> dict[frozenset[str], set[str]]:
        """The labels of each two names, see `relations.names_of`."""
        annotated = {*self.further} & known | ({*self.labels} if "types" in known else set())
        gold: dict[frozenset[str], set[str]] = {}
        for relation in document.relations:
            if relation.type in annotated:
                labels = gold.setdefault(frozenset(ends_of(relation)), set())
                labels.add(relation.type)
                if relation.metadata.get("novel") == "Novel":
                    labels.add(NOVEL)
        return gold

    def _marked(self, document: Document) -> tuple[str, dict[tuple[int, int], int]]:
        """The text with every mention marked that a pair could be of, and where the marker of each begins."""
        signs = dict(zip(dict.fromkeys(self.types.values()), _SIGNS, strict=False))
        marks = {}
        for entity in document.entities:
            if kind := self.types.get(entity.type):
                marks[entity.start, entity.end] = (f"{signs[kind]} ", f" {signs[kind]}")
        text, offsets = with_markers(
            document.text, Span(0, len(document.text)), [(*spot, "", sign) for spot, sign in marks.items()]
        )
        return text, dict(zip(marks, offsets, strict=True))


def _positions(head: Sequence[int], tail: Sequence[int]) -> list[int]:
    """The row of a pair whose mentions' markers are at these positions; see the module's text."""
    one, two = min(((one, two) for one in head for two in tail), key=lambda pair: abs(pair[0] - pair[1]))
    low, high = sorted((one, two))
    between = np.rint(np.linspace(low + 1, max(low + 1, high - 1), BETWEEN)).astype(int).tolist()
    return [0, one, two, *_nearest_first(head, two), *_nearest_first(tail, one), *between]


def _nearest_first(positions: Sequence[int], other: int) -> list[int]:
    """`MENTIONS` of the positions, the nearest to `other` first, over and over where there are fewer."""
    ordered = sorted(positions, key=lambda at: abs(at - other))[:MENTIONS]
    return [ordered[number % len(ordered)] for number in range(MENTIONS)]

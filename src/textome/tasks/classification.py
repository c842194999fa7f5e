"""Classification of texts, pairs of texts, and sentences in their abstract: labels to targets, scores back to labels.

A long text is read in windows: its probabilities are the mean over them, weighted by the tokens that each answers for;
of several labels at once (multi-label) each has its highest probability, since a label holds if any part shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats.labelled import LabelledSentences, LabelledText
from textome.tasks.inputs import Floats, Unit, first_tokens, pieces_of, sentence_units, sigmoid, softmax, text_units
from textome.text.tokenization import Tokenizer, Tokens


@dataclass(frozen=True, slots=True)
class Classified:
    """The labels of a text with their probabilities: all of them in `scores`, and in `labels` those that hold."""

    labels: tuple[str, ...]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Classification:
    """One label of several, or with `multi_label` any number of them, for a text or a pair.

    threshold   of multi-label: the probability from which a label holds
    markers     words of a text (as "@GENE$") whose states are joined to that of [CLS]
    """

    labels: tuple[str, ...]
    tokenizer: Tokenizer
    window: int
    overlap: int
    multi_label: bool = False
    threshold: float = 0.5
    temperature: float = 1.0
    markers: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head."""
        return len(self.labels), 1 + len(self.markers)

    def units(self, items: Sequence[LabelledText]) -> list[Unit]:
        """The inputs of the model for each text. Raises InputError as `text_units` does."""
        first = self.tokenizer.encode([item.text for item in items])
        second = iter(self.tokenizer.encode([item.pair for item in items if item.pair is not None]))
        found = []
        for number, (item, tokens) in enumerate(zip(items, first, strict=True)):
            texts = [tokens] if item.pair is None else [tokens, next(second)]
            marked = [] if item.pair is not None else [self._marked(item.text, tokens, mark) for mark in self.markers]
            found += text_units(number, item.id, texts, self.tokenizer, self.window, self.overlap, marked)
        return found

    def _marked(self, text: str, tokens: Tokens, marker: str) -> list[int]:
        return first_tokens(tokens, (match.start() for match in re.finditer(re.escape(marker), text)))

    def targets(self, unit: Unit, item: LabelledText) -> NDArray[Any]:
        """(1, 1) the label's number, or (1, num_labels) of 0 and 1. Raises InputError for an unknown label."""
        numbers = [number_of(name, self.labels, item.id) for name in item.labels]
        if self.multi_label:
            return np.isin(np.arange(len(self.labels)), numbers).astype(np.float32)[None]
        if len(numbers) != 1:
            raise InputError(
                f"record {item.id}: expected one label, found {len(numbers)}; multi_label = true takes several"
            )
        return np.array([numbers], np.int64)

    def probabilities(self, count: int, units: Sequence[Unit], scores: Sequence[Floats]) -> NDArray[np.float64]:
        """(count, num_labels) for the items that the units are of, from each unit's scores (1, num_labels)."""
        squash = sigmoid if self.multi_label else softmax
        found = np.zeros((count, len(self.labels)))
        weights = np.zeros((count, 1))
        for unit, logits in zip(units, scores, strict=True):
            shares = squash(logits[0].astype(np.float64) / self.temperature)
            if self.multi_label:
                found[unit.item] = np.maximum(found[unit.item], shares)
            else:
                found[unit.item] += unit.weight * shares
                weights[unit.item] += unit.weight
        return found if self.multi_label else found / np.maximum(weights, 1)

    def predictions(
        self, items: Sequence[LabelledText], units: Sequence[Unit], scores: Sequence[Floats]
    ) -> list[Classified]:
        """The labels of each text."""
        return [self.decide(row) for row in self.probabilities(len(items), units, scores)]

    def decide(self, shares: NDArray[np.float64]) -> Classified:
        """The labels that hold at probabilities (num_labels,): the highest, or of several those over the threshold."""
        if self.multi_label:
            chosen = tuple(name for name, share in zip(self.labels, shares, strict=True) if share >= self.threshold)
        else:
            chosen = (self.labels[int(shares.argmax())],)
        return Classified(chosen, {name: float(share) for name, share in zip(self.labels, shares, strict=True)})


@dataclass(frozen=True)
class SentenceClassification:
    """One label for each sentence of an abstract, read together so that each sees its neighbours."""

    labels: tuple[str, ...]
    tokenizer: Tokenizer
    window: int
    temperature: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head."""
        return len(self.labels), 0

    def units(self, items: Sequence[LabelledSentences]) -> list[Unit]:
        """The inputs of the model for each abstract."""
        flat = iter(self.tokenizer.encode([sentence for item in items for sentence in item.sentences]))
        return [
            unit
            for number, item in enumerate(items)
            for unit in sentence_units(number, [next(flat) for _ in item.sentences], self.tokenizer, self.window)
        ]

    def targets(self, unit: Unit, item: LabelledSentences) -> NDArray[Any]:
        """(m, 1) label numbers of the pieces that a unit scores, -100 for sentences without a label."""
        pieces = pieces_of(self.tokenizer.encode(list(item.sentences)), self.window)
        return np.array(
            [
                [number_of(item.labels[number], self.labels, item.id) if item.labels[number] else -100]
                for number in pieces[unit.start : unit.start + len(unit.places)]
            ],
            np.int64,
        )

    def predictions(
        self, items: Sequence[LabelledSentences], units: Sequence[Unit], scores: Sequence[Floats]
    ) -> list[list[Classified]]:
        """The label of each sentence; of a sentence in several pieces, the mean of their probabilities."""
        rows: list[list[NDArray[np.float64]]] = [[] for _ in items]
        for unit, logits in zip(units, scores, strict=True):
            rows[unit.item] += list(softmax(logits.astype(np.float64) / self.temperature))
        results = []
        for item, found in zip(items, rows, strict=True):
            pieces = np.array(pieces_of(self.tokenizer.encode(list(item.sentences)), self.window))
            shares = np.array(found)
            results.append([self._decide(shares[pieces == number].mean(0)) for number in range(len(item.sentences))])
        return results

    def _decide(self, shares: NDArray[np.float64]) -> Classified:
        scores = {name: float(share) for name, share in zip(self.labels, shares, strict=True)}
        return Classified((self.labels[int(shares.argmax())],), scores)


def number_of(label: str, labels: Sequence[str], record: str) -> int:
    """A label's number. Raises InputError that names the record and the labels that are known."""
    if label not in labels:
        raise InputError(f"record {record}: the label {label!r} is none of the model's: {', '.join(labels)}")
    return labels.index(label)

"""The words that speak for and against a finding: each is hidden in turn, and what the finding loses is its weight.

The weight of a word is how far the log-odds of the finding fall when its sub-words become [MASK], which an encoder knows
from its pretraining: the weight of evidence of Robnik-Šikonja and Kononenko 2008 ("Explaining classifications for
individual instances"), in nats. A word with 0.7 doubles the odds, one below zero speaks against the finding. Each word is
hidden alone, so of two words that say the same neither may weigh much.

Nothing but the exported graph is needed. A text of m words costs m further passes over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from textome.documents import Span
from textome.runtime.model import Model
from textome.tasks.examples import Example, Floats
from textome.text.tokenization import Integers, Tokenizer, Tokens

# Probabilities nearer to 0 or 1 are as good as these: a float knows little of what lies between.
NEAREST = 1e-6


@dataclass(frozen=True, slots=True)
class Word:
    """A word at code points `[start, end)` of the text of number `part`, and its weight in nats."""

    part: int
    start: int
    end: int
    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A finding and the weight of each word that the model read for it.

    finding     an entity type, or a label
    confidence  its probability with all words there
    parts       the texts that were read: a sentence, a text or a pair, the sentences of an abstract; of a relation its text
                with both mentions marked
    words       in the order of their place
    span        of an entity, its place in the one part
    document    the id of the document, and `offset` where in it the part of an entity begins
    sentence    the number of the sentence that a label is of, where sentences are labelled
    """

    finding: str
    confidence: float
    parts: tuple[str, ...]
    words: tuple[Word, ...]
    span: Span | None = None
    document: str = ""
    offset: int = 0
    sentence: int | None = None

    @property
    def text(self) -> str:
        """The text of an entity; of other findings nothing."""
        return self.parts[0][self.span.start : self.span.end] if self.span else ""

    def heaviest(self, number: int) -> list[Word]:
        """So many words with the largest weights, whatever their sign, the heaviest first; none without any weight."""
        return [word for word in sorted(self.words, key=lambda word: -abs(word.weight))[:number] if word.weight]


def explain_record(
    model: Model, name: str, record: Any, label: str | None = None, id: str | None = None
) -> list[Explanation]:
    """An explanation for each finding of a task in a record, or for `label` instead.

    record   what the task reads: a sentence, a text or pair, the sentences of an abstract, a candidate for a relation, a
             question with its texts
    id       of its document; by default the record's own

    Raises KeyError for a label that the task does not have, InputError for a record that it cannot read.
    """
    occlusion = Occlusion(model, name, record)
    findings = occlusion.task.findings(record, occlusion.examples, occlusion.scores, label)
    if not findings:
        return []
    words = [
        (_word(number, text, span, 0.0), rows + first)
        for number, (text, tokens, first) in enumerate(occlusion.read)
        for span, rows in words_of(text, tokens)
    ]
    without = [
        occlusion.task.confidences(record, occlusion.examples, scores, findings)
        for scores in occlusion.without([rows for _, rows in words])
    ]
    parts = tuple(text for text, _, _ in occlusion.read)
    explanations = []
    for number, item in enumerate(findings):
        weights = [log_odds(item.confidence) - log_odds(confidences[number]) for confidences in without]
        weighed = (replace(word, weight=round(weight, 4)) for (word, _), weight in zip(words, weights, strict=True))
        where = (item.span, record.id if id is None else id, item.offset, item.sentence)
        explanations.append(Explanation(item.name, item.confidence, parts, tuple(weighed), *where))
    return explanations


class Occlusion:
    """A record of a task, scored as it is and with some of its sub-words hidden.

    read   the texts that the task read, with their sub-words and the number of the first of these among all of the record
    """

    def __init__(self, model: Model, name: str, record: Any) -> None:
        tracer = _Tracer(model.tokenizer)
        self.model, self.name, self.task = model, name, model.task(name)
        self.examples = model.examples(name, [record])
        self._traced = model.examples(name, [record], cast(Tokenizer, tracer))
        self.scores = model.scores(name, self.examples)
        self.read = tracer.read

    def without(self, sets: Iterable[Integers]) -> list[list[Floats]]:
        """The scores of the examples with the sub-words of each of these sets of numbers hidden; only examples with one of
        them are computed again."""
        mask = self.model.tokenizer.mask_id
        variants = [
            [_masked(example, marks, rows, mask) for example, marks in zip(self.examples, self._traced, strict=True)]
            for rows in sets
        ]
        changed = iter(self.model.scores(self.name, [item for some in variants for item in some if item is not None]))
        return [
            [old if item is None else next(changed) for item, old in zip(some, self.scores, strict=True)]
            for some in variants
        ]


def log_odds(probability: float) -> float:
    """The natural logarithm of a probability's odds."""
    within = min(max(probability, NEAREST), 1 - NEAREST)
    return float(np.log(within / (1 - within)))


def words_of(text: str, tokens: Tokens) -> list[tuple[Span, Integers]]:
    """The words between white space, without the punctuation around them, and the numbers of their sub-words.

    `(IL-2)` is one word, `IL-2`; a run of punctuation alone is none.
    """
    starts, ends = tokens.word_starts, np.append(tokens.first[1:], len(tokens.ids))
    words = []
    for match in re.finditer(r"\S+", text):
        numbers = range(*np.searchsorted(starts, match.span()).tolist())
        inside = [
            number for number in numbers if any(map(str.isalnum, text[starts[number] : tokens.word_ends[number]]))
        ]
        if inside:
            first, last = inside[0], inside[-1]
            span = Span(int(starts[first]), int(tokens.word_ends[last]))
            words.append((span, np.arange(tokens.first[first], ends[last], dtype=np.int32)))
    return words


def _masked(example: Example, marks: Example, rows: Integers, mask: int) -> Example | None:
    """An example without the sub-words of these numbers, which `marks` has in place of ids; None where it has none."""
    where = np.isin(marks.input_ids, rows)
    return (
        replace(example, input_ids=np.where(where, mask, example.input_ids).astype(np.int32)) if where.any() else None
    )


def _word(part: int, text: str, span: Span, weight: float) -> Word:
    return Word(part, span.start, span.end, text[span.start : span.end], round(weight, 4))


@dataclass
class _Tracer:
    """A tokenizer that gives sub-words their number instead of their id, and remembers what it read.

    Examples hold ids as they come, so those made with it tell where each of their sub-words stands in the texts.
    """

    tokenizer: Tokenizer
    read: list[tuple[str, Tokens, int]] = field(default_factory=list)
    start_id: int = -1
    end_id: int = -2
    _next: int = 0

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        traced = []
        for text, tokens in zip(texts, self.tokenizer.encode(texts), strict=True):
            self.read.append((text, tokens, self._next))
            traced.append(replace(tokens, ids=np.arange(self._next, self._next + len(tokens.ids), dtype=np.int32)))
            self._next += len(tokens.ids)
        return traced

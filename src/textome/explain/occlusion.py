"""The words that speak for and against a finding: each is hidden in turn, and what the finding loses is its weight.

The weight of a word is how far the log-odds of the finding fall when its sub-words become [MASK], which an encoder knows
from its pretraining: the weight of evidence of Robnik-Šikonja and Kononenko 2008 ("Explaining classifications for
individual instances"), in nats. A word with 0.7 doubles the odds, one below zero speaks against the finding. Each word is
hidden alone, so of two words that say the same neither may weigh much.

Nothing but the exported graph is needed. A text of m words costs m further passes over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from textome.documents import Document, Span
from textome.runtime.annotator import Annotator
from textome.runtime.annotator import Unit as Sentence
from textome.runtime.tasks import TaskRunner
from textome.tasks.examples import Example, Floats
from textome.tasks.iob import Found, span_probability
from textome.tasks.labels import Classified
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


def explain_entities(annotator: Annotator, document: Document) -> Iterator[Explanation]:
    """An explanation for each entity that `annotator` finds in a document, in order of their sentences."""
    for unit in annotator.units([document]):
        (labels,) = annotator.read([unit])
        if not (found := annotator.found(labels)):
            continue
        end = int(unit.tokens.word_ends[-1])
        text = document.text[unit.offset : unit.offset + end]
        groups = words_of(text, unit.tokens)
        without = list(labels_without(annotator, unit, [rows for _, rows in groups]))
        for item in found:
            entity = annotator.entity(document, unit, item)
            weights = [lost(item, some) for some in without]
            words = [_word(0, text, place, weight) for (place, _), weight in zip(groups, weights, strict=True)]
            span = Span(entity.start - unit.offset, entity.end - unit.offset)
            part = document.text[unit.offset : unit.offset + max(end, span.end)]
            yield Explanation(entity.type, item.confidence, (part,), tuple(words), span, document.id, unit.offset)


def explain_record(runner: TaskRunner, name: str, item: Any, label: str | None = None) -> list[Explanation]:
    """An explanation for each label that a task gives to a record, or of `label` instead.

    item    what the task reads: a text or pair, the sentences of an abstract, a candidate for a relation

    Raises KeyError for a label that the task does not have, InputError for a record that it cannot read.
    """
    task = runner.task(name)
    tracer = _Tracer(runner.tokenizer)
    units = runner.examples(name, [item])
    traced = runner.examples(name, [item], cast(Tokenizer, tracer))
    scores = runner.scores(name, units)
    (given,) = task.decode([item], units, scores)
    mask = runner.tokenizer.mask_id
    words, variants = [], []
    for number, (text, tokens, first) in enumerate(tracer.read):
        for place, rows in words_of(text, tokens):
            words.append(_word(number, text, place, 0.0))
            variants.append(
                [_masked(unit, marks, rows + first, mask) for unit, marks in zip(units, traced, strict=True)]
            )
    changed = iter(runner.scores(name, [unit for units in variants for unit in units if unit is not None]))
    without = []
    for some in variants:
        these = [old if unit is None else next(changed) for unit, old in zip(some, scores, strict=True)]
        without.append(task.decode([item], units, these)[0])
    found = []
    parts = tuple(text for text, _, _ in tracer.read)
    for sentence, finding in _findings(given, label):
        share = _share(given, sentence, finding)
        weights = [log_odds(share) - log_odds(_share(other, sentence, finding)) for other in without]
        weighed = [replace(word, weight=round(weight, 4)) for word, weight in zip(words, weights, strict=True)]
        found.append(Explanation(finding, share, parts, tuple(weighed), document=item.id, sentence=sentence))
    return found


def log_odds(probability: float) -> float:
    """The natural logarithm of a probability's odds."""
    within = min(max(probability, NEAREST), 1 - NEAREST)
    return float(np.log(within / (1 - within)))


def labels_without(annotator: Annotator, unit: Sentence, sets: Iterable[Integers]) -> Iterator[Floats]:
    """The labels of a sentence with each of these sets of its sub-words hidden."""
    variants = []
    for rows in sets:
        ids = unit.tokens.ids.copy()
        ids[rows] = annotator.tokenizer.mask_id
        variants.append(replace(unit, tokens=replace(unit.tokens, ids=ids)))
    return annotator.read(variants)


def lost(item: Found, labels: Floats) -> float:
    """How far the log-odds of an entity fall where its sentence has other labels."""
    return log_odds(item.confidence) - log_odds(span_probability(labels, item.first, item.last, item.head))


def words_of(text: str, tokens: Tokens) -> list[tuple[Span, Integers]]:
    """The words between white space, without the punctuation around them, and the numbers of their sub-words.

    `(IL-2)` is one word, `IL-2`; a run of punctuation alone is none.
    """
    starts, ends = tokens.word_starts, np.append(tokens.first[1:], len(tokens.ids))
    found = []
    for match in re.finditer(r"\S+", text):
        numbers = range(*np.searchsorted(starts, match.span()).tolist())
        inside = [
            number for number in numbers if any(map(str.isalnum, text[starts[number] : tokens.word_ends[number]]))
        ]
        if inside:
            first, last = inside[0], inside[-1]
            place = Span(int(starts[first]), int(tokens.word_ends[last]))
            found.append((place, np.arange(tokens.first[first], ends[last], dtype=np.int32)))
    return found


def _masked(unit: Example, marks: Example, rows: Integers, mask: int) -> Example | None:
    """A unit without the sub-words of these numbers, which `marks` has in the place of ids; None where it has none."""
    where = np.isin(marks.input_ids, rows)
    return replace(unit, input_ids=np.where(where, mask, unit.input_ids).astype(np.int32)) if where.any() else None


def _word(part: int, text: str, place: Span, weight: float) -> Word:
    return Word(part, place.start, place.end, text[place.start : place.end], round(weight, 4))


def _findings(given: Any, label: str | None) -> list[tuple[int | None, str]]:
    """The labels to explain, each with the number of its sentence where there are several."""
    if isinstance(given, Classified):
        best = max(given.scores, key=lambda name: given.scores[name])
        return [(None, name) for name in ([label] if label else given.labels or [best])]
    return [(number, label or one.labels[0]) for number, one in enumerate(given)]


def _share(given: Any, sentence: int | None, label: str) -> float:
    return float((given if sentence is None else given[sentence]).scores[label])


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
        found = []
        for text, tokens in zip(texts, self.tokenizer.encode(texts), strict=True):
            self.read.append((text, tokens, self._next))
            found.append(replace(tokens, ids=np.arange(self._next, self._next + len(tokens.ids), dtype=np.int32)))
            self._next += len(tokens.ids)
        return found

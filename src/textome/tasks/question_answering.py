"""Extractive question answering: spans of the contexts that answer a question (Devlin et al. 2019, sections 4.2 and 4.3).

Every context is read beside the question, in windows where it is long. A window's spans are scored against its own [CLS],
which stands for "no answer here", so that the spans of all windows and contexts of a question can be compared: their
probabilities are the softmax over all of them and one "no answer". Spans of equal text (without case) add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats.questions import Question
from textome.tasks.inputs import Floats, Unit, joined
from textome.tasks.ner import windows
from textome.text.tokenization import Tokenizer, Tokens, end_of_character

# Spans that are kept of each window before they are merged.
_KEPT = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: code points `[start, end)` of context number `context`, where its most probable mention stands."""

    text: str
    probability: float
    context: int
    start: int
    end: int


@dataclass(frozen=True)
class Answers:
    """The task: `longest` is the most words that an answer may have.

    threshold   of list questions: the share of the best answer's probability from which an answer counts
    """

    tokenizer: Tokenizer
    window: int
    overlap: int
    longest: int = 12
    threshold: float = 0.5
    temperature: float = 1.0
    labels: tuple[str, ...] = ("start", "end")

    @property
    def size(self) -> tuple[int, int]:
        """(num_labels, states) of the head: scores of start and end for each token."""
        return 2, 0

    def units(self, items: Sequence[Question]) -> list[Unit]:
        """The inputs of the model: scored at [CLS] and at the first piece of each word of the window.

        Raises InputError where a question fills more than half of a window.
        """
        found = []
        for number, item in enumerate(items):
            question, *contexts = self.tokenizer.encode([item.question, *item.contexts])
            if not len(question.ids) or len(question.ids) > self.window // 2:
                raise InputError(
                    f"question {item.id}: the question has {len(question.ids)} tokens; it needs one at least, and must fit "
                    f"half of the window of {self.window} tokens"
                )
            room = self.window - 3 - len(question.ids)
            for context, tokens in enumerate(contexts):
                if len(tokens.ids):
                    found += self._windows(number, context, question, tokens, room)
        return found

    def _windows(self, number: int, context: int, question: Tokens, tokens: Tokens, room: int) -> list[Unit]:
        found = []
        for window in windows(tokens, room, min(self.overlap, room // 2)):
            ids, types = joined([question.ids, tokens.ids[window.start : window.end]], self.tokenizer)
            words = _words(tokens, window.start, window.end)
            places = tokens.first[words] - window.start + len(question.ids) + 2
            first = int(words[0]) if len(words) else 0
            found.append(Unit(number, ids, types, np.concatenate(([0], places)).astype(np.int32), 1, first, context))
        return found

    def targets(self, unit: Unit, item: Question) -> NDArray[Any]:
        """(m, 2) of 0 and 1: where an answer starts and ends; at [CLS] where the window holds none whole."""
        found = np.zeros((len(unit.places), 2), np.float32)
        (tokens,) = self.tokenizer.encode([item.contexts[unit.context]])
        for context, start, end in item.places:
            if context == unit.context:
                first = int(np.searchsorted(tokens.word_ends, start, side="right")) - unit.start
                last = int(np.searchsorted(tokens.word_starts, end, side="left")) - 1 - unit.start
                if 0 <= first <= last < len(found) - 1:
                    found[first + 1, 0] = found[last + 1, 1] = 1
        if not found.any():
            found[0] = 1
        return found

    def predictions(
        self, items: Sequence[Question], units: Sequence[Unit], scores: Sequence[Floats]
    ) -> list[list[Answer]]:
        """The answers of each question, the most probable first, each text once; empty where there is nothing to read."""
        spans: list[list[tuple[float, int, int, int]]] = [[] for _ in items]
        for unit, logits in zip(units, scores, strict=True):
            spans[unit.item] += [
                (score, unit.context, unit.start + first, unit.start + last)
                for score, first, last in self._best_spans(logits.astype(np.float64) / self.temperature)
            ]
        return [self._merged(item, found) for item, found in zip(items, spans, strict=True)]

    def _best_spans(self, logits: NDArray[np.float64]) -> list[tuple[float, int, int]]:
        """The best spans of a window as (score over that of no answer, first word, last word)."""
        start, end = logits[1:, 0], logits[1:, 1]
        if not len(start):
            return []
        total = start[:, None] + end[None, :] - logits[0].sum()
        length = np.arange(len(start))[None, :] - np.arange(len(start))[:, None]
        total[(length < 0) | (length >= self.longest)] = -np.inf
        best = np.argsort(-total, axis=None)[:_KEPT]
        rows, columns = np.unravel_index(best, total.shape)
        return [
            (float(total[row, column]), int(row), int(column))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if np.isfinite(total[row, column])
        ]

    def _merged(self, item: Question, spans: Sequence[tuple[float, int, int, int]]) -> list[Answer]:
        if not spans:
            return []
        encoded = self.tokenizer.encode(list(item.contexts))
        scores = np.array([0.0, *(score for score, *_ in spans)])  # the first is "no answer"
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        merged: dict[str, Answer] = {}
        for share, (_, context, first, last) in sorted(zip(shares[1:].tolist(), spans, strict=True), reverse=True):
            text = item.contexts[context]
            start = int(encoded[context].word_starts[first])
            end = end_of_character(text, int(encoded[context].word_ends[last]))
            key = " ".join(text[start:end].casefold().split())
            if key in merged:
                old = merged[key]
                merged[key] = Answer(old.text, old.probability + share, old.context, old.start, old.end)
            else:
                merged[key] = Answer(text[start:end], share, context, start, end)
        return sorted(merged.values(), key=lambda answer: -answer.probability)


def listed(answers: Sequence[Answer], threshold: float) -> list[Answer]:
    """The answers to a list question: those with `threshold` times the best one's probability, no one inside another."""
    chosen: list[Answer] = []
    for answer in answers:
        if answer.probability >= threshold * answers[0].probability and not any(
            answer.context == other.context and answer.start < other.end and other.start < answer.end
            for other in chosen
        ):
            chosen.append(answer)
    return chosen


def _words(tokens: Tokens, start: int, end: int) -> NDArray[np.int64]:
    return np.flatnonzero((tokens.first >= start) & (tokens.first < end))

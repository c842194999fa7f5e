"""Extractive question answering: spans of the contexts that answer a question (Devlin et al. 2019, sections 4.2 and 4.3).

Every context is read beside the question, in windows where it is long. A window's spans are scored against its own [CLS],
which stands for "no answer here", so that the spans of all windows and contexts of a question can be compared: their
probabilities are the softmax over all of them and one "no answer". Spans of equal text (without case) add up.

Of long texts only the windows that match the question best may be read (`passages`), and how well a span's sentence
matches can count beside what the model says (`retrieval_weight`); both are measured by BM25.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from textome.datasets.questions import LAYOUTS, Answer, Question, listed, read_questions
from textome.documents import Document, Label, Span
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.metrics.answers import METRICS, score_answers, score_each
from textome.tasks.examples import Example, Floats, joined
from textome.tasks.labels import THRESHOLDS
from textome.tasks.task import Finding, HeadShape, Task
from textome.tasks.windows import windows
from textome.text.bm25 import bm25
from textome.text.sentences import split_sentences
from textome.text.tokenization import Tokenizer, Tokens, end_of_character

# Spans that are kept of each window before they are merged.
_KEPT = 20
# Answers of a document that become its labels.
MAX_ANSWERS = 5
# The most words of an answer that no training data gave.
_USUAL_WORDS = 12
_RETRIEVAL_WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, slots=True)
class AskedQuestion(Question):
    """A question whose contexts are passages of a document, with the offset of each."""

    offsets: tuple[int, ...] = ()


class QuestionAnswering(Task[Question, list[Answer]]):
    """Spans of texts that answer questions.

    max_answer_words   the most words that an answer may have; by default 12, or as many as 98 of 100 training answers
    passages           the most windows of a question's texts that are read, those that match it best; 0: all. In training
                       windows with an answer are read besides
    retrieval_weight   what the match of the best sentence adds to a span's score, and that of others in proportion; by
                       default what gives the best score on the validation data, 0 without any
    threshold          of list questions: the share of the best answer's probability from which an answer counts
    temperature        what scores are divided by before probabilities are taken
    """

    layouts: ClassVar[tuple[str, ...]] = LAYOUTS
    has_calibration: ClassVar[bool] = True
    evaluated_by: ClassVar[str] = "answers"
    losses: ClassVar[tuple[str, ...]] = ("spans",)
    old_keys: ClassVar[Mapping[str, str]] = {"longest": "max_answer_words"}
    output_kind: ClassVar[str] = "labels"

    kind: Literal["question_answering"] = "question_answering"
    metric: Literal["exact_match", "f1", "strict", "lenient", "mrr", "list_f1"] = "f1"
    max_answer_words: int | None = Field(None, ge=1)
    passages: int = Field(0, ge=0)
    retrieval_weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    threshold: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)

    @classmethod
    def from_version_1(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Without the labels, which are always start and end."""
        return {key: value for key, value in entry.items() if key not in ("labels", "negative")}

    @property
    def head_shape(self) -> HeadShape:
        """Scores of start and end for each token."""
        return HeadShape(2, 0)

    @property
    def loss(self) -> str:
        return "spans"

    @property
    def label_names(self) -> tuple[str, ...]:
        return ("start", "end")

    @property
    def reads_pairs(self) -> bool:
        return True

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[Question]:
        return read_questions(path, layout or self.layouts[0], quarantine)

    def records(self, document: Document, question: str | None = None) -> list[Question]:
        passages = [passage for passage in document.passages if passage.text.strip()]
        if not (question or "").strip():
            raise InputError("the question is empty")
        if not passages:
            raise InputError(f"document {document.id}: there is no text to look for an answer in")
        texts, offsets = (tuple(getattr(item, name) for item in passages) for name in ("text", "offset"))
        return [AskedQuestion(document.id, str(question), texts, offsets=offsets)]

    def examples(self, records: Sequence[Question], tokenizer: Tokenizer, window: int, overlap: int) -> list[Example]:
        """The inputs of the model: scored at [CLS] and at the first piece of each word of the window.

        Raises InputError where a question fills more than half of a window.
        """
        examples = []
        for number, record in enumerate(records):
            question, *contexts = tokenizer.encode([record.question, *record.contexts])
            if not len(question.ids) or len(question.ids) > window // 2:
                raise InputError(
                    f"question {record.id}: the question has {len(question.ids)} tokens; it needs one at least, and must "
                    f"fit half of the window of {window} tokens"
                )
            room = window - 3 - len(question.ids)
            own = [
                example
                for context, tokens in enumerate(contexts)
                if len(tokens.ids)
                for example in _windows(number, context, question, tokens, tokenizer, room, overlap)
            ]
            examples += self._nearest(record, own) if 0 < self.passages < len(own) else own
        return examples

    def targets(self, example: Example, record: Question) -> NDArray[Any]:
        """(m, 2) of 0 and 1: where an answer starts and ends; at [CLS] where the window holds none whole."""
        marks = np.zeros((len(example.positions), 2), np.float32)
        assert example.tokens is not None
        for context, start, end in record.positions:
            if context == example.context:
                first = int(np.searchsorted(example.tokens.word_ends, start, side="right")) - example.start
                last = int(np.searchsorted(example.tokens.word_starts, end, side="left")) - 1 - example.start
                if 0 <= first <= last < len(marks) - 1:
                    marks[first + 1, 0] = marks[last + 1, 1] = 1
        if not marks.any():
            marks[0] = 1
        return marks

    def decode(
        self, records: Sequence[Question], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[list[Answer]]:
        """The answers of each question, the most probable first, each text once; empty where there is nothing to read."""
        spans: list[list[tuple[float, int, int, int]]] = [[] for _ in records]
        tokens: list[dict[int, Tokens]] = [{} for _ in records]
        matches = [_Matches.of(record) if self.retrieval_weight else None for record in records]
        for example, logits in zip(examples, scores, strict=True):
            assert example.tokens is not None
            tokens[example.record][example.context] = example.tokens
            values = logits.astype(np.float64) / self.temperature
            if (match := matches[example.record]) is not None:
                values[1:, 0] += float(self.retrieval_weight or 0) * match.at_words(example)
            spans[example.record] += [
                (score, example.context, example.start + first, example.start + last)
                for score, first, last in self._best_spans(values)
            ]
        return [_merged(*item) for item in zip(records, tokens, spans, strict=True)]

    def annotate(
        self, name: str, document: Document, records: Sequence[Question], predictions: Sequence[list[Answer]]
    ) -> Document:
        """The document with at most MAX_ANSWERS answers that stand in it, the most probable first."""
        labels = [
            Label(answer.text, name, round(answer.probability, 6), Span(offset + answer.start, offset + answer.end))
            for record, answers in zip(records, predictions, strict=True)
            if isinstance(record, AskedQuestion)
            for answer in answers[:MAX_ANSWERS]
            if not self._choice.leaves_out(answer.probability)
            for offset in [record.offsets[answer.context]]
        ]
        return document.with_labels([*document.labels, *labels])

    def findings(
        self, record: Question, examples: Sequence[Example], scores: Sequence[Floats], label: str | None = None
    ) -> list[Finding]:
        """The answers that count, see `chosen`."""
        (answers,) = self.decode([record], examples, scores)
        return [Finding(answer.text, answer.probability) for answer in self.chosen(record, answers)]

    def confidences(
        self, record: Question, examples: Sequence[Example], scores: Sequence[Floats], findings: Sequence[Finding]
    ) -> list[float]:
        """The probabilities of the same texts; 0 where a text is not among the answers any more."""
        (answers,) = self.decode([record], examples, scores)
        probability_of = {_folded(answer.text): answer.probability for answer in answers}
        return [probability_of.get(_folded(item.name), 0.0) for item in findings]

    def score(self, records: Sequence[Question], predictions: Sequence[list[Answer]]) -> dict[str, float]:
        scores = score_answers(records, predictions, self.threshold).as_dict()
        return {name: scores[name] for name in METRICS}

    def score_each(self, records: Sequence[Question], predictions: Sequence[list[Answer]]) -> NDArray[np.float64]:
        return score_each(records, predictions, self.threshold)

    def texts_of(self, record: Question) -> tuple[str, ...]:
        return (record.question,)

    def check_labelled(self, name: str, records: Sequence[Question]) -> None:
        if not any(record.positions for record in records):
            raise InputError(f"task {name!r}: no training question has an answer in its texts")

    def prepared(self, records: list[Question], seed: int) -> list[Question]:
        return [replace(record, teaches=True) for record in records]

    def fitted(self, name: str, records: Sequence[Question]) -> Self:
        """With room for as many words as 98 of 100 training answers have."""
        words = [
            len(record.contexts[context][start:end].split())
            for record in records
            for context, start, end in record.positions
        ]
        if self.max_answer_words is not None or not words:
            return self
        return self.model_copy(update={"max_answer_words": max(_USUAL_WORDS, math.ceil(np.percentile(words, 98)))})

    def calibrated(self, records: Sequence[Question], examples: Sequence[Example], scores: Sequence[Floats]) -> Self:
        """With the weight of retrieval of the best main metric, and the threshold of list questions of the best F1."""
        weights = _RETRIEVAL_WEIGHTS if self.retrieval_weight is None else (self.retrieval_weight,)
        weighed = [self.model_copy(update={"retrieval_weight": weight}) for weight in weights]
        decoded = [task.decode(records, examples, scores) for task in weighed]
        best = max(range(len(weights)), key=lambda n: weighed[n].score(records, decoded[n])[self.metric])
        tried = [(score_answers(records, decoded[best], value).list_f1, float(value)) for value in THRESHOLDS]
        return weighed[best].model_copy(update={"threshold": round(max(tried)[1], 2)})

    def chosen(self, question: Question, answers: Sequence[Answer]) -> list[Answer]:
        """The answers that count: of a list question those over the threshold, otherwise the best one."""
        return listed(answers, self.threshold) if question.kind == "list" else list(answers[:1])

    def _nearest(self, record: Question, examples: Sequence[Example]) -> list[Example]:
        """The `passages` windows that match the question best, and of a question that teaches those with an answer."""
        matches = bm25(record.question, [_text_of(record, example) for example in examples])
        chosen = {*np.argsort(-matches, kind="stable")[: self.passages].tolist()}
        return [
            example
            for number, example in enumerate(examples)
            if number in chosen or (record.teaches and not self.targets(example, record)[0].any())
        ]

    def _best_spans(self, logits: NDArray[np.float64]) -> list[tuple[float, int, int]]:
        """The best spans of a window as (score over that of no answer, first word, last word)."""
        start, end = logits[1:, 0], logits[1:, 1]
        if not len(start):
            return []
        total = start[:, None] + end[None, :] - logits[0].sum()
        length = np.arange(len(start))[None, :] - np.arange(len(start))[:, None]
        total[(length < 0) | (length >= (self.max_answer_words or _USUAL_WORDS))] = -np.inf
        best = np.argsort(-total, axis=None)[:_KEPT]
        rows, columns = np.unravel_index(best, total.shape)
        return [
            (float(total[row, column]), int(row), int(column))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if np.isfinite(total[row, column])
        ]


@dataclass(frozen=True, slots=True)
class _Matches:
    """How well the sentences of each context match the question, the best one of all 1.

    starts   by context: where its sentences start
    values   by context: their matches
    """

    starts: list[list[int]]
    values: list[NDArray[np.float64]]

    @classmethod
    def of(cls, record: Question) -> Self:
        spans = [split_sentences(context) for context in record.contexts]
        texts = [context[it.start : it.end] for context, own in zip(record.contexts, spans, strict=True) for it in own]
        values = bm25(record.question, texts)
        if len(values) and values.max() > 0:
            values /= values.max()
        ends = np.cumsum([len(own) for own in spans])
        return cls([[span.start for span in own] for own in spans], np.split(values, ends[:-1]))

    def at_words(self, example: Example) -> NDArray[np.float64]:
        """(words of the window,): the match of the sentence in which each word stands."""
        assert example.tokens is not None
        starts = example.tokens.word_starts[example.start : example.start + len(example.positions) - 1]
        sentences = np.searchsorted(self.starts[example.context], starts, side="right") - 1
        return self.values[example.context][np.maximum(sentences, 0)]


def _text_of(record: Question, example: Example) -> str:
    """The words of a window."""
    assert example.tokens is not None
    if (count := len(example.positions) - 1) < 1:
        return ""
    start, end = example.tokens.word_starts[example.start], example.tokens.word_ends[example.start + count - 1]
    return record.contexts[example.context][int(start) : int(end)]


def _windows(
    record: int, context: int, question: Tokens, tokens: Tokens, tokenizer: Tokenizer, room: int, overlap: int
) -> list[Example]:
    examples = []
    for window in windows(tokens, room, min(overlap, room // 2)):
        ids, types = joined([question.ids, tokens.ids[window.start : window.end]], tokenizer)
        words = _words(tokens, window.start, window.end)
        first = int(words[0]) if len(words) else 0
        positions = np.concatenate(([0], tokens.first[words] - window.start + len(question.ids) + 2)).astype(np.int32)
        examples.append(Example(record, ids, types, positions, start=first, context=context, tokens=tokens))
    return examples


def _merged(
    record: Question, encoded: Mapping[int, Tokens], spans: Sequence[tuple[float, int, int, int]]
) -> list[Answer]:
    if not spans:
        return []
    scores = np.array([0.0, *(score for score, *_ in spans)])  # the first is "no answer"
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    merged: dict[str, Answer] = {}
    for share, (_, context, first, last) in sorted(zip(shares[1:].tolist(), spans, strict=True), reverse=True):
        text = record.contexts[context]
        start = int(encoded[context].word_starts[first])
        end = end_of_character(text, int(encoded[context].word_ends[last]))
        key = _folded(text[start:end])
        if key in merged:
            old = merged[key]
            merged[key] = Answer(old.text, old.probability + share, old.context, old.start, old.end)
        else:
            merged[key] = Answer(text[start:end], share, context, start, end)
    return sorted(merged.values(), key=lambda answer: -answer.probability)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _words(tokens: Tokens, start: int, end: int) -> NDArray[np.int64]:
    return np.flatnonzero((tokens.first >= start) & (tokens.first < end))

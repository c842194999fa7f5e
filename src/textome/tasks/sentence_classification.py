"""Classification of the sentences of an abstract, read together so that each sees its neighbours (Cohan et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from textome.datasets.labelled import LabelledSentences, read_labelled
from textome.documents import Document, Span
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.tasks.examples import Example, Floats, sentence_examples, softmax
from textome.tasks.labels import Classified, Decision, LabelTask
from textome.tasks.task import HeadShape, number_of
from textome.text.sentences import sentence_spans
from textome.text.tokenization import Tokenizer


class SentenceClassification(LabelTask[LabelledSentences, list[Classified]]):
    """One label for each sentence of an abstract.

    negative   labels that mean "nothing" and do not count in F1
    """

    layouts: ClassVar[tuple[str, ...]] = ("sentences",)
    by_sentence: ClassVar[bool] = True

    kind: Literal["sentence_classification"] = "sentence_classification"
    metric: Literal["accuracy", "micro_f1", "macro_f1", "weighted_f1"] = "weighted_f1"
    negative: tuple[str, ...] = ()
    multi_label: Literal[False] = False

    @property
    def head_shape(self) -> HeadShape:
        return HeadShape(len(self.labels), 0)

    @property
    def negative_labels(self) -> Sequence[str]:
        return self.negative

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[LabelledSentences]:
        for item in read_labelled(path, layout or self.layouts[0], quarantine):
            if not isinstance(item, LabelledSentences):
                raise InputError(f"{path}: the layout {layout!r} has texts, and not the sentences of abstracts")
            yield item

    def records(self, document: Document, question: str | None = None) -> list[LabelledSentences]:
        spans = tuple((start, end) for start, end in sentence_spans(document))
        if not spans:
            raise InputError(f"document {document.id}: there is no sentence in it")
        texts = tuple(document.text[start:end] for start, end in spans)
        return [LabelledSentences(document.id, texts, ("",) * len(texts), spans)]

    def examples(
        self, records: Sequence[LabelledSentences], tokenizer: Tokenizer, window: int, overlap: int
    ) -> list[Example]:
        """The inputs of each abstract; windows have as many neighbouring sentences as fit, whatever the overlap."""
        tokens = iter(tokenizer.encode([sentence for record in records for sentence in record.sentences]))
        return [
            example
            for number, record in enumerate(records)
            for example in sentence_examples(number, [next(tokens) for _ in record.sentences], tokenizer, window)
        ]

    def targets(self, example: Example, record: LabelledSentences) -> NDArray[Any]:
        """(m, 1) label numbers of the pieces that an example scores, -100 for sentences without a label."""
        labels = (record.labels[number] for number in example.sentences)
        return np.array([[number_of(label, self.labels, record.id) if label else -100] for label in labels], np.int64)

    def soft_rows(self, example: Example, soft: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        return soft[example.record][list(example.sentences)]

    def decode(
        self, records: Sequence[LabelledSentences], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[list[Classified]]:
        """The label of each sentence; of a sentence in several pieces, by the mean of their probabilities."""
        rows: list[list[list[NDArray[np.float64]]]] = [[[] for _ in record.sentences] for record in records]
        for example, logits in zip(examples, scores, strict=True):
            shares = softmax(logits.astype(np.float64) / self.temperature)
            for number, row in zip(example.sentences, shares, strict=True):
                rows[example.record][number].append(row)
        return [[self.decide(np.array(pieces).mean(0)) for pieces in sentences] for sentences in rows]

    def annotate(
        self,
        name: str,
        document: Document,
        records: Sequence[LabelledSentences],
        predictions: Sequence[list[Classified]],
    ) -> Document:
        """The document with a label for each of its sentences."""
        labels = [
            label
            for record, sentences in zip(records, predictions, strict=True)
            for span, prediction in zip(record.spans, sentences, strict=True)
            for label in self.annotations(prediction, name, Span(*span))
        ]
        return document.with_labels([*document.labels, *labels])

    def decisions(
        self, records: Sequence[LabelledSentences], predictions: Sequence[list[Classified]]
    ) -> Iterator[Decision]:
        for record, sentences in zip(records, predictions, strict=True):
            rows = zip(record.sentences, record.labels, sentences, strict=True)
            for number, (text, label, prediction) in enumerate(rows, 1):
                if label:
                    yield Decision(f"{record.id}, sentence {number}", text, (label,), prediction)

    def labels_of(self, record: LabelledSentences) -> tuple[str, ...]:
        return record.labels

    def texts_of(self, record: LabelledSentences) -> tuple[str, ...]:
        return record.sentences

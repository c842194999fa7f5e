"""Classification of texts and pairs of texts.

A long text is read in windows: its probabilities are the mean over them, weighted by the tokens that each answers for;
of several labels at once (multi-label) each has its highest probability, since a label holds if any window shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from textome.datasets.labelled import LabelledText, guess_layout, read_labelled
from textome.documents import Document
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.tasks.examples import Example, Floats, first_tokens, sigmoid, softmax, text_examples
from textome.tasks.labels import Classified, Decision, LabelTask
from textome.tasks.task import HeadShape
from textome.text.tokenization import Tokenizer, Tokens


class Classification(LabelTask[LabelledText, Classified]):
    """One label, or with `multi_label` any number of them, for a text or a pair of texts; see datasets.labelled.

    negative     labels that mean "nothing" and do not count in F1
    pairs        each record is a pair of texts; read from the training data
    markers      words that mark what the label is about, as "@GENE$": their hidden states are joined to that of [CLS]
    contrastive  share of a loss that pulls texts of one class together before the last layer and pushes other texts of the
                 batch away (Gunel et al. 2021, equations 1 to 3); helps with few examples
    """

    layouts: ClassVar[tuple[str, ...]] = (
        *("tsv", "jsonl", "folders", "hallmarks", "pubmedqa", "pubmedqa-long", "entailment", "yesno"),
    )

    kind: Literal["classification"] = "classification"
    metric: Literal["accuracy", "micro_f1", "macro_f1", "weighted_f1", "example_f1"] = "micro_f1"
    negative: tuple[str, ...] = ()
    pairs: bool = False
    markers: tuple[str, ...] = ()
    contrastive: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _one_class_each(self) -> Self:
        if self.contrastive and self.multi_label:
            raise ValueError("contrastive needs texts of one class each, so it does not go with multi_label")
        return self

    @property
    def head_shape(self) -> HeadShape:
        return HeadShape(len(self.labels), 1 + len(self.markers))

    @property
    def negative_labels(self) -> Sequence[str]:
        return self.negative

    @property
    def reads_pairs(self) -> bool:
        return self.pairs

    @property
    def shares_pass(self) -> bool:
        return not self.pairs and not self.markers

    def read(
        self,
        path: str,
        layout: str | None,
        quarantine: Quarantine,
        *,
        text_column: str | None = None,
        label_column: str | None = None,
    ) -> Iterator[LabelledText]:
        layout = layout or guess_layout(path)
        for item in read_labelled(path, layout, quarantine, text_column=text_column, label_column=label_column):
            if not isinstance(item, LabelledText):
                raise InputError(f"{path}: the layout {layout!r} has sentences of abstracts, and not texts or pairs")
            yield item

    def records(self, document: Document, question: str | None = None) -> list[LabelledText]:
        if question is None:
            return [LabelledText(document.id, document.text)]
        return [LabelledText(document.id, question, document.text)]

    def examples(
        self, records: Sequence[LabelledText], tokenizer: Tokenizer, window: int, overlap: int
    ) -> list[Example]:
        first = tokenizer.encode([record.text for record in records])
        second = iter(tokenizer.encode([record.pair for record in records if record.pair is not None]))
        examples = []
        for number, (record, tokens) in enumerate(zip(records, first, strict=True)):
            texts = [tokens] if record.pair is None else [tokens, next(second)]
            marked = [] if record.pair is not None else [_marked(record.text, tokens, mark) for mark in self.markers]
            examples += text_examples(number, record.id, texts, tokenizer, window, overlap, marked)
        return examples

    def targets(self, example: Example, record: LabelledText) -> NDArray[Any]:
        """(1, 1) the label's number, or (1, num_labels) of 0 and 1."""
        return self.label_row(record.labels, record.id)

    def probabilities(self, count: int, examples: Sequence[Example], scores: Sequence[Floats]) -> NDArray[np.float64]:
        """(count, num_labels) for the records of examples, from each example's scores (1, num_labels)."""
        squash = sigmoid if self.multi_label else softmax
        totals = np.zeros((count, len(self.labels)))
        weights = np.zeros((count, 1))
        for example, logits in zip(examples, scores, strict=True):
            shares = squash(logits[0].astype(np.float64) / self.temperature)
            if self.multi_label:
                totals[example.record] = np.maximum(totals[example.record], shares)
            else:
                totals[example.record] += example.weight * shares
                weights[example.record] += example.weight
        return totals if self.multi_label else totals / np.maximum(weights, 1)

    def decode(
        self, records: Sequence[LabelledText], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[Classified]:
        return [self.decide(row) for row in self.probabilities(len(records), examples, scores)]

    def annotate(
        self, name: str, document: Document, records: Sequence[LabelledText], predictions: Sequence[Classified]
    ) -> Document:
        """The document with the labels that hold of its text."""
        labels = [label for prediction in predictions for label in self.annotations(prediction, name)]
        return document.with_labels([*document.labels, *labels])

    def decisions(self, records: Sequence[LabelledText], predictions: Sequence[Classified]) -> Iterator[Decision]:
        for record, prediction in zip(records, predictions, strict=True):
            text = record.text if record.pair is None else f"{record.text}\n{record.pair}"
            yield Decision(record.id, text, record.labels, prediction)

    def labels_of(self, record: LabelledText) -> tuple[str, ...]:
        return record.labels

    def texts_of(self, record: LabelledText) -> tuple[str, ...]:
        return (record.text,) if record.pair is None else (f"{record.text} {record.pair}",)

    def fitted(self, name: str, records: Sequence[LabelledText]) -> Self:
        """With the labels of the training data, and whether its records are pairs."""
        pairs = bool(records) and records[0].pair is not None
        return super().fitted(name, records).model_copy(update={"pairs": pairs})


def _marked(text: str, tokens: Tokens, marker: str) -> list[int]:
    return first_tokens(tokens, (match.start() for match in re.finditer(re.escape(marker), text)))

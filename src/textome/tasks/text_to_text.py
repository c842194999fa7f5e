"""Tasks as text: a source with a prefix that names the task, and a target that is written (Raffel et al. 2020, 2.4).

A class, an answer, a title and a summary are all targets, so one encoder-decoder learns any of them, or several at once:

    source   title: Sixty patients took part ...       conclude: ...       question: Which gene ...? context: ...
    target   Effect of exercise on sleep               Exercise helps.     BRCA1
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from textome.datasets.labelled import LAYOUTS, LabelledSentences, LabelledText, guess_layout, read_labelled
from textome.datasets.questions import LAYOUTS as QUESTIONS
from textome.datasets.questions import read_questions
from textome.documents import Document, Label
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.metrics.answers import normalised, overlap
from textome.metrics.labels import all_scores, score_labels
from textome.metrics.summaries import ROUGE, rouge
from textome.tasks.examples import Example
from textome.tasks.task import Task
from textome.tasks.windows import windows
from textome.text.tokenization import Tokenizer

# A prediction that is none of a task's labels counts as this one.
_OTHER = ""


class Written(NamedTuple):
    """A text that a model wrote, and its probability to the power of one over its number of tokens."""

    text: str
    confidence: float


class TextToText(Task[LabelledText, Written]):
    """Writes a target for a text, or for a pair of texts, as a question and its context.

    Records are those of every layout of labelled texts (a label is the target; of several labels each is a right one), and
    of questions, whose contexts are the second text. A sentence of an abstract is a record of its own.

    prefix          what stands in front of a source, by which a model of several tasks knows this one
    pair_prefix     what stands between the two texts of a pair
    pairs           whether records have two texts; learnt from the training records
    labels          the targets of a task whose metric is accuracy or macro_f1; learnt from the training records
    max_target      tokens of a target at most; longer training targets are quarantined
    beam, length_penalty, no_repeat   how targets are written, see GenerationSettings

    Of a source that is longer than the window, each window is written for: of labels and answers the most confident one
    is taken, and others stand one after another. Training reads the first window.
    """

    layouts: ClassVar[tuple[str, ...]] = (*LAYOUTS, *QUESTIONS)
    trained_by: ClassVar[str] = "text_to_text"
    run_by: ClassVar[str] = "text_to_text"
    losses: ClassVar[tuple[str, ...]] = ("next_token",)
    output_kind: ClassVar[str] = "labels"

    kind: Literal["text_to_text"] = "text_to_text"
    metric: Literal["rouge", "accuracy", "macro_f1", "exact_match", "f1"] = "rouge"
    prefix: str = ""
    pair_prefix: str = " context: "
    pairs: bool = False
    labels: tuple[str, ...] = ()
    max_target: int = Field(64, ge=2)
    beam: int = Field(1, ge=1)
    length_penalty: float = 1.0
    no_repeat: int = Field(0, ge=0)

    @property
    def main_metric(self) -> str:
        return "rougeL" if self.metric == "rouge" else self.metric

    @property
    def has_classes(self) -> bool:
        """Whether a target is one of a few labels."""
        return self.metric in ("accuracy", "macro_f1")

    @property
    def loss(self) -> str:
        return "tokens"

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.labels

    @property
    def reads_pairs(self) -> bool:
        return self.pairs

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[LabelledText]:
        layout = layout or guess_layout(path)
        if layout in QUESTIONS:
            for item in read_questions(path, layout, quarantine):
                answers = tuple(dict.fromkeys(text for group in item.answers for text in group))
                yield LabelledText(item.id, item.question, "\n".join(item.contexts), answers)
            return
        for record in read_labelled(path, layout, quarantine):
            if isinstance(record, LabelledSentences):
                for number, (text, label) in enumerate(zip(record.sentences, record.labels, strict=True), 1):
                    yield LabelledText(f"{record.id}.{number}", text, None, (label,) if label else ())
            else:
                yield record

    def records(self, document: Document, question: str | None = None) -> list[LabelledText]:
        """The whole document; beside a question where the task reads pairs."""
        if not self.pairs:
            return [LabelledText(document.id, document.text)]
        if not (question or "").strip():
            raise InputError("the question is empty")
        return [LabelledText(document.id, str(question), document.text)]

    def examples(
        self, records: Sequence[LabelledText], tokenizer: Tokenizer, window: int, overlap: int
    ) -> list[Example]:
        """The sources with their end token, a window each where they are long.

        Raises InputError for an empty text, and where prefix and question leave less than half a window.
        """
        examples = []
        for number, record in enumerate(records):
            head = self.prefix if record.pair is None else f"{self.prefix}{record.text}{self.pair_prefix}"
            body = record.text if record.pair is None else record.pair
            first, text = tokenizer.encode([head.rstrip(), body])
            if not len(text.ids) or not record.text.strip():
                raise InputError(f"record {record.id}: the text is empty")
            room = window - 1 - len(first.ids)
            if room < window // 2:
                raise InputError(
                    f"record {record.id}: {len(first.ids)} tokens stand before the text, which leaves less than half "
                    f"of the window of {window} tokens"
                )
            target = None
            if record.labels:
                (ids,) = tokenizer.encode([record.labels[0]])
                target = np.append(ids.ids, tokenizer.end_id).astype(np.int32)
            for item in windows(text, room, min(overlap, room // 2)):
                pieces = (first.ids, text.ids[item.start : item.end], [tokenizer.end_id])
                source = np.concatenate(pieces).astype(np.int32)
                none = np.empty(0, np.int32)
                examples.append(Example(number, source, None, none, len(source), item.start, target_ids=target))
        return examples

    def targets(self, example: Example, record: LabelledText) -> NDArray[Any]:
        """(m,) the ids of the target with its end token.

        Raises InputError where there is none, or it is longer than `max_target`.
        """
        if example.target_ids is None or len(example.target_ids) < 2:
            raise InputError(f"record {record.id}: the target is empty")
        if len(example.target_ids) > self.max_target:
            raise InputError(
                f"record {record.id}: the target has {len(example.target_ids)} tokens, and max_target is {self.max_target}"
            )
        return example.target_ids

    def decode(
        self, records: Sequence[LabelledText], examples: Sequence[Example], scores: Sequence[Any]
    ) -> list[Written]:
        """One text for each record, from those that are written for its windows (`scores`, a `Written` each)."""
        windows_of: list[list[Written]] = [[] for _ in records]
        for example, written in zip(examples, scores, strict=True):
            windows_of[example.record].append(written)
        return [self._merged(own) for own in windows_of]

    def _merged(self, own: Sequence[Written]) -> Written:
        if not own:
            return Written("", 0.0)
        if self.metric == "rouge":
            texts = dict.fromkeys(item.text for item in own if item.text)  # a text that windows share stands there once
            return Written(" ".join(texts), float(np.mean([item.confidence for item in own])))
        return max(own, key=lambda item: item.confidence)

    def annotate(
        self, name: str, document: Document, records: Sequence[LabelledText], predictions: Sequence[Written]
    ) -> Document:
        """The document with what was written for it as a label."""
        labels = [
            Label(written.text, name, confidence=written.confidence)
            for written in predictions
            if written.text and not self._choice.leaves_out(written.confidence)
        ]
        return document.with_labels([*document.labels, *labels])

    def score(self, records: Sequence[LabelledText], predictions: Sequence[Written]) -> dict[str, float]:
        if self.has_classes:
            return all_scores(self._class_scores(records, predictions))
        return {name: float(column.mean()) for name, column in self._columns(records, predictions).items()}

    def score_of_rows(
        self, records: Sequence[LabelledText], predictions: Sequence[Written]
    ) -> Callable[[NDArray[Any]], float]:
        if self.has_classes:
            return super().score_of_rows(records, predictions)
        values = self._columns(records, predictions)[self.main_metric]
        return lambda rows: float(values[rows].mean())

    def score_notes(self, records: Sequence[LabelledText], predictions: Sequence[Written]) -> dict[str, str]:
        return dict.fromkeys(ROUGE, "F1, rouge-score with Porter's stemmer") if self.metric == "rouge" else {}

    def _columns(
        self, records: Sequence[LabelledText], predictions: Sequence[Written]
    ) -> dict[str, NDArray[np.float64]]:
        """Each score of each record."""
        texts, references = [item.text for item in predictions], [record.labels or ("",) for record in records]
        if self.metric == "rouge":
            return dict(zip(ROUGE, rouge(texts, references).T, strict=True))
        pairs = list(zip(texts, references, strict=True))
        exact = [float(any(normalised(text) == normalised(other) for other in own)) for text, own in pairs]
        shared = [max(overlap(text, other) for other in own) for text, own in pairs]
        return {"exact_match": np.array(exact), "f1": np.array(shared)}

    def _class_scores(self, records: Sequence[LabelledText], predictions: Sequence[Written]) -> Any:
        gold = [frozenset(record.labels) for record in records]
        guessed = [frozenset({item.text if item.text in self.labels else _OTHER}) for item in predictions]
        return score_labels(gold, guessed, [*self.labels, _OTHER], [_OTHER])

    def labels_of(self, record: LabelledText) -> tuple[str, ...]:
        return record.labels if self.has_classes else ()

    def texts_of(self, record: LabelledText) -> tuple[str, ...]:
        return (record.text,) if record.pair is None else (record.text, record.pair)

    def fitted(self, name: str, records: Sequence[LabelledText]) -> Self:
        """With the labels of the records, and whether they are pairs. Raises InputError where only some are."""
        pairs = {record.pair is not None for record in records}
        if len(pairs) > 1:
            raise InputError(f"task {name!r}: some training records are pairs of texts and some are single texts")
        labels = self.labels
        if self.has_classes and not labels:
            labels = tuple(sorted({label for record in records for label in record.labels}))
        if self.has_classes and len(labels) < 2:
            raise InputError(f"task {name!r}: the training records have one class alone, from which nothing is learnt")
        return self.model_copy(update={"pairs": pairs.pop(), "labels": labels})

    def check_labelled(self, name: str, records: Sequence[LabelledText]) -> None:
        if not any(record.labels for record in records):
            raise InputError(f"task {name!r}: no training record has a target")

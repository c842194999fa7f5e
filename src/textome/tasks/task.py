"""What every task has."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, NewType, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from textome.documents import Document, Span
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.settings import Fields
from textome.tasks.examples import Example, Floats
from textome.text.tokenization import Tokenizer

Record = TypeVar("Record")
Prediction = TypeVar("Prediction")


class HeadShape(NamedTuple):
    """The size of a task's head.

    num_labels            scores of each position
    num_pooled_positions  0 for a linear layer over single tokens; otherwise so many hidden states are joined and pass a
                          tanh layer first: 1 is [CLS], several are markers
    groups                the sizes of groups of positions, the last ones of `num_pooled_positions`: of each group only the
                          maximum is joined, and behind them the product of those of the first two groups
    recurrent             units in each direction of an LSTM over all hidden states before the linear layer; 0 for none
    """

    num_labels: int
    num_pooled_positions: int
    groups: tuple[int, ...] = ()
    recurrent: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user asks of a model's tasks; each task heeds what concerns it.

    types           the entity types to look for; empty: none, None: the task's own defaults
    min_confidence  what is below it is left out; None: the task's own thresholds
    flat            of entities that overlap only the most probable stays
    sentences       False takes each passage as one sentence, for corpora that are cut into sentences already
    """

    types: tuple[str, ...] | None = None
    min_confidence: float | None = None
    flat: bool = False
    sentences: bool = True

    def leaves_out(self, confidence: float | None) -> bool:
        """Whether something with this confidence is below the least one that the user gave."""
        return self.min_confidence is not None and confidence is not None and confidence < self.min_confidence


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a task says of a record, to be explained.

    name         an entity type, a label, or the text of an answer
    confidence   its probability
    span         of an entity, its place in the record's text
    offset       where in its document that text begins
    sentence     the number of the sentence that a label is of, where sentences are labelled
    key          what else the task needs to know it again
    """

    name: str
    confidence: float
    span: Span | None = None
    offset: int = 0
    sentence: int | None = None
    key: object = None


class Task(Fields, Generic[Record, Prediction]):
    """A task: its fields are a recipe's table and a bundle's entry.

    A record is what the task is asked about: a text, an abstract, a pair of mentions, a question. Records become examples,
    which a model scores, and scores become one prediction for each record, which annotates the record's document.

    kind      by which recipes and bundles name the class
    metric    the main one of `score`, by which models are compared
    labels    the names of what is predicted
    layouts   of the task's data, the default first; empty: any format of documents
    has_calibration   whether `calibrated` does anything
    has_uncertainty   whether `uncertainty` can be asked
    has_graph         whether a model of the task can be exported
    losses            the names that `loss` may be
    trained_by        the run that trains it: "text", "modality", "translation", "masked_lm", or "" for none
    data_key          the key of its table that says what it learns from
    evaluated_by      the kind of its evaluation, see evaluation.evaluation.EVALUATIONS
    run_by            the kind of model that runs it, see runtime.step.MODELS
    reads_hidden_states   whether its scores are made of the last hidden states by `scores_of`, and not by a head
    output_kind       what it makes of a document: "entities", "relations", "labels" or "vectors"; empty: nothing
    has_confidence    whether what it gives has a confidence, and so may be left out below a minimum
    """

    layouts: ClassVar[tuple[str, ...]] = ()
    has_calibration: ClassVar[bool] = False
    has_uncertainty: ClassVar[bool] = False
    has_graph: ClassVar[bool] = True
    trained_by: ClassVar[str] = "text"
    data_key: ClassVar[str] = "train"
    evaluated_by: ClassVar[str] = "scores"
    run_by: ClassVar[str] = "encoder"
    reads_hidden_states: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ()
    output_kind: ClassVar[str] = ""
    has_confidence: ClassVar[bool] = True

    kind: str
    metric: str
    _choice: Choice = PrivateAttr(default_factory=Choice)

    @classmethod
    def features(cls, kind: str) -> frozenset[str]:
        """Which techniques of training that depend on the task work for one of its kinds: "calibration", "smoothing" of
        labels, "mixing" of two records, "classes" from which shots are drawn, "soft_targets" that a teacher can give, and
        each field that is one."""
        smooth = {"smoothing"} if {"iob", "cross_entropy", "next_token"} & set(cls.losses) else set()
        calibration = {"calibration"} if cls.has_calibration else set()
        return frozenset(smooth | calibration | set(cls.model_fields))

    @classmethod
    def from_version_1(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that an entry of a bundle of version 1 stands for."""
        return dict(entry)

    @property
    def main_metric(self) -> str:
        """The name in `score` of `metric`, also for people."""
        return self.metric

    @property
    def head_shape(self) -> HeadShape:
        """The shape of the head that scores examples; by default there is none, as where the vocabulary is scored."""
        return HeadShape(0, 0)

    @property
    def loss(self) -> str:
        """The name of the training loss, see training.losses."""
        raise NotImplementedError

    @property
    def negative_labels(self) -> Sequence[str]:
        """Labels that mean "nothing" and do not count in scores."""
        return ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of what is predicted, for people."""
        return ()

    @property
    def output_names(self) -> tuple[str, ...]:
        """The name of each score of the head: equal for equal meanings, so that a head can go on in another run."""
        return self.label_names

    def continuing(self, own: Task[Any, Any]) -> Self:
        """With what a recipe leaves open as an older task of the same name and kind has it, so that its head can go on."""
        return self

    def first_output(self, name: str, known: Container[str]) -> str | None:
        """Which of the `known` scores of an older head the score `name` of `output_names` begins as; None: of no one."""
        return name if name in known else None

    @property
    def checkpoint_labels(self) -> tuple[str, ...]:
        """The same as `config.json` names them for other libraries."""
        return self.label_names

    @property
    def checkpoint_caveat(self) -> str:
        """What those who load the weights with other libraries must know; empty: nothing."""
        return ""

    @property
    def reads_pairs(self) -> bool:
        """Whether a record has two texts, a question and a document."""
        return False

    @property
    def shares_pass(self) -> bool:
        """Whether a text alone, whole or in windows, is what the task reads, so that one pass serves other tasks too."""
        return False

    def with_choice(self, choice: Choice) -> Self:
        """The task as a user asks for it. Raises InputError for a choice that it cannot heed."""
        if choice.min_confidence is not None and not self.has_confidence:
            raise InputError(f"a {self.kind} has no confidence; leave out the minimum confidence")
        task = self.model_copy()
        task._choice = choice
        return task

    def ready(self, document: Document) -> Document:
        """The document with what `records` and `annotate` need."""
        return document

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[Record]:
        """The labelled records of a file. Bad ones are quarantined.

        Raises InputError for an unknown layout, and where the file cannot be read at all.
        """
        raise NotImplementedError

    def records(self, document: Document, question: str | None = None) -> list[Record]:
        """What of a document the task is asked about.

        question   the first text of a pair, for a task that reads pairs

        Raises InputError where there is nothing.
        """
        raise NotImplementedError

    def examples(self, records: Sequence[Record], tokenizer: Tokenizer, window: int, overlap: int) -> list[Example]:
        """The model's inputs for records.

        window, overlap   in tokens, special ones included

        Raises InputError for a record that cannot be read.
        """
        raise NotImplementedError

    def targets(self, example: Example, record: Record) -> NDArray[Any]:
        """(m, ...) what the scores of one record of an example should be, as the task's loss takes it.

        Raises InputError for labels that the task does not have.
        """
        raise NotImplementedError

    def scores_of(self, hidden_states: Floats, lengths: NDArray[Any]) -> Floats:
        """The scores of each example from hidden states (B, S, hidden_size); `lengths` (B,) are the tokens of each row."""
        raise NotImplementedError

    def decode(
        self, records: Sequence[Record], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[Prediction]:
        """The prediction for each record, from the scores (m, num_labels) of each example."""
        raise NotImplementedError

    def annotate(
        self, name: str, document: Document, records: Sequence[Record], predictions: Sequence[Prediction]
    ) -> Document:
        """The document with what was predicted for its records; `name` is that of the task in its bundle."""
        raise NotImplementedError

    def described(self, prediction: Prediction) -> dict[str, Any]:
        """A prediction for people and machines, without pixels, samples and the like."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a table of predictions."""
        raise NotImplementedError

    def table_rows(self, described: Mapping[str, Any]) -> list[list[str]]:
        """The rows of what `described` gives in such a table."""
        raise NotImplementedError

    def findings(
        self, record: Record, examples: Sequence[Example], scores: Sequence[Floats], label: str | None = None
    ) -> list[Finding]:
        """What the task says of one record, thing by thing.

        label   the label that is asked about in place of those that the task gives
        """
        raise NotImplementedError

    def confidences(
        self, record: Record, examples: Sequence[Example], scores: Sequence[Floats], findings: Sequence[Finding]
    ) -> list[float]:
        """How probable findings of a record are by other scores of it, as with words hidden."""
        raise NotImplementedError

    def uncertainty(
        self, records: Sequence[Record], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[float]:
        """For each record the share in [0, 1] of what is said of it that is expected to be wrong, by its probabilities."""
        raise NotImplementedError

    def score(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> dict[str, float]:
        """All scores by name; `main_metric` is one of them. Shares are between 0 and 1."""
        raise NotImplementedError

    def score_each(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> NDArray[np.float64]:
        """(records, metrics): the scores of each record, of a task that is `evaluated_by` "answers"."""
        raise NotImplementedError

    def score_of_rows(
        self, records: Sequence[Record], predictions: Sequence[Prediction]
    ) -> Callable[[NDArray[Any]], float]:
        """Gives the main metric over the records of some numbers, as a bootstrap draws them."""
        return lambda rows: self.score([records[row] for row in rows], [predictions[row] for row in rows])[
            self.main_metric
        ]

    def score_notes(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> dict[str, str]:
        """How scores were computed, by name, where programs differ."""
        return {}

    def check_labels(self, record: Record) -> None:
        """Raises InputError for a label that the task does not have."""
        if unknown := [label for label in self.labels_of(record) if label and label not in self.label_names]:
            name, known = getattr(record, "id", ""), ", ".join(self.label_names)
            raise InputError(f"record {name}: the label {unknown[0]!r} is none of the model's: {known}")

    def is_nothing(self, prediction: Prediction) -> bool:
        """Whether a prediction says that there is nothing, as no relation between two mentions."""
        return False

    def is_labelled(self, record: Record) -> bool:
        """Whether the task can learn from a record."""
        return getattr(record, "target", None) is not None

    def labels_of(self, record: Record) -> tuple[str, ...]:
        """All labels of a record; empty for a task without classes."""
        return ()

    def texts_of(self, record: Record) -> tuple[str, ...]:
        """All texts of a record, by which it is recognised in another file."""
        raise NotImplementedError

    def group_of(self, record: Record, number: int) -> object:
        """What private training protects as one: equal for records of one document. `number` is the record's own."""
        return number

    def prepared(self, records: list[Record], seed: int) -> list[Record]:
        """The training records that are learnt from."""
        return records

    def fitted(self, name: str, records: Sequence[Record]) -> Self:
        """The task with what it learns from training records, as its labels.

        Raises InputError where they do not suffice.
        """
        return self

    @property
    def soft_names(self) -> tuple[str, ...]:
        """Of what a teacher gives the probabilities."""
        return self.output_names

    def soft_targets(
        self, records: Sequence[Record], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[NDArray[np.floating]]:
        """For each record the probabilities (rows, soft_names) by a model's scores, NaN where they say nothing: one row, or
        of entities one for each word. For tasks with the feature "soft_targets"."""
        raise NotImplementedError

    def soft_rows(self, example: Example, soft: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """(m, soft_names) those of an example's positions, of the `soft_targets` of all records."""
        return np.concatenate([soft[number] for number in example.owners])

    def as_shares(self, target: NDArray[Any]) -> NDArray[np.floating]:
        """(m, soft_names) the targets of an example as probabilities, NaN where they are not known."""
        return target

    def check_labelled(self, name: str, records: Sequence[Record]) -> None:
        """Raises InputError where no training record has a label, from which nothing can be learnt."""

    def calibrated(self, records: Sequence[Record], examples: Sequence[Example], scores: Sequence[Floats]) -> Self:
        """The task with the temperature and threshold that fit scores of labelled records best."""
        return self

    def targets_of(self, example: Example, records: Sequence[Record]) -> NDArray[Any]:
        """The targets of all records of an example, a row for each of its positions."""
        return np.concatenate([self.targets(example, records[number]) for number in example.owners])


def number_of(label: str, labels: Sequence[str], record: str) -> int:
    """A label's number. Raises InputError that names the record and the labels that are known."""
    if label not in labels:
        raise InputError(f"record {record}: the label {label!r} is none of the model's: {', '.join(labels)}")
    return labels.index(label)


# A record and a prediction of a task that is known by the table alone: only the task itself looks into them.
SomeRecord = NewType("SomeRecord", object)
SomePrediction = NewType("SomePrediction", object)
if TYPE_CHECKING:
    SomeTask = Task[SomeRecord, SomePrediction]
else:
    SomeTask = Task

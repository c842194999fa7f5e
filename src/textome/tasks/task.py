"""What every task has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from textome.documents import Document
from textome.errors import InputError
from textome.formats.sources import Quarantine
from textome.tasks.examples import Example, Floats
from textome.text.tokenization import Tokenizer

Record = TypeVar("Record")
Prediction = TypeVar("Prediction")


class HeadShape(NamedTuple):
    """The size of a task's head.

    num_labels            scores of each position
    num_pooled_positions  0 for a linear layer over single tokens; otherwise so many hidden states are joined and pass a
                          tanh layer first: 1 is [CLS], several are markers
    """

    num_labels: int
    num_pooled_positions: int


class Task(BaseModel, Generic[Record, Prediction]):
    """A task: its fields are a recipe's table and a bundle's entry.

    A record is what the task is asked about: a text, an abstract, a pair of mentions, a question. Records become examples,
    which a model scores, and scores become one prediction for each record, which annotates the record's document.

    kind      by which recipes and bundles name the class
    metric    the main one of `score`, by which models are compared
    labels    the names of what is predicted
    layouts   of the task's data, the default first; empty: any format of documents
    has_calibration   whether `calibrated` does anything
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layouts: ClassVar[tuple[str, ...]] = ()
    has_calibration: ClassVar[bool] = False
    # Keys in older recipes, and what they are called now.
    old_keys: ClassVar[Mapping[str, str]] = {}

    kind: str
    metric: str

    @model_validator(mode="before")
    @classmethod
    def _rename_old_keys(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {cls.old_keys.get(key, key): value for key, value in values.items()}

    @classmethod
    def from_version_1(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that an entry of a bundle of version 1 stands for."""
        return dict(entry)

    @property
    def head(self) -> HeadShape:
        """The shape of the head that scores examples."""
        raise NotImplementedError

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

    @property
    def checkpoint_labels(self) -> tuple[str, ...]:
        """The same as `config.json` names them for other libraries."""
        return self.label_names

    @property
    def reads_pairs(self) -> bool:
        """Whether a record has two texts, a question and a document."""
        return False

    @property
    def shares_pass(self) -> bool:
        """Whether a text alone, whole or in windows, is what the task reads, so that one pass serves other tasks too."""
        return False

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

    def score(self, records: Sequence[Record], predictions: Sequence[Prediction]) -> dict[str, float]:
        """All scores, between 0 and 1, more is better; `metric` is one of them."""
        raise NotImplementedError

    def is_nothing(self, prediction: Prediction) -> bool:
        """Whether a prediction says that there is nothing, as no relation between two mentions."""
        return False

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

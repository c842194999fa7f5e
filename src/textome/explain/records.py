"""What of a record that is not text speaks for a model's answer: the columns of a table, the genes of a sample.

Each part is taken away in turn, and what the answer loses is its weight, as for the words of a text (see occlusion): of a
class how far its log-odds fall, in nats; of a number, or a risk, how far it falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textome.documents import Record
from textome.errors import InputError
from textome.explain.attention import Attention, attention_of
from textome.explain.occlusion import NEAREST
from textome.runtime.predictor import Predictor


@dataclass(frozen=True, slots=True)
class RecordExplanation:
    """An answer about a record, and the weight of each part of its content.

    record   the record's id
    finding  a class, or the name of a number
    value    its probability, or the number
    parts    the name of each part that was taken away, and its weight, the heaviest first
    attention   how its parts look at each other, where it has several
    """

    record: str
    finding: str
    value: float
    parts: tuple[tuple[str, float], ...]
    attention: Attention | None = None

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        own: dict[str, object] = {
            "record": self.record,
            "finding": self.finding,
            "value": self.value,
            "parts": self.parts,
        }
        return own | ({"attention": self.attention.as_dict()} if self.attention else {})


def explain_content(predictor: Predictor, record: Record, label: str | None = None) -> RecordExplanation:
    """Why the model answers as it does, or why not `label`.

    Raises InputError where the input has no parts that can be taken away, for a label that the model does not have, and for
    a record that it cannot read.
    """
    target = predictor.target
    parts = list(predictor.input.without(record.content))
    attention = attention_of(predictor, record)
    if not parts and len(predictor.input.shapes()) == 1:
        raise InputError(
            f"answers about {predictor.input.kind} cannot be explained: its content has no parts with names"
        )
    if label is not None and label not in target.labels:
        raise InputError(f"the model has no label {label!r}; it has {', '.join(target.labels)}")
    answers = predictor.answer([record.content, *(content for _, content in parts)])
    classes = target.kind in ("sequence_classification", "sequence_labels")
    number = int(answers[0].argmax()) if classes else 0
    number = number if label is None else target.labels.index(label)
    values = answers[:, number].astype(np.float64)
    if classes:
        shares = np.clip(values, NEAREST, 1 - NEAREST)
        values = np.log(shares / (1 - shares))
    weights = [(name, round(float(values[0] - value), 6)) for (name, _), value in zip(parts, values[1:], strict=True)]
    weights.sort(key=lambda item: -abs(item[1]))
    finding = target.labels[number] if number < len(target.labels) else target.main_metric
    return RecordExplanation(record.id, finding, float(answers[0, number]), tuple(weights), attention)

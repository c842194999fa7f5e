"""Scoring a model's entities on an annotated corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from textome.documents import Document
from textome.errors import InputError
from textome.runtime.model import Model

Spans = set[tuple[int, int, str]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Gold and predicted entities, unit by unit (a document, or a sentence of a CoNLL file), and the units' ids.

    confidences   of each predicted entity, by its span
    """

    ids: tuple[str, ...]
    gold: tuple[Spans, ...]
    predicted: tuple[Spans, ...]
    confidences: tuple[dict[tuple[int, int, str], float], ...]


def map_types(labels: Iterable[str], types: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Which of the model's types each of a corpus's labels stands for.

    chosen  what the user says, as {"GENE": "Gene"}; an empty value leaves the label out. The other labels are matched
            by name without case, `-` and `_`.

    Raises InputError for a label without a match, naming the option that helps.
    """
    known = {_plain(name): name for name in types}
    mapping: dict[str, str] = {}
    for label in sorted(set(labels)):
        name = chosen.get(label, known.get(_plain(label)))
        if name is None:
            raise InputError(
                f"the data has the label {label!r}, which is none of the model's types ({', '.join(types)}); "
                f"say what it stands for with --map {label}=TYPE, or leave it out with --map {label}="
            )
        if name and name not in types:
            raise InputError(f"--map {label}={name}: the model's types are {', '.join(types)}")
        if name:
            mapping[label] = name
    return mapping


def compare(model: Model, documents: Sequence[Document], mapping: Mapping[str, str], words: bool) -> Comparison:
    """Annotate documents afresh and set the result beside their own annotations.

    words   the texts are words joined by one space (CoNLL): a prediction is taken to cover the words whose first
            character it covers, as the field scores them, so that a tokenizer finer than the corpus is not punished
    """
    gold = [_spans(document, mapping) for document in documents]
    expected_types = set(mapping.values())
    confidences = []
    for document in model(item.with_annotations(()) for item in documents):
        confidence_of = {
            (entity.start, entity.end, entity.type): entity.confidence or 0.0
            for entity in document.entities
            if entity.type in expected_types
        }
        confidences.append(_to_words(document.text, confidence_of) if words else confidence_of)
    ids = tuple(document.id for document in documents)
    return Comparison(ids, tuple(gold), tuple(set(confidence_of) for confidence_of in confidences), tuple(confidences))


def _plain(label: str) -> str:
    return label.replace("_", "").replace("-", "").casefold()


def _spans(document: Document, mapping: Mapping[str, str]) -> Spans:
    return {(entity.start, entity.end, mapping[entity.type]) for entity in document.entities if entity.type in mapping}


def _to_words(text: str, spans: Mapping[tuple[int, int, str], float]) -> dict[tuple[int, int, str], float]:
    words = [(match.start(), match.end()) for match in re.finditer("[^ \n]+", text)]
    starts = np.array([start for start, _ in words])
    snapped: dict[tuple[int, int, str], float] = {}
    for (start, end, name), confidence in spans.items():
        first, last = np.searchsorted(starts, start), np.searchsorted(starts, end) - 1
        if first <= last:
            snapped[words[first][0], words[last][1], name] = confidence
    return snapped

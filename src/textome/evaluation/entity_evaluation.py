"""Evaluating entities: an entity counts only where start, end and type are all right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from textome.documents import Document
from textome.errors import InputError
from textome.evaluation.bootstrap import Interval, bootstrap_intervals, paired_bootstrap
from textome.evaluation.entity_report import Novelty, by_novelty, entity_report, format_novelty, names_of
from textome.evaluation.entity_task import Comparison as Spans
from textome.evaluation.entity_task import compare, map_types
from textome.evaluation.evaluation import Comparison, Data, Evaluation
from textome.evaluation.report import as_dict, format_table
from textome.formats import Quarantine, Source, expand_inputs, guess_format, read_inputs
from textome.metrics.entities import EntityScores, score_entities
from textome.runtime.model import Model
from textome.runtime.step import ModelStep


@dataclass(frozen=True)
class EntityEvaluation(Evaluation):
    """The scores of entities.

    intervals   95 % of F1, of each type and "micro" (bootstrap over texts)
    spans       gold and predicted entities of each document
    novelty     scores of names seen in training and of new ones, where training files are given
    """

    noun: ClassVar[str] = "documents"
    needs_entities: ClassVar[bool] = True

    details: EntityScores
    intervals: dict[str, Interval]
    spans: Spans
    documents: Sequence[Document]
    novelty: Sequence[Novelty]

    @classmethod
    def of(cls, model: ModelStep, name: str, data: Data, quarantine: Quarantine) -> Self:
        assert isinstance(model, Model)
        kind = data.layout or guess_format(Source.of(expand_inputs(data.paths)[0]))

        def read(paths: Sequence[str]) -> list[Document]:
            options: dict[str, Any] = {"entity_type": data.entity_type} if data.entity_type else {}
            options |= data.columns
            return list(read_inputs(expand_inputs(paths), kind, quarantine, **options))

        documents = read(data.paths)
        labels = (entity.type for item in documents for entity in item.entities)
        mapping = map_types(labels, model.types, data.mapping)
        if not mapping:
            raise InputError(f"{data}: the data holds no entity of a type that the model knows")
        types = tuple(sorted(set(mapping.values())))
        chosen = model.choosing(tasks=(name,), types=types, sentences=kind != "conll")
        spans = compare(chosen, documents, mapping, words=kind == "conll")
        details = score_entities(spans.gold, spans.predicted)
        novelty = by_novelty(spans, documents, names_of(read(data.train), mapping)) if data.train else []
        intervals = bootstrap_intervals(spans.gold, spans.predicted)
        scores = {"micro_f1": details.micro.f1}
        return cls(name, "micro_f1", len(documents), scores, {}, details, intervals, spans, documents, novelty)

    def table(self) -> str:
        text = format_table(self.details, self.intervals)
        return f"{text}\n\n{format_novelty(self.novelty)}" if self.novelty else text

    def as_dict(self) -> dict[str, Any]:
        scores = {"documents": self.count} | as_dict(self.details, self.intervals)
        novelty = {
            item.name: {"precision": item.precision, "recall": item.recall, "gold": item.gold} for item in self.novelty
        }
        return scores | ({"novelty": novelty} if novelty else {})

    def page(self, title: str) -> str:
        return entity_report(title, self.spans, self.documents, self.details, self.intervals, self.novelty)

    def compared(self, other: Evaluation) -> Comparison:
        if not isinstance(other, EntityEvaluation) or other.spans.gold != self.spans.gold:
            raise InputError(
                "the two models do not look for the same entities in these data, so they cannot be compared"
            )
        return compare_entities(self.spans, other.spans)


def compare_entities(first: Spans, second: Spans) -> Comparison:
    """Compare the entities that two models find in the same texts, by micro F1."""
    _, p_value = paired_bootstrap(first.gold, first.predicted, second.predicted)
    one, two = (score_entities(each.gold, each.predicted).micro.f1 for each in (first, second))
    return Comparison("micro F1", one, two, min(1.0, 2 * p_value))

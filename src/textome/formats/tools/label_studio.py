"""Label Studio: tasks for its import with annotations and predictions, and its JSON export.

    [{"data": {"text": "...", "document_id": "1"},
      "predictions": [{"model_version": "textome", "score": 0.9, "result": [
        {"id": "T1", "from_name": "label", "to_name": "text", "type": "labels", "score": 0.9,
         "value": {"start": 0, "end": 4, "text": "...", "labels": ["Disease"]}}]}]}]

Entities without a confidence are a person's and become an annotation, the others a prediction, which a person can take
over. What Textome knows besides of a region hangs on it: attributes as choices (`from_name` "attributes"), identifiers as
a text (`from_name` "identifiers"). Labels of the whole text are choices (`from_name` "class"). Offsets count code points,
as Label Studio's editor does. A labelling interface for all of them is in docs/guides/other_programs.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from textome.documents import Document, Entity, Label
from textome.formats.jsonl import read
from textome.formats.reading.sources import Target
from textome.formats.tools.json_tasks import Members, extent_text, pair_of, write_list

__all__ = ["read", "results_of", "write"]

MODEL_VERSION = "textome"


def write(documents: Iterable[Document], target: Target) -> int:
    """A JSON list of tasks; relations between other things than two entities are left out."""
    return write_list(documents, target, _task)


def results_of(document: Document, entities: Sequence[Entity], labels: Sequence[Label]) -> list[Members]:
    """The `result` of an annotation or prediction with these of a document's entities and labels, and the relations
    between the entities."""
    results = [item for number, entity in enumerate(entities, 1) for item in _region(document, entity, number)]
    shown = {entity.id for entity in entities}
    for relation in document.relations:
        pair = pair_of(document, relation)
        if pair is not None and {pair[0].id, pair[1].id} <= shown:
            results.append(
                {
                    "type": "relation",
                    "from_id": pair[0].id,
                    "to_id": pair[1].id,
                    "direction": "right",
                    "labels": [relation.type],
                }
            )
    names = [label.name for label in labels if label.span is None]
    if names:
        results.append({"from_name": "class", "to_name": "text", "type": "choices", "value": {"choices": names}})
    return results


def _task(document: Document) -> Members:
    data = document.metadata | {"text": document.text, "document_id": document.id}
    task: Members = {"data": data}
    own = results_of(
        document,
        [entity for entity in document.entities if entity.confidence is None],
        [label for label in document.labels if label.confidence is None],
    )
    predicted = [entity for entity in document.entities if entity.confidence is not None]
    guesses = results_of(document, predicted, [label for label in document.labels if label.confidence is not None])
    if own:
        task["annotations"] = [{"result": own}]
    if guesses:
        score = min((entity.confidence for entity in predicted if entity.confidence is not None), default=1.0)
        task["predictions"] = [{"model_version": MODEL_VERSION, "score": score, "result": guesses}]
    return task


def _region(document: Document, entity: Entity, number: int) -> Iterator[Members]:
    """An entity, and what hangs on it: results of one id."""
    span = {"start": entity.start, "end": entity.end, "text": extent_text(document, entity)}
    region = {"id": entity.id or f"region-{number}", "to_name": "text"}
    score = {} if entity.confidence is None else {"score": entity.confidence}
    yield region | {"from_name": "label", "type": "labels", "value": span | {"labels": [entity.type]}} | score
    if entity.attributes:
        choices = [name if value == "true" else f"{name}={value}" for name, value in entity.attributes.items()]
        yield region | {"from_name": "attributes", "type": "choices", "value": span | {"choices": choices}}
    if entity.identifiers:
        value = span | {"text": list(entity.curies)}
        yield region | {"from_name": "identifiers", "type": "textarea", "value": value}

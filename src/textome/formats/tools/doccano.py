"""doccano: JSON lines for its import, and its export.

    {"id": "1", "text": "...", "label": [[0, 4, "Disease"]]}
    {"id": "1", "text": "...", "entities": [{"id": 1, "label": "Disease", "start_offset": 0, "end_offset": 4}],
     "relations": [{"id": 1, "from_id": 1, "to_id": 2, "type": "treats"}]}

The second form is for projects with relations, and written of documents that have some. `label` of a document without
entities holds the names of its labels, for projects that classify texts. Offsets count code points. Other members are
metadata there.
"""

from __future__ import annotations

from collections.abc import Iterable

from textome.documents import Document
from textome.formats.jsonl import read
from textome.formats.reading.sources import Target
from textome.formats.tools.json_tasks import Members, names_of_entities, pair_of, write_lines

__all__ = ["read", "write"]


def write(documents: Iterable[Document], target: Target) -> int:
    """A line a document; relations between other things than two entities are left out."""
    return write_lines(documents, target, _record)


def _record(document: Document) -> Members:
    record: Members = {"id": document.id, "text": document.text}
    if document.relations:
        numbers = names_of_entities(document)
        record["entities"] = [
            {"id": number, "label": entity.type, "start_offset": entity.start, "end_offset": entity.end}
            for number, entity in enumerate(document.entities, 1)
        ]
        pairs = [(item.type, pair_of(document, item)) for item in document.relations]
        record["relations"] = [
            {"id": number, "from_id": numbers[pair[0].id], "to_id": numbers[pair[1].id], "type": kind}
            for number, (kind, pair) in enumerate(pairs, 1)
            if pair is not None
        ]
    elif document.entities or not document.labels:
        record["label"] = [[entity.start, entity.end, entity.type] for entity in document.entities]
    else:
        record["label"] = [label.name for label in document.labels if label.span is None]
    return record | {key: value for key, value in document.metadata.items() if key not in record}

"""Documents as data frames: an entity, a label or a relation a row, for pandas or polars."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from textome.documents import Document
from textome.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import pandas
    import polars

Row = dict[str, object]


def documents_to_dataframe(
    documents: Iterable[Document],
    rows: Literal["entities", "labels", "relations"] = "entities",
    library: Literal["pandas", "polars"] | None = None,
) -> pandas.DataFrame | polars.DataFrame:
    """A data frame of what documents hold.

    rows      "entities": document, id, start, end, type, text, confidence, identifiers, attributes, section. Offsets
              count code points in the document's text; identifiers are a list of CURIEs, attributes a list of `name=value`.
              "labels": document, task, label, confidence, start, end, text; without offsets for a label of the whole text.
              "relations": document, id, type, confidence, and for each argument its role, id and text, as lists
    library   the library of the frame; default: pandas, or else polars

    Raises InputError for other rows, and MissingExtraError where the library is not installed.
    """
    if rows not in _TABLES:
        raise InputError(f"rows={rows!r}: choose one of {', '.join(_TABLES)}")
    columns, of_document = _TABLES[rows]
    table: dict[str, list[object]] = {name: [] for name in columns}
    for document in documents:
        for row in of_document(document):
            for name in columns:
                table[name].append(row[name])
    chosen = library or ("pandas" if find_spec("pandas") or not find_spec("polars") else "polars")
    try:
        if chosen == "polars":
            import polars

            return polars.DataFrame(table, strict=False)
        import pandas

        return pandas.DataFrame(table)
    except ImportError as error:
        raise MissingExtraError("a data frame", "dataframe") from error


def _entities(document: Document) -> list[Row]:
    starts = [(passage.offset, passage.section) for passage in document.passages]
    return [
        {
            "document": document.id,
            "id": entity.id,
            "start": entity.start,
            "end": entity.end,
            "type": entity.type,
            "text": entity.text,
            "confidence": entity.confidence,
            "identifiers": list(entity.curies),
            "attributes": [f"{name}={value}" for name, value in entity.attributes.items()],
            "section": next((section for offset, section in reversed(starts) if offset <= entity.start), ""),
        }
        for entity in document.entities
    ]


def _labels(document: Document) -> list[Row]:
    return [
        {
            "document": document.id,
            "task": label.task,
            "label": label.name,
            "confidence": label.confidence,
            "start": label.span.start if label.span else None,
            "end": label.span.end if label.span else None,
            "text": document.text_at([label.span]) if label.span else None,
        }
        for label in document.labels
    ]


def _relations(document: Document) -> list[Row]:
    texts = {entity.id: entity.text for entity in document.entities}
    return [
        {
            "document": document.id,
            "id": relation.id,
            "type": relation.type,
            "confidence": relation.confidence,
            "roles": [role for role, _ in relation.arguments],
            "arguments": [target for _, target in relation.arguments],
            "texts": [texts.get(target, "") for _, target in relation.arguments],
        }
        for relation in document.relations
    ]


_TABLES: dict[str, tuple[tuple[str, ...], Callable[[Document], list[Row]]]] = {
    "entities": (
        ("document", "id", "start", "end", "type", "text", "confidence", "identifiers", "attributes", "section"),
        _entities,
    ),
    "labels": (("document", "task", "label", "confidence", "start", "end", "text"), _labels),
    "relations": (("document", "id", "type", "confidence", "roles", "arguments", "texts"), _relations),
}

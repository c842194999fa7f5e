"""OMOP's table NOTE_NLP out (Common Data Model 5.4): a row an entity, as CSV.

`note_id` is the document's id. `note_nlp_concept_id` is 0, as a concept's number comes from a site's own vocabulary tables;
CURIEs stand in `term_modifiers` with type, confidence and attributes, as `name=value`. `offset` counts code points,
`nlp_date` is the day of writing. `term_exists` says whether the patient has or had it, as the Common Data Model defines
it: N where the mention is negated, hypothetical or about somebody else. `term_temporal` is Past for a historical mention.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from textome.documents import Document, Entity
from textome.escapes import no_formula
from textome.formats.reading.sources import Target
from textome.version import __version__

COLUMNS = (
    "note_nlp_id",
    "note_id",
    "section_concept_id",
    "snippet",
    "offset",
    "lexical_variant",
    "note_nlp_concept_id",
    "note_nlp_source_concept_id",
    "nlp_system",
    "nlp_date",
    "nlp_datetime",
    "term_exists",
    "term_temporal",
    "term_modifiers",
)
_SNIPPET = 100  # code points on each side
_WIDTH = 250  # of a column of text, by the model
_MODIFIERS = 2000


def write(documents: Iterable[Document], target: Target) -> int:
    """Write the entities of the documents; returns the number of documents."""
    written = row = 0
    system, now = f"textome {__version__}", datetime.now(UTC)
    moment = (now.date().isoformat(), now.isoformat(timespec="seconds"))
    with target.open() as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        table = csv.writer(text)
        table.writerow(COLUMNS)
        for document in documents:
            for entity in document.entities:
                row += 1
                values: list[object] = [row, *_row(document, entity, system, moment)]
                table.writerow(values if target.formulas else [no_formula(str(value)) for value in values])
            written += 1
        text.detach()
    return written


def _row(document: Document, entity: Entity, system: str, moment: tuple[str, str]) -> Iterator[object]:
    yield from (
        document.id,
        0,
        _snippet(document, entity),
        entity.start,
        entity.text[:_WIDTH],
        0,
        0,
        system,
        *moment,
    )
    yield "Y" if _is_of_the_patient(entity) else "N"
    yield "Past" if entity.attributes.get("historical") == "true" else ""
    yield _modifiers(entity)


def _is_of_the_patient(entity: Entity) -> bool:
    """Whether the text says that the patient has or had it, also with doubt."""
    denied = any(entity.attributes.get(name) == "true" for name in ("negated", "hypothetical"))
    return not denied and entity.attributes.get("experiencer", "patient") == "patient"


def _snippet(document: Document, entity: Entity) -> str:
    """The mention with some text around it, in one line."""
    around = document.text[max(0, entity.start - _SNIPPET) : min(entity.end, entity.start + _SNIPPET) + _SNIPPET // 2]
    return " ".join(around.split())[:_WIDTH]


def _modifiers(entity: Entity) -> str:
    values = {"type": entity.type, "end": str(entity.end)}
    if entity.identifiers:
        values["identifiers"] = " ".join(entity.curies)
    if entity.confidence is not None:
        values["confidence"] = f"{entity.confidence:.4f}"
    values |= entity.attributes
    return ",".join(f"{name}={value}" for name, value in values.items())[:_MODIFIERS]

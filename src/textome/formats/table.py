"""Tables of texts in, tables of entities and labels out: comma, semicolon or tab between columns, quoted as in RFC 4180.

Read is a text a row, under a header that names a column for it, as spreadsheets and databases export them. Written is an
entity or a label a row, for spreadsheets, R and pandas; texts without either have no row, and relations are left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from textome.documents import Document, Entity, Label
from textome.errors import InputError
from textome.escapes import no_formula
from textome.formats.annotation_tools import entities_in_row
from textome.formats.reading.members import IDS, TEXTS, TITLES, document_of, plain_names, roles_of
from textome.formats.reading.rows import check_decoded, check_width, delimiter_of, read_rows
from textome.formats.reading.sources import Quarantine, Source, Target

COLUMNS = (
    *("document", "id", "start", "end", "type", "text", "confidence", "identifiers", "spans"),
    *("identifier_labels", "identifier_scores", "attributes", "task", "label"),
)
_TAG = re.compile(r"O|[BIESLUM](-\S+)?")
_PMID = re.compile(r"\d{4,8}")
# ChemProt's and other corpora's tables of abstracts have no header.
_WITHOUT_HEADER = {2: ["pmid", "text"], 3: ["pmid", "title", "abstract"]}


def sniff(head: str, name: str) -> bool:
    """A header with a column for texts, and one for titles or ids too unless the file's name says that it is a table."""
    lines = [line for line in head.split("\n") if line.strip()]
    first = next((line for line in lines if not line.lower().startswith(("sep=", '"sep='))), "")
    cells = first.split("\t")
    if any(_TAG.fullmatch(item.strip()) for item in cells[1:]):
        return False  # a word and its tag, as in CoNLL
    if _has_no_header(cells) and "|t|" not in first:
        return True
    names = plain_names(next(csv.reader([first.rstrip("\r")], delimiter=delimiter_of(first)), []))
    if not {*TEXTS, *TITLES}.intersection(names) or any(len(item) > 60 for item in names):
        return False
    called = "\t" in first or re.sub(r"\.(gz|bz2|xz)$", "", name).endswith((".csv", ".tsv"))
    return called or (len(names) > 1 and bool({*TITLES, *IDS}.intersection(names)) and bool({*TEXTS, *IDS} & {*names}))


def read(source: Source, quarantine: Quarantine, text_column: str | None = None) -> Iterator[Document]:
    """A document for each row: its title and text, its id, and its other cells as metadata.

    text_column   the name of the column of texts, where it is none of `members.TEXTS`

    Without a column for ids these are the file's name and the number of the row. A row without a text, or with more or
    fewer cells than the header, is quarantined with its line. Cells that hold annotations as JSON, as in Label Studio's
    tables, become entities.
    """
    header: list[str] = []
    roles: dict[str, str] = {}
    number = 0
    for line, cells in read_rows(source, quarantine):
        try:
            check_decoded(cells)
            if not header:
                header = _WITHOUT_HEADER[len(cells)] if _has_no_header(cells) else [cell.strip() for cell in cells]
                roles = _roles(header, text_column)
                if not _has_no_header(cells):
                    continue
            number += 1
            check_width(cells, header)
            # A column without a name, as pandas writes for its row numbers, is left out.
            values = {name: cell for name, cell in zip(header, cells, strict=True) if name}
            yield _document(values, roles, f"{source.stem}-{number}")
        except InputError as error:
            quarantine.add(source.name, f"line {line}", error)
            if not roles:
                return


def write(documents: Iterable[Document], target: Target) -> int:
    """An entity or a label a row, commas between columns, lines ended as RFC 4180 says. Offsets count code points.

    A discontinuous entity reaches from its beginning to its end, and `spans` has its parts, as `0-4;9-12`. Identifiers,
    their labels and scores, and attributes (`negated=true`) are joined by `;`, which becomes a comma inside a label. A
    label has `task` and `label`, and the text it is about where that is not the whole document.
    """
    number = 0
    with target.open() as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for number, document in enumerate(documents, 1):
            rows = [_row(document.id, entity) for entity in document.entities]
            rows += [_label_row(document, label) for label in document.labels]
            writer.writerows(rows if target.formulas else (map(no_formula, row) for row in rows))
        text.detach()
    return number


def _has_no_header(cells: Sequence[str]) -> bool:
    return len(cells) in _WITHOUT_HEADER and bool(_PMID.fullmatch(cells[0].strip())) and len(cells[-1].split()) > 1


def _roles(header: Sequence[str], text_column: str | None) -> dict[str, str]:
    names = plain_names(header)
    if twice := [name for name, number in Counter(filter(None, names)).items() if number > 1]:
        raise InputError(f"two columns are called {twice[0]!r}; rename one")
    return roles_of(header, text_column)


def _document(values: dict[str, str], roles: dict[str, str], default_id: str) -> Document:
    text = values[roles["text"]] if "text" in roles else ""
    column, entities = entities_in_row(values, text)
    if not column:
        return document_of(values, roles, default_id)
    # Offsets count in the text alone.
    kept = {role: name for role, name in roles.items() if role != "title"}
    draft = document_of({name: cell for name, cell in values.items() if name != column}, kept, default_id)
    return draft.with_annotations(draft.entity(item["spans"], item["type"]) for item in entities)


def _row(document: str, entity: Entity) -> tuple[object, ...]:
    spans = ";".join(f"{start}-{end}" for start, end in entity.spans) if len(entity.spans) > 1 else ""
    confidence = "" if entity.confidence is None else entity.confidence
    return (
        *(document, entity.id, entity.start, entity.end, entity.type, entity.text, confidence),
        *(";".join(entity.curies), spans),
        _several([identifier.label.replace(";", ",") for identifier in entity.identifiers]),
        _several(["" if identifier.score is None else str(identifier.score) for identifier in entity.identifiers]),
        ";".join(f"{name}={value}" for name, value in entity.attributes.items()),
        *("", ""),
    )


def _several(values: Sequence[str]) -> str:
    """Joined by `;`, empty ones too, so that each stays beside its identifier; nothing where all are empty."""
    return ";".join(values) if any(values) else ""


def _label_row(document: Document, label: Label) -> tuple[object, ...]:
    confidence = "" if label.confidence is None else label.confidence
    about = (*label.span, "", document.text_at([label.span])) if label.span else ("", "", "", "")
    return document.id, "", *about, confidence, *[""] * 5, label.task, label.name

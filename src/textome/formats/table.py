"""Tables of texts in, a table of entities out: comma, semicolon or tab between columns, quotes as RFC 4180 has them.

Read is a text a row, under a header that names a column for it, as spreadsheets and databases export them. Written is an
entity a row, for spreadsheets, R and pandas; texts without entities have no row, and relations are left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from textome.documents import Document, Entity, titled
from textome.errors import InputError
from textome.formats.compression import DECOMPRESSION_ERRORS
from textome.formats.sources import Quarantine, Source, Target

# How a header may name its columns; of several that are there, the first in this order is taken.
TEXTS = ("text", "abstract", "note", "note_text", "sentence", "body", "content")
TITLES = ("title", "article_title")
IDS = ("id", "pmid", "pubmed_id", "document_id", "doc_id", "note_id", "row_id", "pmcid", "doi")
COLUMNS = ("document", "id", "start", "end", "type", "text", "confidence", "identifiers", "spans")
# The longest cell, in characters: more than any abstract or note has, and little of a file is lost to a quote left open.
MAX_CELL = 1_000_000
_TAG = re.compile(r"O|[BIESLUM](-\S+)?")


def sniff(head: str, name: str) -> bool:
    """A header with a column for texts, and one for titles or ids too unless the file's name says that it is a table."""
    first = next((line for line in head.split("\n") if line.strip()), "")
    names = _names(next(csv.reader([first.rstrip("\r")], delimiter=_delimiter(first)), []))
    if not set(TEXTS).intersection(names) or any(len(item) > 60 for item in names):
        return False
    if any(_TAG.fullmatch(item.strip()) for item in first.split("\t")[1:]):
        return False  # a word and its tag, as in CoNLL
    called = re.sub(r"\.(gz|bz2|xz)$", "", name).endswith((".csv", ".tsv"))
    return called or (len(names) > 1 and bool({*TITLES, *IDS}.intersection(names)))


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """A document for each row: its title and text, its id, and its other cells as metadata.

    Without a column for ids these are the file's name and the number of the row. A row without a text, or with more or
    fewer cells than the header, is quarantined with its line.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    line = 1
    try:
        with source.open() as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
            while (first := text.readline(MAX_CELL)) and not first.strip():
                line += 1
            delimiter = _delimiter(first)
            header = next(csv.reader([first], delimiter=delimiter), [])
            columns = _columns(header)
            rows = csv.reader(_lines(text), delimiter=delimiter, strict=True)
            number = 0
            while True:
                start = line + rows.line_num + 1
                try:
                    cells = next(rows, None)
                    if cells is None:
                        return
                    if not any(cell.strip() for cell in cells):
                        continue
                    number += 1
                    if len(cells) != len(header):
                        raise InputError(f"{len(cells)} cells, but the header has {len(header)} columns")
                    yield _document(columns, cells, f"{source.stem}-{number}")
                except _LineTooLongError as error:
                    quarantine.add(source.name, f"line {start}", error)
                    return
                except (csv.Error, InputError) as error:
                    quarantine.add(source.name, f"line {start}", error)
    except InputError as error:
        quarantine.add(source.name, f"line {line}", error)
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, "", f"the file is cut short or damaged ({error})")


def write(documents: Iterable[Document], target: Target) -> int:
    """An entity a row, commas between columns, lines ended as RFC 4180 says. Offsets count code points of the document.

    A discontinuous entity reaches from its beginning to its end, and `spans` has its parts, as `0-4;9-12`.
    """
    number = 0
    with target.open() as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        for number, document in enumerate(documents, 1):
            rows.writerows(_row(document.id, entity) for entity in document.entities)
        text.detach()
    return number


class _LineTooLongError(InputError):
    """A line without end, behind which nothing can be read."""


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(4 * MAX_CELL):
        if len(line) == 4 * MAX_CELL:
            raise _LineTooLongError("a line of more than four million characters; the rest of the file is not read")
        yield line


def _delimiter(header: str) -> str:
    return max("\t,;", key=header.count)


def _names(cells: Sequence[str]) -> list[str]:
    return [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in cells]


def _columns(header: Sequence[str]) -> dict[str, int]:
    """The place of each column: `text`, perhaps `title` and `id`, and the others by their own names with a space before.

    A column without a name, as pandas writes for its row numbers, is left out.
    """
    _check_decoded(header)
    names = _names(header)
    if twice := [name for name, number in Counter(filter(None, names)).items() if number > 1]:
        raise InputError(f"two columns are called {twice[0]!r}; rename one")
    found = {}
    for role, known in (("text", TEXTS), ("title", TITLES), ("id", IDS)):
        if name := next((name for name in known if name in names), ""):
            found[role] = names.index(name)
    if "text" not in found and "title" not in found:
        raise InputError(f"no column holds texts; call it one of {', '.join(TEXTS)} (found: {', '.join(names)[:200]})")
    roles = set(found.values())
    return found | {
        f" {cell.strip()}": place for place, cell in enumerate(header) if cell.strip() and place not in roles
    }


def _check_decoded(cells: Sequence[str]) -> None:
    if any(re.search("[\udc80-\udcff]", cell) for cell in cells):
        raise InputError("not UTF-8; convert the file first, as with iconv -f latin1 -t utf-8")


def _document(columns: dict[str, int], cells: Sequence[str], otherwise: str) -> Document:
    _check_decoded(cells)
    values = {name: cells[place] for name, place in columns.items()}
    title, text = values.get("title", ""), values.get("text", "")
    if not (title + text).strip():
        raise InputError("the row has no text")
    passages = titled(title, text, "abstract" if title else "")
    metadata = {name[1:]: value for name, value in values.items() if name.startswith(" ") and value}
    return Document(values.get("id", "").strip() or otherwise, passages, metadata=metadata)


def _row(document: str, entity: Entity) -> tuple[object, ...]:
    spans = ";".join(f"{start}-{end}" for start, end in entity.spans) if len(entity.spans) > 1 else ""
    confidence = "" if entity.confidence is None else entity.confidence
    identifiers = ";".join(entity.curies)
    return document, entity.id, entity.start, entity.end, entity.type, entity.text, confidence, identifiers, spans

"""What each format keeps of a document: one is written and read again, once for each thing that a document can hold.

A format that is only written keeps what changes its file. One that is only read keeps what is read from a small file here.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from textome.documents import Document, Entity, Identifier, Label, Relation, Span, titled
from textome.formats import FORMATS, Source, read_documents, write_documents

# Its first letter takes four bytes and two UTF-16 units, so offsets of mentions after it tell what is counted.
_EMPTY = Document("7", titled("\U0001d6fc-blockers and gout", "Allopurinol lowers serum and urine urate in gout."))
_GOUT, _TITLE = _EMPTY.entity([(15, 19)], "Disease", id="T1"), _EMPTY.entity([(0, 19)], "Disease", id="T2")
_DRUG = _EMPTY.entity([(20, 31)], "Chemical", id="T3", identifiers=["mesh:D000493"])
_PIECES, _WHOLE = (_EMPTY.entity(spans, "Chemical") for spans in ([(39, 44), (55, 60)], [(39, 60)]))
_KNOWN = replace(_GOUT, identifiers=(Identifier("mesh:D006073"),))
_LABELLED, _SCORED = Identifier("mesh:D006073", label="Gout"), Identifier("mesh:D006073", 0.75)
_TREATS = Relation("treats", (("what", "T3"), ("whom", "T1")), "R1")
_ONLY_READ = {
    "csv": "id,title,text\n7,On gout,Gout hurts.\n",
    "ddi-xml": """<?xml version="1.0"?><document id="7"><sentence id="s0" text="\U0001d6fc gout, asthma of mild kind.">
        <entity id="e0" charOffset="2-5" type="drug" text="gout"/>
        <entity id="e1" charOffset="2-13" type="drug" text="gout, asthma"/>
        <entity id="e2" charOffset="8-13;23-26" type="drug" text="asthma kind"/>
        <pair id="p0" e1="e0" e2="e1" ddi="true" type="effect"/>
        </sentence><sentence id="s1" text="Nothing else."/></document>""",
    "jats": "<article><front><article-meta><article-id pub-id-type='pmid'>7</article-id><title-group><article-title>On gout"
    "</article-title></title-group></article-meta></front><body><p>Gout hurts.</p></body></article>",
    "medline": "\nPMID- 7\nTI  - On gout\nAB  - Gout hurts.\n",
    "ris": "TY  - JOUR\nID  - 7\nTI  - On gout\nAB  - Gout hurts.\nER  - \n",
}
_MOMENT = re.compile(rb"\d{4}-\d\d-\d\d(T[\d:]+)?")


def _with(*entities: Entity, relation: Relation | None = None, label: Label | None = None) -> Document:
    return replace(
        _EMPTY, entities=entities, relations=(relation,) if relation else (), labels=(label,) if label else ()
    )


@dataclass(frozen=True)
class Trait:
    """A thing that a document can hold.

    column  of the table
    word    what its cell says
    having  a document that holds it; `lacking` is the same without it
    has     whether a document that was read holds it
    """

    column: str
    word: str
    having: Document
    lacking: Document
    has: Callable[[Document], bool]


def _of_entities(column: str, word: str, having: Entity, lacking: Entity, has: Callable[[Entity], bool]) -> Trait:
    return Trait(column, word, _with(having), _with(lacking), lambda read: any(map(has, read.entities)))


_PAIR = _with(_DRUG, _KNOWN)
TRAITS = (
    Trait("passages", "yes", _EMPTY, Document.from_text(_EMPTY.text, "7"), lambda read: len(read.passages) > 1),
    Trait("entities", "yes", _with(_GOUT), _EMPTY, lambda read: bool(read.entities)),
    Trait("overlapping", "yes", _with(_GOUT, _TITLE), _with(_GOUT), lambda read: _overlap(read)),
    _of_entities("in pieces", "yes", _PIECES, _WHOLE, lambda entity: len(entity.spans) > 1),
    _of_entities(
        "confidence", "yes", replace(_GOUT, confidence=0.875), _GOUT, lambda item: item.confidence is not None
    ),
    _of_entities("identifiers", "CURIE", _KNOWN, _GOUT, lambda entity: bool(entity.identifiers)),
    _of_entities(
        "identifiers",
        "label",
        replace(_GOUT, identifiers=(_LABELLED,)),
        _KNOWN,
        lambda entity: any(identifier.label for identifier in entity.identifiers),
    ),
    _of_entities(
        "identifiers",
        "score",
        replace(_GOUT, identifiers=(_SCORED,)),
        _KNOWN,
        lambda entity: any(identifier.score for identifier in entity.identifiers),
    ),
    _of_entities(
        "attributes",
        "yes",
        replace(_GOUT, attributes={"negated": "true"}),
        _GOUT,
        lambda entity: bool(entity.attributes),
    ),
    Trait(
        "relations",
        "of mentions",
        replace(_PAIR, relations=(_TREATS,)),
        _PAIR,
        lambda read: any(relation.arguments for relation in read.relations),
    ),
    Trait(
        "relations",
        "of concepts",
        replace(_PAIR, relations=(_TREATS,)),
        _PAIR,
        lambda read: any(not relation.arguments for relation in read.relations),
    ),
    Trait(
        "labels",
        "of documents",
        _with(label=Label("GOOD", "kind")),
        _EMPTY,
        lambda read: any(label.span is None for label in read.labels),
    ),
    Trait(
        "labels",
        "of spans",
        _with(label=Label("GOOD", "kind", span=Span(0, 10))),
        _EMPTY,
        lambda read: any(label.span is not None for label in read.labels),
    ),
)


def _overlap(document: Document) -> bool:
    return any(
        first.start < second.end and second.start < first.end
        for number, first in enumerate(document.entities)
        for second in document.entities[:number]
    )


def matrix() -> str:
    """The table, a format a row."""
    columns = list(dict.fromkeys(trait.column for trait in TRAITS))
    lines = [
        f"| format | file | reads | writes | text and offsets | {' | '.join(columns)} |",
        "|---" * (len(columns) + 5) + "|",
    ]
    with tempfile.TemporaryDirectory() as name:
        for format, row in FORMATS.items():
            kept = list(_kept(format, Path(name)))
            cells = [
                f"`{format}`",
                f"`{row.extension}`" if row.extension else "",
                "yes" if row.readable else "no",
                "yes" if row.writable else "no",
                _text(format, Path(name)),
                *(", ".join(trait.word for trait in kept if trait.column == column) or "no" for column in columns),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _kept(format: str, folder: Path) -> Iterator[Trait]:
    row = FORMATS[format]
    if row.writable and row.readable and row.writes_texts:
        yield from (trait for trait in TRAITS if trait.has(_again(trait.having, format, folder)))
    elif row.writable:
        for trait in TRAITS:
            if trait.word != "of concepts" and _file(trait.having, format, folder) != _file(
                trait.lacking, format, folder
            ):
                yield trait
    else:
        document = _only_read(format, folder)
        yield from (trait for trait in TRAITS if trait.has(document))


def _text(format: str, folder: Path) -> str:
    """Whether text and offsets are the same after writing and reading."""
    if not FORMATS[format].writes_texts:
        return "not read again"
    if not FORMATS[format].writable:
        return "read only"
    before, after = _with(_GOUT), _again(_with(_GOUT), format, folder)
    same = before.text == after.text and all(entity.spans == _GOUT.spans for entity in after.entities)
    return "the same" if same else "the words"


def _again(document: Document, format: str, folder: Path) -> Document:
    path = folder / f"{format}.again"
    write_documents([document], path, format)
    if path.is_dir() and format != "brat":
        path = next(path.glob("7.*"))  # a file a document
    return next(iter(read_documents(path, format)))


def _file(document: Document, format: str, folder: Path) -> bytes:
    path = folder / f"{format}.file"
    write_documents([document], path, format)
    return _MOMENT.sub(b"", path.read_bytes())


def _only_read(format: str, folder: Path) -> Document:
    if format == "parquet":
        import pyarrow
        import pyarrow.parquet

        path = folder / "texts.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"id": ["7"], "title": ["On gout"], "text": ["Gout hurts."]}), path)
        return next(iter(read_documents(path, format)))
    return next(iter(read_documents(Source(format, data=_ONLY_READ[format].encode()), format)))

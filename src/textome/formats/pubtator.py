"""PubTator: title, abstract and tab-separated annotations (Wei et al. 2013), streamed document by document.

    PMID|t|title
    PMID|a|abstract
    PMID<TAB>start<TAB>end<TAB>text<TAB>type<TAB>identifier
    PMID<TAB>relation type<TAB>identifier<TAB>identifier

Offsets count from the start of the title, over the title, one separator, and the abstract. Relations stand between
concepts, not mentions, so theirs have no arguments: the identifiers are in their metadata as `entity1` and `entity2`, as
in BioRED's BioC files. A concept that no mention has, as happens, is kept so too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from textome.documents import Document, Entity, Passage, Relation, as_identifiers, replace_lone_surrogates
from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.identifiers import from_curies, to_curies
from textome.formats.reading.json_values import parse_json
from textome.formats.reading.offsets import in_code_points
from textome.formats.reading.sources import Quarantine, Source, Target

_TEXT_LINE = re.compile(r"([^|\t]*)\|([ta])\|(.*)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,15}")
# Keys by which BioC files of corpora name the concepts of a relation.
_CONCEPTS = ("Chemical", "Disease", "Gene", "Species", "Mutation", "CellLine", "Variant")


def sniff(head: str, name: str) -> bool:
    first = next((line for line in head.split("\n") if line.strip()), "")
    return re.match(r"[^|\t]{1,200}\|[ta]\|", first) is not None


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """Documents as the file is read. One whose offsets disagree with its text is quarantined with PMID and line."""
    block: list[tuple[int, str]] = []
    number = 0
    try:
        with source.open_text() as stream:
            for number, raw in enumerate(stream, 1):
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8", errors="surrogateescape").rstrip("\r\n")
                starts = (match := _TEXT_LINE.fullmatch(line)) is not None and match[2] == "t"
                if block and (starts or not line.strip()):
                    yield from _quarantined(source, block, quarantine)
                    block = []
                if line.strip():
                    block.append((number, line))
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, f"after line {number}", f"the file is cut short or damaged ({error})")
        return
    if block:
        yield from _quarantined(source, block, quarantine)


def write(documents: Iterable[Document], target: Target) -> int:
    """The first passage as title, the rest as abstract, at the offsets of the document.

    A line break in the text becomes a space, one for one, and so does a sign in the id that would end it; a document
    without id gets its number. A discontinuous mention is written as the stretch from its
    beginning to its end, since the format has one start and one end. Relations between mentions are written by the first
    identifiers of their arguments, and left out where an argument has none. Also left out, since the format has no room
    for them, are confidences, attributes, the scores and labels of identifiers, and labels.
    """
    number = 0
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            stream.write(_block(document, _name(document, number)).encode("utf-8"))
    return number


def _quarantined(source: Source, block: list[tuple[int, str]], quarantine: Quarantine) -> Iterator[Document]:
    try:
        yield _document(block)
    except InputError as error:
        name = re.split(r"[|\t]", block[0][1], maxsplit=1)[0]
        quarantine.add(source.name, f"line {block[0][0]}, document {name}", error)


def _document(block: Sequence[tuple[int, str]]) -> Document:
    name = ""
    texts: dict[str, str] = {}
    rows: list[tuple[int, list[str]]] = []
    for number, line in block:
        if re.search("[\udc80-\udcff]", line):
            raise InputError(f"line {number} is not UTF-8; convert the file first")
        if match := _TEXT_LINE.fullmatch(line):
            if match[2] in texts:
                what = "title" if match[2] == "t" else "abstract"
                raise InputError(f"line {number}: this document has a second {what}; part documents by a blank line")
            name = match[1]
            texts[match[2]] = replace_lone_surrogates(match[3])
        else:
            rows.append((number, line.split("\t")))
    if not texts:
        raise InputError(f"line {block[0][0]}: expected 'PMID|t|title', found {block[0][1][:60]!r}")
    title, abstract = texts.get("t", ""), texts.get("a", "")
    passages = [Passage(title, 0, "title")]
    if abstract:
        passages.append(Passage(abstract, len(title) + 1, "abstract"))
    draft = Document(name, tuple(passages))
    mentions: list[tuple[int, list[str]]] = []
    relations: list[tuple[int, list[str]]] = []
    for number, row in rows:
        if row[0] != name:
            raise InputError(f"line {number}: this line is of document {row[0][:60]!r}, but stands under {name!r}")
        (mentions if _is_mention(row) else relations).append((number, row))
    return draft.with_annotations(_entities(f"{title}\n{abstract}", mentions), [_relation(*row) for row in relations])


def _is_mention(row: Sequence[str]) -> bool:
    return len(row) >= 4 and all(_NUMBER.fullmatch(column) for column in row[1:3])


def _entities(text: str, rows: Sequence[tuple[int, list[str]]]) -> list[Entity]:
    located = [([(int(row[1]), int(row[2]))], row[3]) for _, row in rows]
    names = [f"line {number}: the annotation" for number, _ in rows]
    entities = []
    for (number, row), spans in zip(rows, in_code_points(text, located, names), strict=True):
        if len(row) < 5:
            raise InputError(f"line {number}: expected at least 5 tab-separated columns, found {len(row)}")
        kind, raw = row[4], row[5] if len(row) > 5 else None
        identifiers = to_curies(raw or "", kind)
        metadata = {} if raw is None or from_curies(identifiers) == raw else {"identifier": raw}
        metadata |= {f"column{index}": value for index, value in enumerate(row[6:], 7)}
        if raw is None:
            metadata["columns"] = "5"
        actual = " ".join(text[start:end] for start, end in spans)
        entities.append(Entity(spans, kind, actual, identifiers=as_identifiers(identifiers), metadata=metadata))
    return entities


def _relation(number: int, row: list[str]) -> Relation:
    if len(row) < 4:
        raise InputError(
            f"line {number}: expected an annotation (PMID, start, end, text, type) or a relation (PMID, type, two "
            f"identifiers), found {len(row)} tab-separated columns"
        )
    metadata = {"entity1": row[2], "entity2": row[3]}
    metadata |= {"novel": row[4]} if len(row) > 4 else {}
    metadata |= {f"column{index}": value for index, value in enumerate(row[5:], 6)}
    return Relation(row[1], (), metadata=metadata)


def _block(document: Document, name: str) -> str:
    text = re.sub(r"[\r\n]", " ", document.text)
    first = document.passages[0].end if document.passages else 0
    adjacent = len(document.passages) > 1 and document.passages[1].offset == first
    end = len(text) if adjacent else first
    lines = [f"{name}|t|{text[:end]}", f"{name}|a|{text[end + 1 :]}"]
    for entity in document.entities:
        raw = entity.metadata.get("identifier", from_curies(entity.curies))
        columns = [name, str(entity.start), str(entity.end), text[entity.start : entity.end], entity.type]
        columns += [raw] if entity.metadata.get("columns") != "5" else []
        extra = [key for key in entity.metadata if re.fullmatch(r"column\d+", key)]
        columns += [entity.metadata[key] for key in sorted(extra, key=lambda key: int(key[6:]))]
        lines.append("\t".join(_one_field(column) for column in columns))
    concepts = {entity.id: from_curies(entity.curies[:1]) for entity in document.entities if entity.id}
    for relation in document.relations:
        metadata = relation.metadata
        ends = _named_concepts(metadata) or [concepts.get(target, "") for _, target in relation.arguments]
        if len(ends) >= 2 and all(ends):
            ends += [_novelty(metadata["novel"])] if "novel" in metadata else []
            extra = [metadata[key] for key in metadata if re.fullmatch(r"column\d+", key)]
            kind = relation.type or metadata.get("relation", "")
            lines.append("\t".join(_one_field(item) for item in (name, kind, *ends, *extra)))
    return "\n".join(lines) + "\n\n"


def _novelty(value: str) -> str:
    """What BioRED's fifth column says, of a relation that was read from there or has the probability that a model gives."""
    try:
        return "Novel" if float(value) >= 0.5 else "No"
    except ValueError:
        return value


def _named_concepts(metadata: Mapping[str, str]) -> list[str]:
    """The concepts of a relation that its metadata name: as BioRED has them, as PubTator's service (`role1`, `role2`), or
    as BC5CDR (the type of each concept as key)."""
    if "entity1" in metadata and "entity2" in metadata:
        return [metadata["entity1"], metadata["entity2"]]
    if "role1" in metadata and "role2" in metadata:
        roles = [_member(metadata[key], "identifier") for key in ("role1", "role2")]
        return [from_curies(to_curies(role, "")) for role in roles]
    others = [value for key, value in metadata.items() if key in _CONCEPTS]
    return others if len(others) == 2 else []


def _member(text: str, key: str) -> str:
    """A member of an object in JSON; empty where there is none."""
    try:
        value = parse_json(text)
    except InputError:
        return ""
    return str(value.get(key, "")) if isinstance(value, dict) else ""


def _name(document: Document, number: int) -> str:
    """The id without a sign that would end it, nor a byte order mark, which would not be read at the start of a file."""
    return re.sub(r"[|\t\r\n]", " ", document.id).lstrip("\ufeff") or str(number)


def _one_field(text: str) -> str:
    return re.sub(r"[\t\r\n]", " ", text)

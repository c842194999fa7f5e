"""CoNLL files for entities: a word and its tag on each line, a blank line between sentences.

Two columns parted by a tab, as BioBERT's data sets have them, or more columns (tab or space) with the tag last, as in
CoNLL-2003. `-DOCSTART-` lines part documents; in a file without them each sentence is a document. The text of a document
is its words joined by one space, its sentences by a line break, so the words can always be had back.

Tags may be IOB1, IOB2 or IOBES (BILOU): which of them is told from the whole file, since a single sentence may fit
several. Bare tags `B`, `I`, `O` need the type from the caller; it is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from textome.documents import Document, Entity, Passage, Span, replace_lone_surrogates
from textome.errors import InputError
from textome.formats.sources import DECOMPRESSION_ERRORS, Quarantine, Source, Target

Scheme = Literal["iob1", "iob2", "iobes"]
_TAG = re.compile(r"O|([BIESLUM])(?:-(\S+))?")
_IOBES = {"S": "B", "U": "B", "E": "I", "L": "I", "M": "I"}
_WORD = re.compile(r"\w+|[^\w\s]")
_DOCSTART = "-DOCSTART-"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with their tags in IOB2, and the line in the file where the sentence begins."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    line: int
    document: int = 0


def sniff(head: str, name: str) -> bool:
    """Do most of the first lines end in a tag after a tab or a space?"""
    lines = [line for line in head.splitlines()[:-1] if line.strip() and not line.startswith(_DOCSTART)][:40]
    tagged = sum(1 for line in lines if len(parts := _columns(line)) > 1 and _TAG.fullmatch(parts[-1]))
    return len(lines) > 1 and tagged >= 0.8 * len(lines)


def read(source: Source, quarantine: Quarantine, entity_type: str | None = None) -> Iterator[Document]:
    """Documents with their entities; the id is the file's name and the line where the document begins."""
    stem = PurePath(source.name).stem
    block: list[Sentence] = []
    for sentence in read_sentences(source, quarantine, entity_type):
        if block and (sentence.document != block[0].document or sentence.document == 0):
            yield _document(block, stem)
            block = []
        block.append(sentence)
    if block:
        yield _document(block, stem)


def read_sentences(
    source: Source, quarantine: Quarantine, entity_type: str | None = None, scheme: Scheme | None = None
) -> Iterator[Sentence]:
    """Sentences with tags in IOB2, whatever the file's scheme. A sentence with a bad line is quarantined.

    `Sentence.document` counts the `-DOCSTART-` lines seen before, so it is 0 throughout a file without them.

    Raises InputError where the tags are bare and no `entity_type` is given.
    """
    found = list(_raw_sentences(source, quarantine))
    kind = scheme or detect_scheme(tags for _, tags, _, _ in found)
    for words, tags, line, document in found:
        typed = [_with_type(tag, entity_type, f"{source.name}, line {line}") for tag in tags]
        yield Sentence(tuple(words), tuple(to_iob2(typed, kind)), line, document)


def detect_scheme(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme of a whole file.

    Any S, E, L or U means IOBES. In IOB1, B stands only after an entity of the same type; so if every B does and some
    entity begins with I, it is IOB1. Everything else is IOB2, in which a stray I is read as a beginning.
    """
    starts_with_inside = begins_after_outside = False
    for tags in sentences:
        before = "O"
        for tag in tags:
            if tag[0] in _IOBES:
                return "iobes"
            if (tag[0] == "I" and before[2:] != tag[2:]) or (tag[0] == "I" and before == "O"):
                starts_with_inside = True
            if tag[0] == "B" and (before == "O" or before[2:] != tag[2:]):
                begins_after_outside = True
            before = tag
    return "iob1" if starts_with_inside and not begins_after_outside else "iob2"


def to_iob2(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Tags in IOB2. An I without anything before it to continue becomes a B."""
    result: list[str] = []
    before = "O"
    for tag in tags:
        letter, kind = tag[0], tag[2:]
        if scheme == "iobes":
            letter = _IOBES.get(letter, letter)
        if letter == "I" and (before == "O" or before[2:] != kind):
            letter = "B"
        before = "O" if letter == "O" else f"{letter}-{kind}"
        result.append(before)
    return result


def write(documents: Iterable[Document], target: Target) -> int:
    """Two columns, tab-separated, IOB2; a `-DOCSTART-` line before each document where one has several sentences.

    Words are runs of letters and digits, and each other sign by itself; a document whose words are joined by single
    spaces (as read from CoNLL) keeps its own words. One tag a word cannot hold overlapping entities: the longest stays,
    and the first of equals. A document without a word gives an empty block.
    """
    number = 0
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            lines = list(document.text.split("\n"))
            if len(lines) > 1:
                stream.write(f"{_DOCSTART}\tO\n\n".encode())
            stream.write(_tagged(document).encode("utf-8"))
    return number


def _tagged(document: Document) -> str:
    words = _words(document)
    tags = ["O"] * len(words)
    for entity in sorted(document.entities, key=lambda item: (item.start - item.end, item.start)):
        inside = [index for index, (start, end) in enumerate(words) if start < entity.end and end > entity.start]
        if inside and all(tags[index] == "O" for index in inside):
            for index in inside:
                tags[index] = f"I-{entity.type}"
            tags[inside[0]] = f"B-{entity.type}"
    rows: list[str] = []
    previous = 0
    for (start, end), tag in zip(words, tags, strict=True):
        if "\n" in document.text[previous:start] and rows:
            rows.append("")
        rows.append(f"{document.text[start:end]}\t{tag}")
        previous = end
    return "\n".join(rows) + "\n\n"


def _words(document: Document) -> list[tuple[int, int]]:
    pattern = re.compile("[^ \n]+") if document.metadata.get("words") == "space" else _WORD
    return [match.span() for match in pattern.finditer(document.text)]


def _raw_sentences(source: Source, quarantine: Quarantine) -> Iterator[tuple[list[str], list[str], int, int]]:
    words: list[str] = []
    tags: list[str] = []
    first = document = number = 0
    bad: InputError | None = None
    try:
        with source.open() as stream:
            for number, raw in enumerate([*stream, b"\n"], 1):
                line = _decode(raw)
                if isinstance(line, InputError):
                    bad = bad or InputError(f"line {number}: {line}")
                elif line.startswith(_DOCSTART):
                    document += 1
                elif line.strip():
                    first = first or number
                    columns = _columns(line)
                    if len(columns) < 2:
                        bad = bad or InputError(
                            f"line {number}: expected a word and a tag parted by a tab, found one column; is this a "
                            f"CoNLL file? Give --from to choose another format"
                        )
                    elif not _TAG.fullmatch(columns[-1]):
                        bad = bad or InputError(f"line {number}: {columns[-1]!r} is no IOB or IOBES tag")
                    else:
                        words.append(columns[0])
                        tags.append(columns[-1])
                else:
                    if bad is not None:
                        quarantine.add(source.name, "", bad)
                    elif words:
                        yield words, tags, first, document
                    words, tags, first, bad = [], [], 0, None
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, f"after line {number}", f"the file is cut short or damaged ({error})")


def _decode(raw: bytes) -> str | InputError:
    try:
        return replace_lone_surrogates(raw.decode("utf-8-sig").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        return InputError(f"not UTF-8 at byte {error.start} of the line")


def _columns(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split(" ")


def _with_type(tag: str, entity_type: str | None, where: str) -> str:
    if tag == "O" or len(tag) > 1:
        return tag
    if entity_type is None:
        raise InputError(f"{where}: the tags are bare {tag!r} without a type; say which it is with --entity-type")
    return f"{tag}-{entity_type}"


def _document(sentences: Sequence[Sentence], stem: str) -> Document:
    pieces: list[str] = []
    entities: list[Entity] = []
    position = 0
    for sentence in sentences:
        starts: list[int] = []
        for word in sentence.words:
            starts.append(position)
            position += len(word) + 1
        text = " ".join(sentence.words)
        pieces.append(text)
        offset = starts[0]
        for first, last, kind in _chunks(sentence.tags):
            span = Span(starts[first], starts[last] + len(sentence.words[last]))
            entities.append(Entity((span,), kind, text[span.start - offset : span.end - offset]))
    passages = (Passage("\n".join(pieces)),)
    return Document(f"{stem}:{sentences[0].line}", passages, tuple(entities), metadata={"words": "space"})


def _chunks(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(first word, last word, type) of each entity of IOB2 tags."""
    start: int | None = None
    for index, tag in enumerate([*tags, "O"]):
        if start is not None and tag[0] != "I":
            yield start, index - 1, tags[start][2:]
            start = None
        if tag[0] == "B":
            start = index

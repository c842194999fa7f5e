"""CoNLL files for entities: a word and its tag on each line, a blank line between sentences.

Two columns parted by a tab, as BioBERT's data sets have them, or more columns (tab or space) with the tag last, as in
CoNLL-2003; the first line says how many. Where the first of three columns counts the words of the first sentence, the words
stand in the second. `-DOCSTART-` lines part documents; in a file without them each sentence is a
document. The text of a document is its words joined by one space, its sentences by a line break, so splitting it there
gives the words back. There are no comments: a line that begins with `#` is a word like any other.

Tags may be IOB1, IOB2 or IOBES (BILOU): which of them is told from the whole file, since a single sentence may fit
several. Bare tags `B`, `I`, `O` need the type from the caller; it is never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from textome.documents import Document, Entity, Passage, Span
from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import Quarantine, Source, Target
from textome.patterns import lazy_pattern

Scheme = Literal["iob1", "iob2", "iobes"]
_TAG = lazy_pattern(r"O|([BIESLUM])(?:-(\S+))?")
_IOBES = {"S": "B", "U": "B", "E": "I", "L": "I", "M": "I"}
_LAST_OF_ENTITY = frozenset("SUEL")
_WORD = lazy_pattern(r"\w+|[^\w\s]")
_DOCSTART = "-DOCSTART-"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with their tags in IOB2, and the line in the file where the sentence begins.

    `document` counts the `-DOCSTART-` lines before it, so it is 0 throughout a file without them. `repaired` counts the
    tags that continue an entity where none stands, against the file's scheme; each is read as a beginning.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    line: int
    document: int = 0
    repaired: int = 0


class _Block(NamedTuple):
    """A sentence with its tags as they stand in the file, and what stands in its first two columns."""

    words: list[str]
    seconds: list[str]
    tags: list[str]
    line: int
    document: int


def sniff(head: str, name: str) -> bool:
    """Do most of the first lines end in a tag after a tab or a space? Some, where the file is named as CoNLL files are."""
    lines = head.split("\n")
    if len(lines) > 2 and not head.endswith("\n"):
        lines.pop()  # the head may end amid a line
    lines = [line for line in lines if line.strip() and not line.startswith(_DOCSTART)][:40]
    tagged = sum(1 for line in lines if len(parts := _columns(line)) > 1 and _TAG.fullmatch(parts[-1]))
    named = re.search(r"\.(conll\w*|iob2?|bio|iobes)(\.(gz|bz2|xz))?$", name, re.IGNORECASE)
    return bool(lines) and tagged >= (0.3 if named else 0.8) * len(lines)


def read(source: Source, quarantine: Quarantine, entity_type: str | None = None) -> Iterator[Document]:
    """Documents with their entities; the id is the file's name and the line where the document begins.

    entity_type     the type of bare tags `B` and `I`

    Raises InputError where the tags are bare and no `entity_type` is given.
    """
    block: list[Sentence] = []
    for sentence in read_sentences(source, quarantine, entity_type):
        if block and (sentence.document != block[0].document or sentence.document == 0):
            yield _document(block, source.stem)
            block = []
        block.append(sentence)
    if block:
        yield _document(block, source.stem)


def read_sentences(
    source: Source, quarantine: Quarantine, entity_type: str | None = None, scheme: Scheme | None = None
) -> Iterator[Sentence]:
    """Sentences with tags in IOB2, whatever the file's scheme. A sentence with a bad line is quarantined.

    The file is read twice, first for its scheme, so that memory does not grow with it.

    Raises InputError where the tags are bare and no `entity_type` is given.
    """
    kind = scheme or detect_scheme(block.tags for block in _blocks(source, Quarantine(keep=0)))
    for block in _blocks(source, quarantine):
        typed = [_with_type(tag, entity_type, f"{source.name}, line {block.line}") for tag in block.tags]
        tags = to_iob2(typed, kind)
        repaired = 0 if kind == "iob1" else sum(map(_is_repaired, typed, tags))
        yield Sentence(tuple(block.words), tuple(tags), block.line, block.document, repaired)


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
    """Tags in IOB2. A tag that continues an entity where there is none of its type becomes a B.

    Source: conlleval's rules for where a chunk begins (Tjong Kim Sang 2002), as seqeval's default mode has them.
    """
    result: list[str] = []
    before = "O"
    for tag in tags:
        letter, kind = tag[0], tag[2:]
        if scheme == "iobes":
            letter = _IOBES.get(letter, letter)
        if letter == "I" and (before == "O" or before[2:] != kind):
            letter = "B"
        result.append("O" if letter == "O" else f"{letter}-{kind}")
        before = "O" if scheme == "iobes" and tag[0] in _LAST_OF_ENTITY else result[-1]
    return result


def _is_repaired(tag: str, read_as: str) -> bool:
    return tag[0] not in "BSU" and read_as[0] == "B"


def write(documents: Iterable[Document], target: Target) -> int:
    """Two columns, tab-separated, IOB2; from the first document of several sentences on, each begins with `-DOCSTART-`.

    A line break in the text ends a sentence. Words are runs of letters (with their accents) and digits, and each other
    sign by itself, as in BERT's basic tokenizer, cut also where an entity begins or ends, so that no entity grows; a
    document that was read from CoNLL keeps its own words. One tag a word cannot hold overlapping entities: the longest
    stays, and the first of equals. A discontinuous one is tagged from its beginning to its end, and one over a line break
    goes on as a new one.
    A document without a word gives an empty block.
    """
    number = 0
    parted = False
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            blocks = _tagged(document)
            parted = parted or len(blocks) > 1
            if parted:
                stream.write(f"{_DOCSTART}\tO\n\n".encode())
            for block in blocks:
                stream.write("".join(f"{word}\t{tag}\n" for word, tag in block).encode("utf-8"))
                stream.write(b"\n")
    return number


def _tagged(document: Document) -> list[list[tuple[str, str]]]:
    """The sentences as words with tags."""
    kept: list[Entity] = []
    covered = bytearray(len(document.text))
    for entity in sorted(document.entities, key=lambda item: (item.start - item.end, item.start)):
        if covered.find(1, entity.start, entity.end) < 0:
            covered[entity.start : entity.end] = b"\x01" * (entity.end - entity.start)
            kept.append(entity)
    words = _words(document, kept)
    tags = ["O"] * len(words)
    starts, ends = [start for start, _ in words], [end for _, end in words]
    for entity in kept:
        kind = re.sub(r"\s", "_", entity.type) or "_"
        letter = "B"
        for index in range(bisect_right(ends, entity.start), bisect_left(starts, entity.end)):
            if index and "\n" in document.text[ends[index - 1] : starts[index]]:
                letter = "B"
            if tags[index] == "O":  # two entities may share a word of a document with words of its own
                tags[index] = f"{letter}-{kind}"
                letter = "I"
    sentences: list[list[tuple[str, str]]] = []
    previous = -1
    for (start, end), tag in zip(words, tags, strict=True):
        if previous < 0 or "\n" in document.text[previous:start]:
            sentences.append([])
        sentences[-1].append((document.text[start:end], tag))
        previous = end
    return sentences or [[]]


def _words(document: Document, entities: Iterable[Entity]) -> list[tuple[int, int]]:
    if document.metadata.get("words") == "space":
        return [match.span() for match in re.finditer(r"[^ \n\r\t]+", document.text)]
    cuts = {position for entity in entities for position in (entity.start, entity.end)}
    words: list[tuple[int, int]] = []
    for start, end in _whole_words(document.text):
        for position in range(start + 1, end):
            if position in cuts:
                words.append((start, position))
                start = position
        words.append((start, end))
    return words


def _whole_words(text: str) -> Iterator[tuple[int, int]]:
    """Runs of letters, digits and the marks that combine with them, as accents in NFD; each other sign by itself."""
    start = end = 0
    for match in _WORD.finditer(text):
        joins = match.start() == end > start and text[start].isalnum()
        if joins and (_is_mark(text[match.start()]) or (_is_mark(text[end - 1]) and match[0][0].isalnum())):
            end = match.end()
            continue
        if end > start:
            yield start, end
        start, end = match.span()
    if end > start:
        yield start, end


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _blocks(source: Source, quarantine: Quarantine) -> Iterator[_Block]:
    block = _Block([], [], [], 0, 0)
    width = number = document = 0
    counts: bool | None = None
    bad: tuple[int, str] | None = None
    for number, raw in enumerate(_lines(source, quarantine), 1):
        line = _decode(raw, number)
        at_document = line is not None and _columns(line)[0] == _DOCSTART
        if line is not None and (at_document or not line.strip()):
            if bad is not None:
                quarantine.add(source.name, f"line {bad[0]}", bad[1])
            elif block.words:
                if counts is None:
                    counts = width > 2 and block.words in (_counted(block, 0), _counted(block, 1))
                yield block._replace(words=block.seconds) if counts else block
            document += at_document
            block, bad = _Block([], [], [], 0, document), None
            continue
        if not block.line:
            block = block._replace(line=number)
        if bad is not None:
            continue
        if line is None:
            bad = (number, "the line is not UTF-8; convert the file first")
            continue
        columns = _columns(line)
        width = width or (len(columns) if len(columns) > 1 else 0)
        if problem := _problem(columns, width):
            bad = (number, problem)
        else:
            # White space inside a word would part it; a no-break space in its place keeps every offset.
            for words, word in ((block.words, columns[0]), (block.seconds, columns[1])):
                words.append(re.sub(r"[ \r]", "\u00a0", word))
            block.tags.append(columns[-1])


def _counted(block: _Block, first: int) -> list[str]:
    return [str(number) for number in range(first, first + len(block.words))]


def _lines(source: Source, quarantine: Quarantine) -> Iterator[bytes]:
    """The lines, and a blank one after the last, also where the file breaks off."""
    number = 0
    try:
        with source.open_text() as stream:
            for number, line in enumerate(stream, 1):
                yield line
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, f"after line {number}", f"the file is cut short or damaged ({error})")
    yield b"\n"


def _problem(columns: Sequence[str], width: int) -> str:
    if len(columns) < 2:
        return (
            "expected a word and a tag parted by a tab, found one column; is this a CoNLL file? Give --from to choose "
            "another format"
        )
    if len(columns) != width:
        return f"expected {width} columns as in the lines before, found {len(columns)}"
    if not columns[0].strip(" \r"):
        return "there is a tag but no word"
    if not _TAG.fullmatch(columns[-1]):
        return f"{columns[-1]!r} is not an IOB or IOBES tag; the last column must hold O, B-TYPE or I-TYPE"
    return ""


def _decode(raw: bytes, number: int) -> str | None:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return None


def _columns(line: str) -> list[str]:
    if "\t" in line:
        return line.rstrip(" \r").split("\t")
    return re.split(" +", line.strip(" \r"))


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

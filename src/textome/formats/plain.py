"""Plain text in UTF-8, or UTF-16 with a byte order mark: a file is a document of one passage, to the last character."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from textome.documents import Document
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.shapes import has_many_controls
from textome.formats.reading.sources import NOT_UTF8, Quarantine, Source, Target

# The largest text that is read as one document.
MAX_SIZE = 256 * 1024**2
# The beginning of XML, HTML or JSON that no other format knew.
_MARKUP = re.compile(r"<(?:\?xml|!doctype|!--|[a-z][\w:.-]*[\s/>])|\{\s*[\"}]|\[\s*[\[{\"]", re.IGNORECASE)


def sniff(head: str, name: str) -> bool:
    """Any text that is mostly printable, so this format is tried last. But no markup: its tags would pass for words."""
    if _MARKUP.match(head.lstrip("\ufeff \t\r\n")):
        return False
    return not has_many_controls(head) and head.count("\ufffd") <= 0.3 * len(head)


def read(source: Source, quarantine: Quarantine, blank_lines: bool = False) -> Iterator[Document]:
    """One document; its id is the file's name without ending. Line breaks stay as they are; a byte order mark goes.

    blank_lines   blank lines part documents: each run of other lines is one, its number after the name. So a file of
                  any size is read in little memory, where one document may have `MAX_SIZE` bytes
    """
    name = source.stem
    if blank_lines:
        yield from _parted(source, name, quarantine)
        return
    with source.open_text(line_ends=False) as stream:
        try:
            data = stream.read(MAX_SIZE + 1)
        except DECOMPRESSION_ERRORS as error:
            quarantine.add(source.name, "", f"the file is cut short or damaged ({error})")
            return
    if len(data) > MAX_SIZE:
        reason = (
            f"one text of more than {MAX_SIZE >> 20} MB; cut it in files, or read it with blank lines as the bounds"
        )
        quarantine.add(source.name, "", reason)
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Never guessed: Latin-1 fits any bytes, so a wrong guess would go unseen.
        quarantine.add(source.name, "", NOT_UTF8.replace(";", f" at byte {error.start};", 1))
        return
    if not text.strip():
        quarantine.add(source.name, "", "the file holds only white space" if text else "the file is empty")
        return
    yield Document.from_text(text, name)


def _parted(source: Source, name: str, quarantine: Quarantine) -> Iterator[Document]:
    """The documents between blank lines, in UTF-8."""
    lines: list[bytes] = []
    size = number = line_number = 0
    with source.open_text() as stream:
        while True:
            try:
                # A line without end must not fill the memory either.
                line = stream.readline(MAX_SIZE + 1)
            except DECOMPRESSION_ERRORS as error:
                quarantine.add(source.name, f"line {line_number + 1}", f"the file is cut short or damaged ({error})")
                return
            if not line_number:
                line = line.removeprefix(codecs.BOM_UTF8)
            line_number += 1
            if line.strip():
                lines.append(line)
                size += len(line)
                if size > MAX_SIZE:
                    reason = f"more than {MAX_SIZE >> 20} MB without a blank line; the rest of the file is not read"
                    quarantine.add(source.name, f"line {line_number}", reason)
                    return
                continue
            if lines:
                number += 1
                try:
                    yield Document.from_text(b"".join(lines).decode("utf-8").strip("\r\n"), f"{name}-{number}")
                except UnicodeDecodeError:
                    quarantine.add(source.name, f"text {number}, before line {line_number}", NOT_UTF8)
            if not line:
                return
            lines.clear()
            size = 0


def write(documents: Iterable[Document], target: Target) -> int:
    """The texts, a blank line between documents; annotations cannot be held."""
    number = 0
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            stream.write((("\n\n" if number > 1 else "") + document.text).encode("utf-8"))
    return number

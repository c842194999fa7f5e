"""Plain text in UTF-8: a file is a document of one passage, to the last character."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from textome.documents import Document
from textome.formats.sources import DECOMPRESSION_ERRORS, Quarantine, Source, Target

# The beginning of XML, HTML or JSON that no other format knew.
_MARKUP = re.compile(r"<(?:\?xml|!doctype|!--|[a-z][\w:.-]*[\s/>])|\{\s*[\"}]|\[\s*[\[{\"]", re.IGNORECASE)


def sniff(head: str, name: str) -> bool:
    """Any text that is mostly printable, so this format is tried last. But no markup: its tags would pass for words."""
    if _MARKUP.match(head.lstrip("\ufeff \t\r\n")):
        return False
    strange = sum(unicodedata.category(character) == "Cc" and character not in "\t\r\n\f" for character in head)
    return strange <= 0.05 * len(head) and head.count("\ufffd") <= 0.3 * len(head)


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """One document; its id is the file's name without ending. Line breaks stay as they are; a byte order mark goes."""
    with source.open() as stream:
        try:
            data = stream.read()
        except DECOMPRESSION_ERRORS as error:
            quarantine.add(source.name, "", f"the file is cut short or damaged ({error})")
            return
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "UTF-16" if marked else "UTF-8"
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        # Never guessed: Latin-1 fits any bytes, so a wrong guess would go unseen.
        reason = f"not {encoding} at byte {error.start}; convert the file first, as with iconv -f latin1 -t utf-8"
        quarantine.add(source.name, "", reason)
        return
    if not text.strip():
        quarantine.add(source.name, "", "the file holds only white space" if text else "the file is empty")
        return
    name = re.sub(r"\.(gz|bz2|xz)$", "", source.name)
    yield Document.from_text(text, "stdin" if name == "<stdin>" else PurePath(name).stem)


def write(documents: Iterable[Document], target: Target) -> int:
    """The texts, a blank line between documents; annotations cannot be held."""
    number = 0
    with target.open() as stream:
        for number, document in enumerate(documents, 1):
            stream.write((("\n\n" if number > 1 else "") + document.text).encode("utf-8"))
    return number

"""Reading and writing XML safely: no entities, no network, flat memory, and the good records before a bad place."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import cast

from lxml import etree

from textome.documents import Document
from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import Quarantine, Source

_CHUNK = 1 << 16
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def records(
    source: Source, tags: Collection[str], roots: Sequence[str], quarantine: Quarantine
) -> Iterator[tuple[int, etree._Element]]:
    """The elements with one of `tags` that lie in no other such element, each with its number, as the file is read.

    roots   what the outermost element may be where the file holds no record; another is quarantined

    An element is valid only until the next is asked for: then it is freed, so that memory does not grow with the file.
    Where the XML breaks, the elements before stay good and the rest of the file is quarantined with its line.
    """
    parser = etree.XMLPullParser(
        events=("end",),
        tag=list(tags),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    number = 0
    line = 1
    checked = begun = False
    with source.open() as stream:
        # One read of what lies beneath at a time: `read` would lose what stands before the place where a file is damaged.
        read = cast(io.BufferedIOBase, stream).read1
        while True:
            problem: str | None = None
            chunk = b""
            try:
                chunk = read(_CHUNK)
                if chunk:
                    begun = True
                    line += chunk.count(b"\n")
                    parser.feed(chunk)
                elif not begun:
                    problem = "the file is empty"
                elif (root := parser.close()).tag not in roots and not number:
                    problem = f"nothing to read here: the outermost element is <{root.tag}>, expected <{roots[0]}>"
            except etree.XMLSyntaxError as error:
                problem = _explained(error)
            except DECOMPRESSION_ERRORS as error:
                problem = f"the file is cut short or damaged at line {line} ({error}); the rest is not read"
            for _, event in parser.read_events():
                element = cast(etree._Element, event)
                if not checked and (declared := _declared_entities(element)):
                    quarantine.add(
                        source.name,
                        "",
                        f"the file declares the entity {declared!r}; files with entities of their own are "
                        "not read, since such entities can fill the memory or fetch other files",
                    )
                    return
                checked = True
                if any(parent.tag in tags for parent in element.iterancestors()):
                    continue
                number += 1
                yield number, element
                _free(element)
            if problem:
                quarantine.add(source.name, f"after record {number}" if number else "", problem)
            if problem or not chunk:
                return


def inner_text(element: etree._Element) -> str:
    """All text inside an element, markup left out. Raises InputError at a named entity, which is never expanded."""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str):
            parts.append(inner_text(child))
        elif child.tag is etree.Entity:
            raise InputError(f"the entity {child.text} is not defined in XML; write the character itself")
        parts.append(child.tail or "")
    return "".join(parts)


def child_text(element: etree._Element, path: str) -> str:
    """The text of the first element at `path`, without white space around it; empty where there is none."""
    child = element.find(path)
    return inner_text(child).strip() if child is not None else ""


def another_key(values: Mapping[str, str], key: str, language: str, kind: str = "") -> str:
    """A key of metadata for a text in another language that overwrites none: `key_spa`, `key_spa_KIND`, `key_spa_2`."""
    first = f"{key}_{language}"
    further = (f"{first}_{number}" for number in count(2))
    return next(name for name in chain([first], [f"{first}_{kind}"] if kind else [], further) if name not in values)


def writable(document: Document) -> Document:
    """The document with each character that XML cannot hold (most control characters) replaced by U+FFFD, one for one."""
    if not _FORBIDDEN.search(document.text):
        return document
    passages = tuple(replace(passage, text=xml_text(passage.text)) for passage in document.passages)
    entities = tuple(replace(entity, text=xml_text(entity.text)) for entity in document.entities)
    return replace(document, passages=passages, entities=entities)


def xml_text(text: str) -> str:
    """`text` with characters that XML cannot hold replaced by U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text)


def _explained(error: etree.XMLSyntaxError) -> str:
    if "amplification" in str(error.msg) or "entity reference loop" in str(error.msg):
        return f"the file declares entities that would fill the memory ({error.msg}); it is not read any further"
    return f"the XML is broken ({error.msg}); the rest of the file is not read"


def _declared_entities(element: etree._Element) -> str | None:
    dtd = element.getroottree().docinfo.internalDTD
    if dtd is None:
        return None
    return next((str(entity.name) for entity in dtd.iterentities()), None)  # type: ignore[attr-defined]


def _free(element: etree._Element) -> None:
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]

"""BioC XML (Comeau et al. 2013), streamed document by document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from textome.documents import Document
from textome.errors import InputError
from textome.formats.bioc import document_from, document_to
from textome.formats.reading.sources import Quarantine, Source, Target
from textome.formats.reading.xml_reading import inner_text, records, xml_text

_LISTS = {tag: f"{tag}s" for tag in ("passage", "sentence", "annotation", "relation", "location", "node")}
_TEXTS = ("id", "offset", "text")


def sniff(head: str, name: str) -> bool:
    return "<collection" in head and ("<document" in head or "BioC" in head or "<source" in head)


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """Documents as the file is read; one that is not as it should be is quarantined with its id."""
    for number, element in records(source, ("document",), ("collection",), quarantine):
        name = (element.findtext("id") or "").strip()
        try:
            yield document_from(_members(element))
        except InputError as error:
            quarantine.add(source.name, f"record {number}, document {name}" if name else f"record {number}", error)


def write(documents: Iterable[Document], target: Target) -> int:
    """A collection. Characters that XML cannot hold become U+FFFD, one for one, so offsets stay."""
    number = 0
    with target.open() as stream, etree.xmlfile(stream, encoding="utf-8") as file:
        file.write_declaration(standalone=True)
        file.write_doctype('<!DOCTYPE collection SYSTEM "BioC.dtd">')
        with file.element("collection"):
            for tag, text in (("source", "Textome"), ("date", f"{datetime.now(UTC):%Y-%m-%d}"), ("key", "textome.key")):
                item = etree.Element(tag)
                item.text = text
                file.write(item)
            for number, document in enumerate(documents, 1):
                file.write("\n")
                file.write(_element("document", document_to(document)))
            file.write("\n")
    return number


def _members(element: etree._Element) -> dict[str, Any]:
    """An element's members as `bioc.document_from` takes them. An infon whose key comes again gets a number after it."""
    members: dict[str, Any] = {name: [] for name in _LISTS.values()} | {"infons": {}, "id": element.get("id", "")}
    infons: dict[str, str] = members["infons"]
    again: dict[str, int] = {}
    for child in element:
        tag = child.tag
        if tag == "infon":
            key = child.get("key", "")
            name = key
            while name in infons:
                again[key] = again.get(key, 1) + 1
                name = f"{key}#{again[key]}"
            infons[name] = inner_text(child)
        elif tag in ("location", "node"):
            members[_LISTS[tag]].append({str(key): str(value) for key, value in child.attrib.items()})
        elif tag in _LISTS:
            members[_LISTS[tag]].append(_members(child))
        elif tag in _TEXTS:
            members[tag] = inner_text(child)
    return members


def _element(tag: str, members: Mapping[str, Any]) -> etree._Element:
    """An element in the order that the BioC DTD wants."""
    element = etree.Element(tag)
    if tag in ("annotation", "relation"):
        element.set("id", xml_text(members["id"]))
    elif "id" in members:
        etree.SubElement(element, "id").text = xml_text(members["id"])
    for key, value in members["infons"].items():
        etree.SubElement(element, "infon", key=xml_text(key)).text = xml_text(value)
    if "offset" in members:
        etree.SubElement(element, "offset").text = str(members["offset"])
    for location in members.get("locations", ()):
        etree.SubElement(element, "location", {key: str(value) for key, value in location.items()})
    for node in members.get("nodes", ()):
        etree.SubElement(element, "node", {key: xml_text(value) for key, value in node.items()})
    if "text" in members:
        etree.SubElement(element, "text").text = xml_text(members["text"])
    for part in ("passage", "annotation", "relation"):
        for value in members.get(f"{part}s", ()):
            element.append(_element(part, value))
    return element

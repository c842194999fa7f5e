"""MeSH descriptors in XML, as desc2026.xml of the NLM (DTD nlmdescriptorrecordset)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lxml import etree

from textome.formats.reading.sources import Quarantine, Source, StrictQuarantine
from textome.formats.reading.xml_reading import child_text, records
from textome.vocabularies.concepts import Concept

# Branches of the tree by the type of the entities in it; the first that a descriptor stands in counts.
_BRANCHES = {"Disease": ("C", "F03"), "Species": ("B",), "CellType": ("A11",), "Chemical": ("D",)}


def sniff(head: str, name: str) -> bool:
    return "<DescriptorRecordSet" in head


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each descriptor with the terms of all its concepts. Its type is told by its tree numbers."""
    for number, record in records(source, ["DescriptorRecord"], ["DescriptorRecordSet"], StrictQuarantine()):
        identifier, label = child_text(record, "DescriptorUI"), child_text(record, "DescriptorName/String")
        if not identifier or not label:
            quarantine.add(source.name, f"record {number}", "the descriptor has no identifier or no name")
            continue
        tree_numbers = texts(record, "TreeNumberList/TreeNumber")
        yield Concept(
            f"mesh:{identifier}",
            label,
            type_of(tree_numbers),
            synonyms=texts(record, "ConceptList/Concept/TermList/Term/String"),
            tree_numbers=tree_numbers,
        )


def type_of(tree_numbers: Sequence[str]) -> str:
    """The type of the entities that stand at these positions of the tree; empty if they are none of ours."""
    for entity_type, branches in _BRANCHES.items():
        if any(re.match("|".join(branches), number) for number in tree_numbers):
            return entity_type
    return ""


def texts(record: etree._Element, path: str) -> tuple[str, ...]:
    """The texts of all elements at a path, each once."""
    return tuple(dict.fromkeys(text.strip() for item in record.iterfind(path) if (text := item.text or "").strip()))

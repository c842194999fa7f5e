"""MeSH supplementary concept records in XML, as supp2026.xml of the NLM (DTD nlmsupplementalrecordset)."""

from __future__ import annotations

from collections.abc import Iterator

from textome.formats.reading.sources import Quarantine, Source, StrictQuarantine
from textome.formats.reading.xml_reading import child_text, records
from textome.vocabularies.concepts import Concept
from textome.vocabularies.mesh import texts

# Classes of records; 2 and 5 are protocols and population groups.
_TYPES = {"1": "Chemical", "3": "Disease", "4": "Species", "6": "Disease"}


def sniff(head: str, name: str) -> bool:
    return "<SupplementalRecordSet" in head


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each record with all its terms; the descriptors that it is mapped to are its parents."""
    for number, record in records(source, ["SupplementalRecord"], ["SupplementalRecordSet"], StrictQuarantine()):
        identifier = child_text(record, "SupplementalRecordUI")
        label = child_text(record, "SupplementalRecordName/String")
        if not identifier or not label:
            quarantine.add(source.name, f"record {number}", "the record has no identifier or no name")
            continue
        headings = texts(record, "HeadingMappedToList/HeadingMappedTo/DescriptorReferredTo/DescriptorUI")
        yield Concept(
            f"mesh:{identifier}",
            label,
            _TYPES.get(record.get("SCRClass", "1"), ""),
            synonyms=texts(record, "ConceptList/Concept/TermList/Term/String"),
            parents=tuple(f"mesh:{heading.lstrip('*')}" for heading in headings),
        )

"""Ontologies in the OBO flat file format 1.4 (MONDO, DO, HPO, ChEBI, CL, GO, ...)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.curies import curie_from
from textome.vocabularies.lines import numbered_lines

TYPE_OF_PREFIX = {
    "mondo": "Disease", "doid": "Disease", "hp": "Disease", "chebi": "Chemical", "cl": "CellType",
    "ncbitaxon": "Species", "go": "Process", "uberon": "Anatomy", "clo": "CellLine",
}  # fmt: skip
_SYNONYM = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\s+(EXACT|BROAD|NARROW|RELATED))?')
_ESCAPE = re.compile(r"\\(.)")


def sniff(head: str, name: str) -> bool:
    return head.startswith("format-version:") or "\n[Term]\n" in head.replace("\r\n", "\n")


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each term that is not obsolete. A synonym of scope EXACT or none is a synonym; the others are related names."""
    stanza: list[tuple[str, str]] | None = None
    start = 0
    for number, line in numbered_lines(source):
        if line.startswith("["):
            yield from _concepts(source, start, stanza, quarantine)
            stanza, start = ([] if line.strip() == "[Term]" else None), number
        elif stanza is not None and ":" in line:
            tag, _, value = line.partition(":")
            stanza.append((tag, value.strip()))
    yield from _concepts(source, start, stanza, quarantine)


def _concepts(
    source: Source, line: int, stanza: list[tuple[str, str]] | None, quarantine: Quarantine
) -> Iterator[Concept]:
    if stanza is None or ("is_obsolete", "true") in stanza:
        return
    values: dict[str, list[str]] = {}
    for tag, value in stanza:
        values.setdefault(tag, []).append(value)
    if "id" not in values or "name" not in values:
        if "is_a" not in values:  # a term of another ontology that this one only speaks of has neither
            quarantine.add(source.name, f"line {line}", "the term has no id or no name")
        return
    curie = curie_from(_plain(values["id"][0]))
    synonyms = [match for value in values.get("synonym", []) if (match := _SYNONYM.match(value))]
    yield Concept(
        curie,
        _ESCAPE.sub(r"\1", values["name"][0]),
        TYPE_OF_PREFIX.get(curie.partition(":")[0], ""),
        synonyms=tuple(_ESCAPE.sub(r"\1", match[1]) for match in synonyms if match[2] in (None, "EXACT")),
        related=tuple(_ESCAPE.sub(r"\1", match[1]) for match in synonyms if match[2] not in (None, "EXACT")),
        parents=tuple(curie_from(_plain(value)) for value in values.get("is_a", [])),
        xrefs=tuple(curie_from(_plain(value)) for value in values.get("xref", []) if ":" in value),
    )


def _plain(value: str) -> str:
    """A value without its comment, modifiers and description."""
    return re.split(r'\s+[!{"]', value, maxsplit=1)[0].strip()

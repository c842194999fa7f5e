"""UMLS: MRCONSO.RRF of the Metathesaurus (UMLS Reference Manual, section 3.3.4).

Its licence does not let others pass it on: it is read on the user's machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.curies import curie_of
from textome.vocabularies.lines import rows

# Sources whose codes become cross-references.
_XREFS = frozenset({"MSH", "OMIM", "SNOMEDCT_US", "HPO", "NCI", "MDR", "ICD10CM", "NCBI", "HGNC"})
_PREFIX = {"HPO": "hp", "MDR": "meddra", "NCBI": "ncbitaxon"}


def sniff(head: str, name: str) -> bool:
    return re.match(r"C\d{7}\|[A-Z]{3}\|[PSps]\|", head) is not None


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each concept with its English names that are not suppressed. The file says no types of entities."""
    table = (row for _, row in rows(source, "|", 18, quarantine))
    for identifier, group in groupby(table, key=lambda row: row[0]):
        used = [row for row in group if row[1] == "ENG" and row[16] in ("N", "")]
        if not used:
            continue
        preferred = [row[14] for row in used if row[2] == "P" and row[4] == "PF" and row[6] == "Y"]
        label = preferred[0] if preferred else used[0][14]
        yield Concept(
            f"umls:{identifier}",
            label,
            synonyms=tuple(dict.fromkeys(row[14] for row in used if row[14] != label)),
            xrefs=tuple(dict.fromkeys(_xref(row[11], row[13]) for row in used if row[11] in _XREFS)),
        )


def _xref(vocabulary: str, code: str) -> str:
    """The CURIE of a code, which HPO, HGNC and others already write with a prefix."""
    return curie_of(_PREFIX.get(vocabulary, vocabulary), code.rpartition(":")[2])

"""The Comparative Toxicogenomics Database's vocabularies: CTD_diseases, CTD_chemicals and CTD_genes as TSV.

CTD's terms ask for a citation and a notice and do not let others pass its files on: they are read on the user's machine.
"""

from __future__ import annotations

from collections.abc import Iterator

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.curies import curie_from
from textome.vocabularies.lines import numbered_lines

_KINDS = {"DiseaseID": "Disease", "ChemicalID": "Chemical", "GeneID": "Gene"}


def sniff(head: str, name: str) -> bool:
    return "ctdbase.org" in head and "# Fields:" in head


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each row with its synonyms; `AltDiseaseIDs` are cross-references. The columns are told by the file's head."""
    header: list[str] = []
    previous = ""
    for number, line in numbered_lines(source):
        if line.startswith("#"):
            if previous.startswith("# Fields:"):
                header = line.lstrip("# ").split("\t")
            previous = line
            continue
        kind = next((name for name in _KINDS if name in header), None)
        if kind is None:
            raise InputError(f"{source.name}, line {number}: the file does not name CTD's columns in its head")
        row = dict(zip(header, line.split("\t"), strict=False))
        if not row.get(kind) or len(row) < len(header):
            quarantine.add(
                source.name, f"line {number}", f"expected {len(header)} columns with {kind}, found {len(row)}"
            )
            continue
        yield _concept(row, kind)


def _concept(row: dict[str, str], kind: str) -> Concept:
    column = {"GeneID": "GeneSymbol"}.get(kind, kind.replace("ID", "Name"))
    names = [row.get("GeneName", ""), *row.get("Synonyms", "").split("|")]
    others = row.get(f"Alt{kind}s", "").split("|")
    identifier = row[kind]
    return Concept(
        f"ncbigene:{identifier}" if kind == "GeneID" else curie_from(identifier),
        row[column],
        _KINDS[kind],
        synonyms=tuple(filter(None, names)),
        parents=tuple(curie_from(item) for item in row.get("ParentIDs", "").split("|") if item),
        xrefs=tuple(curie_from(item) for item in others if item and kind != "GeneID"),
    )

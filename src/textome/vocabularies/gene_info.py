"""NCBI Gene: gene_info and its files of one species, as Homo_sapiens.gene_info (README of gene/DATA at the NCBI)."""

from __future__ import annotations

from collections.abc import Iterator

from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.lines import rows

# What genes without a name are called: thousands of them, so that it tells none.
_NO_NAMES = frozenset(["-", "", "uncharacterized protein", "hypothetical protein"])
_NUM_COLUMNS = 14  # to Other_designations; the two after it are not needed


def sniff(head: str, name: str) -> bool:
    return head.startswith(("#tax_id\tGeneID\tSymbol", "#Format: tax_id GeneID Symbol"))


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each gene with its symbols, full names and other designations; placeholders (NEWENTRY) are left out."""
    for number, row in rows(source, "\t", _NUM_COLUMNS, quarantine, skip=["#"]):
        taxon, gene, symbol, _, synonyms, xrefs, _, _, description, _, official, full_name, _, designations = row[:14]
        if symbol == "NEWENTRY":
            continue
        if not taxon.isdigit() or not gene.isdigit():
            quarantine.add(source.name, f"line {number}", f"expected numbers of a species and a gene, found {row[:2]}")
            continue
        names = [official, full_name, description, *synonyms.split("|"), *designations.split("|")]
        yield Concept(
            f"ncbigene:{gene}",
            symbol,
            "Gene",
            synonyms=tuple(dict.fromkeys(name for name in names if name not in {*_NO_NAMES, symbol})),
            xrefs=tuple(_xref(item) for item in xrefs.split("|") if ":" in item),
            taxon=int(taxon),
        )


def _xref(item: str) -> str:
    """`HGNC:HGNC:5` and `MIM:138670` as CURIEs."""
    prefix, _, local = item.partition(":")
    prefix = {"mim": "omim"}.get(prefix.lower(), prefix.lower())
    return f"{prefix}:{local.rpartition(':')[2]}"

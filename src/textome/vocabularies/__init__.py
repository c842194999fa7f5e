"""Vocabularies: terminologies as streams of concepts, one file each, and the index that is built from them.

A terminology is a module with

    read(source: Source, quarantine: Quarantine) -> Iterator[Concept]
    sniff(head: str, name: str) -> bool         does the beginning of a file look like it?

and a line in `TERMINOLOGIES`. A file that is cut short or of another kind raises InputError; a single bad record is
quarantined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.build import build_vocabulary
from textome.vocabularies.concepts import Concept, NameKind
from textome.vocabularies.index import Card, Hit, Section, Vocabulary

__all__ = [
    "BUNDLED",
    "TERMINOLOGIES",
    "Card",
    "Concept",
    "Hit",
    "NameKind",
    "Row",
    "Section",
    "Vocabulary",
    "build_vocabulary",
    "guess_terminology",
    "open_vocabulary",
    "read_concepts",
]
_HEAD_SIZE = 1 << 16
# What the bundled vocabulary is called wherever a path may stand.
BUNDLED = "default"
_BUNDLED_PATH = Path(__file__).parent.parent / "bundled" / "default.vocab"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of terminologies.

    module      in this folder
    summary     one line for `--help` and the guide
    has_types   whether the files say which entities name a concept: then a type that the user names is a choice, and
                elsewhere it is given to every concept
    """

    module: str
    summary: str
    has_types: bool = False


# In the order in which a file of unknown kind is tried: the most particular first.
TERMINOLOGIES: dict[str, Row] = {
    "mesh": Row("mesh", "MeSH descriptors (desc2026.xml)", has_types=True),
    "mesh-supplementary": Row("mesh_supplementary", "MeSH supplementary records (supp2026.xml)", has_types=True),
    "obo": Row("obo", "OBO ontologies (mondo.obo, hp.obo, chebi.obo)"),
    "obo-json": Row("obo_json", "OBO ontologies as JSON graphs (mondo.json)"),
    "gene-info": Row("gene_info", "NCBI Gene (gene_info, Homo_sapiens.gene_info)"),
    "ncbi-taxonomy": Row("ncbi_taxonomy", "NCBI Taxonomy (the folder of taxdump.tar.gz, or its names.dmp)"),
    "cellosaurus": Row("cellosaurus", "Cellosaurus (cellosaurus.txt)"),
    "unii": Row("unii", "UNII names of substances (UNII_Names.txt)"),
    "ctd": Row("ctd", "CTD's vocabularies (CTD_diseases.tsv, CTD_chemicals.tsv, CTD_genes.tsv)"),
    "umls": Row("umls", "UMLS (MRCONSO.RRF)"),
    "biosyn": Row("biosyn", "dictionaries of BioSyn and SapBERT (identifier||name)"),
    "table": Row("table", "a TSV or CSV table of one's own"),
}


@lru_cache(maxsize=8)
def open_vocabulary(path: str) -> Vocabulary:
    """The index at a path, or the bundled one by its name. Each process opens a file once."""
    return Vocabulary.open(_BUNDLED_PATH if path == BUNDLED else path)


def read_concepts(
    path: str | Path | Source,
    terminology: str | None = None,
    type: str | None = None,
    quarantine: Quarantine | None = None,
) -> Iterator[Concept]:
    """The concepts of a file, one at a time; memory does not grow with the file.

    terminology  one of `TERMINOLOGIES`; None tells it by the content
    type         of the entities that name the concepts: chosen among the terminology's types, or given to all concepts
                 where it has none

    Concepts without a type are left out where the terminology says the types of others. Raises InputError for a file that
    is cut short, damaged or of another kind.
    """
    source = path if isinstance(path, Source) else Source.of(path)
    name = terminology or guess_terminology(source)
    row = _row(name)
    number = 0
    concepts = _module(row).read(source, quarantine if quarantine is not None else Quarantine())
    for number, concept in enumerate(concepts, 1):
        if not row.has_types:
            yield replace(concept, type=type or concept.type)
        elif concept.type and type in (None, concept.type):
            yield concept
    if not number:
        raise InputError(f"{source.name}: the file holds no concept of the kind {name}; name another kind with --from")


def guess_terminology(source: Source) -> str:
    """The name of the terminology that a file looks like. Raises InputError where it looks like none."""
    if source.is_directory:
        return "ncbi-taxonomy"
    head = source.head(_HEAD_SIZE)
    if not head:
        raise InputError(f"{source.name}: the file is empty, or its compression is damaged at the start")
    text = head.decode("utf-8-sig", errors="replace")
    for name, row in TERMINOLOGIES.items():
        if _module(row).sniff(text, source.name):
            return name
    raise InputError(
        f"{source.name}: this is not a terminology known here; name it with --from ({', '.join(TERMINOLOGIES)})"
    )


def _row(terminology: str) -> Row:
    if terminology not in TERMINOLOGIES:
        raise InputError(f"there is no terminology {terminology!r}; those known are {', '.join(TERMINOLOGIES)}")
    return TERMINOLOGIES[terminology]


def _module(row: Row) -> ModuleType:
    return import_module(f"textome.vocabularies.{row.module}")

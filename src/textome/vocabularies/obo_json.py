"""Ontologies as OBO graphs in JSON, as mondo.json and hp.json of the OBO Foundry (geneontology/obographs)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.curies import curie_from
from textome.vocabularies.obo import TYPE_OF_PREFIX


def sniff(head: str, name: str) -> bool:
    return head.lstrip().startswith("{") and '"graphs"' in head


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each class that is not deprecated. The whole file is held in memory, as JSON needs."""
    try:
        with source.open() as stream:
            graphs = json.load(stream)["graphs"]
    except DECOMPRESSION_ERRORS as error:
        raise InputError(f"{source.name}: the file is cut short or damaged ({error})") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(
            f"{source.name}: this is not a whole OBO graph in JSON ({error}); it may be cut short"
        ) from error
    for graph in graphs:
        parents: dict[str, list[str]] = {}
        for edge in graph.get("edges", []):
            if edge.get("pred") == "is_a":
                parents.setdefault(edge["sub"], []).append(curie_from(edge["obj"]))
        for number, node in enumerate(graph.get("nodes", []), 1):
            meta = node.get("meta", {})
            if node.get("type", "CLASS") != "CLASS" or meta.get("deprecated"):
                continue
            if not node.get("id"):
                quarantine.add(source.name, f"node {number}", "the class has no id")
            elif node.get("lbl"):  # a class of another ontology that this one only speaks of has no label
                yield _concept(node, meta, tuple(parents.get(node["id"], ())))


def _concept(node: dict[str, Any], meta: dict[str, Any], parents: tuple[str, ...]) -> Concept:
    curie = curie_from(node["id"])
    synonyms = [(item.get("pred"), item["val"]) for item in meta.get("synonyms", []) if item.get("val")]
    return Concept(
        curie,
        node["lbl"],
        TYPE_OF_PREFIX.get(curie.partition(":")[0], ""),
        synonyms=tuple(name for scope, name in synonyms if scope == "hasExactSynonym"),
        related=tuple(name for scope, name in synonyms if scope != "hasExactSynonym"),
        parents=parents,
        xrefs=tuple(curie_from(item["val"]) for item in meta.get("xrefs", []) if ":" in item.get("val", "")),
    )

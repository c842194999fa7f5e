"""Pairs as a graph: GraphML, tables for Neo4j's bulk import, and RDF in Turtle with the predicates of the Biolink model.

GraphML: http://graphml.graphdrawing.org/specification.html. Neo4j: https://neo4j.com/docs/operations-manual (neo4j-admin
import: header rows `:ID`, `:LABEL`, `:START_ID`, `:END_ID`, `:TYPE`). Turtle: https://www.w3.org/TR/turtle. CURIEs
stand as they are, with a prefix for each vocabulary that leads to the Bioregistry; a concept without identifier has an
address made of its type and text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from lxml import etree

from textome.errors import InputError
from textome.evidence.pairs import Pair
from textome.evidence.predicates import category_of, predicate_of
from textome.evidence.statements import Concept
from textome.formats.reading.sources import atomic_file
from textome.formats.reading.xml_reading import xml_text

_GRAPHML = "http://graphml.graphdrawing.org/xmlns"
_BIOLINK = "https://w3id.org/biolink/vocab/"
_BIOREGISTRY = "https://bioregistry.io/"
_KEYS = {
    "name": ("node", "string"),
    "type": ("node", "string"),
    "verb": ("edge", "string"),
    "probability": ("edge", "double"),
    "documents": ("edge", "int"),
    "contradicting": ("edge", "int"),
    "speculated": ("edge", "int"),
    "first_year": ("edge", "int"),
    "document_ids": ("edge", "string"),
    "sentence": ("edge", "string"),
}
_PMID = re.compile(r"[1-9][0-9]{0,8}")
# CURIEs that Turtle can write as they are; it would need escapes for others, which stand as addresses.
_CURIE = re.compile(r"([a-z][a-z0-9]*):[A-Za-z0-9_]+")
_OTHER_PREFIXES = frozenset({"biolink", "rdfs", "xsd"})


def write_pairs_graph(pairs: Sequence[Pair], path: Path) -> int:
    """Write pairs that any document supports as `.graphml` or `.ttl`, or, if the name has no ending, as a folder with
    `nodes.csv` and `relationships.csv` for Neo4j; returns the number of edges.

    Raises InputError for another ending.
    """
    writers: dict[str, Callable[[Sequence[Pair], Path], None]] = {
        ".graphml": _write_graphml,
        ".ttl": _write_turtle,
        "": _write_neo4j,
    }
    if path.suffix not in writers:
        raise InputError(f"{path}: a graph is written as .graphml, .ttl, or to a folder for Neo4j; give such a name")
    supported = [pair for pair in pairs if pair.supporting]
    writers[path.suffix](supported, path)
    return len(supported)


def concepts_of(pairs: Sequence[Pair]) -> list[Concept]:
    """The concepts of pairs, each once, in order."""
    concepts: dict[tuple[str, str], Concept] = {}
    for pair in pairs:
        for concept in (pair.head, pair.tail):
            concepts.setdefault((concept.type, concept.key), concept)
    return list(concepts.values())


def _node_id(concept: Concept) -> str:
    return concept.key if concept.has_identifier else f"{concept.type}:{concept.key}"


def _values(pair: Pair) -> dict[str, str | int | float]:
    values: dict[str, str | int | float] = {
        "verb": pair.verb,
        "probability": round(pair.probability, 6),
        "documents": len(pair.supporting),
        "contradicting": len(pair.contradicting),
        "speculated": len(pair.speculated),
        "document_ids": " ".join(pair.document_ids[:20]),
        "sentence": " ".join(sentence.text for sentence in next(pair.statements).sentences),
    }
    return values | ({} if pair.first_year is None else {"first_year": pair.first_year})


def _write_graphml(pairs: Sequence[Pair], path: Path) -> None:
    with atomic_file(path) as stream, etree.xmlfile(stream, encoding="utf-8") as file:
        file.write_declaration()
        with file.element("graphml", nsmap={None: _GRAPHML}):
            for name, (of, type) in _KEYS.items():
                file.write(etree.Element("key", {"id": name, "for": of, "attr.name": name, "attr.type": type}))
            with file.element("graph", edgedefault="directed"):
                for concept in concepts_of(pairs):
                    node = etree.Element("node", id=xml_text(_node_id(concept)))
                    file.write(_with_data(node, {"name": concept.name, "type": concept.type}))
                for pair in pairs:
                    ends = {"source": xml_text(_node_id(pair.head)), "target": xml_text(_node_id(pair.tail))}
                    file.write(_with_data(etree.Element("edge", ends), _values(pair)))


def _with_data(element: etree._Element, values: dict[str, str | int | float]) -> etree._Element:
    for key, value in values.items():
        etree.SubElement(element, "data", key=key).text = xml_text(str(value))
    return element


def _write_neo4j(pairs: Sequence[Pair], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [["id:ID", "name", ":LABEL"]]
    nodes += [[_node_id(item), item.name, category_of(item.type)] for item in concepts_of(pairs)]
    names = [name for name, (of, _) in _KEYS.items() if of == "edge" and name != "verb"]
    typed = [f"{name}:{_KEYS[name][1]}" for name in names]
    edges = [[":START_ID", ":END_ID", ":TYPE", *typed]]
    for pair in pairs:
        values = _values(pair)
        cells = [str(values.get(name, "")) for name in names]
        edges.append([_node_id(pair.head), _node_id(pair.tail), pair.verb.upper(), *cells])
    for name, rows in (("nodes.csv", nodes), ("relationships.csv", edges)):
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        with atomic_file(folder / name) as stream:
            stream.write(text.getvalue().encode())


def _write_turtle(pairs: Sequence[Pair], path: Path) -> None:
    with atomic_file(path) as stream:
        stream.writelines(f"{line}\n".encode() for line in _turtle(pairs))


def _turtle(pairs: Sequence[Pair]) -> Iterator[str]:
    yield f"@prefix biolink: <{_BIOLINK}> ."
    yield "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> ."
    yield "@prefix xsd: <http://www.w3.org/2001/XMLSchema#> ."
    matches = (_CURIE.fullmatch(concept.key) for concept in concepts_of(pairs))
    for prefix in sorted({"pubmed", *(match[1] for match in matches if match)} - _OTHER_PREFIXES):
        yield f"@prefix {prefix}: <{_BIOREGISTRY}{prefix}:> ."
    yield ""
    for concept in concepts_of(pairs):
        yield f"{_address(concept)} a biolink:{category_of(concept.type)} ; rdfs:label {_literal(concept.name)} ."
    for pair in pairs:
        best = next(pair.statements)
        predicate = f"biolink:{predicate_of(best.relation, pair.head.type, pair.tail.type).biolink}"
        yield f"\n{_address(pair.head)} {predicate} {_address(pair.tail)} ."
        yield "[] a biolink:Association ;"
        yield f"  biolink:subject {_address(pair.head)} ; biolink:predicate {predicate} ;"
        yield f"  biolink:object {_address(pair.tail)} ;"
        for name in pair.document_ids:
            if _PMID.fullmatch(name):
                yield f"  biolink:publications pubmed:{name} ;"
        yield f"  biolink:evidence_count {len(pair.supporting)} ;"
        for sentence in best.sentences:
            yield f"  biolink:supporting_text {_literal(sentence.text)} ;"
        yield f'  biolink:has_confidence_score "{pair.probability:.6f}"^^xsd:decimal .'


def _address(concept: Concept) -> str:
    if concept.has_identifier:
        match = _CURIE.fullmatch(concept.key)
        if match and match[1] not in _OTHER_PREFIXES:
            return concept.key
        return f"<{_BIOREGISTRY}{quote(concept.key, safe=':')}>"
    return f"<urn:textome:{quote(concept.type, safe='')}:{quote(concept.key, safe='')}>"


def _literal(text: str) -> str:
    """A string in quotes; what Turtle cannot hold as it is stands escaped."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(sign) or (sign if sign >= " " else f"\\u{ord(sign):04X}") for sign in text) + '"'

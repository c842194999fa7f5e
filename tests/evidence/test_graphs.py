"""Graphs and pages are read by libraries of others, with the same concepts, relations and numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from lxml import html

from stated_documents import results_of, stated
from textome.bulk.query import Results
from textome.errors import InputError
from textome.evidence.graphs import write_pairs_graph
from textome.evidence.pairs import Pair, gather, in_common
from textome.evidence.report import write_bridges, write_report
from textome.evidence.statements import read_statements


@pytest.fixture(scope="module")
def pairs(folder: Path) -> list[Pair]:
    return gather(read_statements(Results(folder)))


def test_graphml_is_read_by_networkx(pairs: list[Pair], tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    assert write_pairs_graph(pairs, tmp_path / "g.graphml") == 6
    graph = networkx.read_graphml(tmp_path / "g.graphml")
    assert graph.nodes["mesh:D017706"] == {"name": "Lisinopril", "type": "Chemical"}
    edge = graph.edges["mesh:D017706", "mesh:D006973"]
    assert (edge["verb"], edge["documents"], edge["document_ids"], edge["first_year"]) == ("treats", 2, "11 12", 1999)
    assert edge["probability"] == pytest.approx(0.9468)
    assert "Chemical:zorbium" in graph


def test_tables_for_neo4j_name_every_node_once(pairs: list[Pair], tmp_path: Path) -> None:
    write_pairs_graph(pairs, tmp_path / "neo4j")
    nodes = list(csv.DictReader((tmp_path / "neo4j" / "nodes.csv").open(newline="")))
    edges = list(csv.DictReader((tmp_path / "neo4j" / "relationships.csv").open(newline="")))
    ids = [row["id:ID"] for row in nodes]
    assert len(ids) == len(set(ids))
    assert {row[end] for row in edges for end in (":START_ID", ":END_ID")} == set(ids)
    assert {row[":LABEL"] for row in nodes} == {"ChemicalEntity", "DiseaseOrPhenotypicFeature", "Gene"}
    (row,) = [row for row in edges if row[":TYPE"] == "INHIBITS"]
    assert (row["documents:int"], float(row["probability:double"]), row["first_year:int"]) == ("1", 0.81, "")


def test_turtle_is_read_by_rdflib(pairs: list[Pair], tmp_path: Path) -> None:
    rdflib = pytest.importorskip("rdflib")
    write_pairs_graph(pairs, tmp_path / "g.ttl")
    graph = rdflib.Graph().parse(tmp_path / "g.ttl")
    assert (
        "\nmesh:D017706 biolink:treats_or_applied_or_studied_to_treat mesh:D006973 ."
        in (tmp_path / "g.ttl").read_text()
    )
    biolink = rdflib.Namespace("https://w3id.org/biolink/vocab/")
    address = "https://bioregistry.io/"
    drug, disease = rdflib.URIRef(f"{address}mesh:D017706"), rdflib.URIRef(f"{address}mesh:D006973")
    assert (drug, biolink.treats_or_applied_or_studied_to_treat, disease) in graph
    (association,) = set(graph.subjects(biolink.subject, drug)) & set(graph.subjects(biolink.object, disease))
    assert set(graph.objects(association, biolink.publications)) == {
        rdflib.URIRef(f"{address}pubmed:{number}") for number in (11, 12)
    }
    assert float(graph.value(association, biolink.has_confidence_score)) == pytest.approx(0.9468)
    assert str(graph.value(association, biolink.supporting_text)) == "We gave lisinopril for hypertension."


def test_any_text_survives_in_every_graph(tmp_path: Path) -> None:
    rdflib, networkx = pytest.importorskip("rdflib"), pytest.importorskip("networkx")
    name = "x\"<\\y>&\u0301,'{ü}"
    names = {name: ("Chemical", "", ""), "nausea": ("Disease", "mesh:D009325", "Nausea")}
    item = stated("a b", f"We gave\t{name} for nausea.", (name, "Bind", "nausea", 0.5), names=names)
    pairs = gather(read_statements(Results(results_of(tmp_path / "out", item))))
    for target in ("g.ttl", "g.graphml", "neo4j"):
        write_pairs_graph(pairs, tmp_path / target)
    graph = rdflib.Graph().parse(tmp_path / "g.ttl")
    texts = {str(value) for value in graph.objects()}
    assert {name, f"We gave\t{name} for nausea."} <= texts
    assert f"Chemical:{name.lower()}" in networkx.read_graphml(tmp_path / "g.graphml")
    rows = list(csv.reader((tmp_path / "neo4j" / "nodes.csv").open(newline="")))
    assert rows[1][1] == name
    write_report(pairs, tmp_path / "r.html", "<title>")
    page = html.parse(tmp_path / "r.html")
    assert page.findtext(".//h1") == "<title>"
    assert [mark.text for mark in page.iter("mark")] == [name, "nausea"]


def test_another_ending_is_refused(pairs: list[Pair], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.graphml, \.ttl, or to a folder"):
        write_pairs_graph(pairs, tmp_path / "g.png")


def test_a_page_links_to_the_articles(pairs: list[Pair], tmp_path: Path) -> None:
    write_report(pairs, tmp_path / "r.html", "Evidence", ["1 retracted article is left out: 19"])
    page = html.parse(tmp_path / "r.html")
    links = [link.get("href") for link in page.iter("a")]
    assert "https://pubmed.ncbi.nlm.nih.gov/12/" in links
    assert "https://bioregistry.io/mesh:D006973" in links
    text = page.getroot().text_content()
    assert "against, 0.70: We saw that metformin did not reduce hypertension." in text
    assert "supposes, 0.70: We asked whether metformin lowers hypertension." in text
    assert not list(page.iter("script"))
    write_bridges(in_common(pairs, {"mesh:D017706"}, {"mesh:D008687"}), tmp_path / "b.html", "Both")
    assert "Hypertension" in (tmp_path / "b.html").read_text()

"""`/v1/link` and `/v1/lookup`: what the Linker says, within the bounds of the other routes."""

from __future__ import annotations

import pytest

import textome
from serve.conftest import Running
from textome.client import Client
from textome.documents import Document


def test_names_get_the_concepts_of_the_linker(server: Running) -> None:
    answer = server.post("/v1/link", {"names": ["renal failure", "blorb"], "type": "Disease"})
    first, second = answer.json["results"]
    (expected,) = textome.Linker().link("renal failure", "Disease")
    assert first["identifiers"] == [{"curie": expected.curie, "score": expected.score, "label": expected.label}]
    assert second == {"name": "blorb", "identifiers": []}


def test_entities_of_documents_are_linked_in_their_documents(server: Running) -> None:
    text = "Renal failure (RF) in mice; RF is bad."
    entities = [{"type": "Disease", "spans": [[28, 30]], "text": "RF"}]
    known = [{"type": "Disease", "spans": [[0, 13]], "text": "Renal failure", "identifiers": ["my:1"]}]
    documents = [{"id": "d", "text": text, "entities": entities + known}]
    (document,) = server.post("/v1/link", {"documents": documents}).json["documents"]
    first = next(item for item in document["entities"] if item["text"] == "RF")
    assert first["identifiers"][0]["curie"] == "mesh:D051437"
    assert [item["curie"] for item in _identifiers(document, "Renal failure")] == ["my:1"]
    (replaced,) = server.post("/v1/link", {"documents": documents, "replace": True}).json["documents"]
    assert [item["curie"] for item in _identifiers(replaced, "Renal failure")] == ["mesh:D051437"]


def _identifiers(document: dict, text: str) -> list[dict]:
    found = next(item["identifiers"] for item in document["entities"] if item["text"] == text)
    return [{"curie": item} if isinstance(item, str) else item for item in found]


def test_the_client_links_documents_and_names(server: Running) -> None:
    plain = Document.from_text("Gout hurts.", "d")
    document = plain.with_annotations([plain.entity([(0, 4)], "Disease")])
    with Client(server.url) as client:
        (linked,) = client.link(document)
        (names,) = client.link_names(["gout"], "Disease")
    assert linked.entities[0].curies == tuple(item.curie for item in names) == ("mesh:D006073",)


@pytest.mark.parametrize(
    ("query", "curie"),
    [
        ("mesh:D003920", "mesh:D003920"),
        ("renal+failure", "mesh:D051437"),
        ("Escherichia+co&type=Species", "ncbitaxon:562"),
    ],
)
def test_typed_text_finds_concepts(server: Running, query: str, curie: str) -> None:
    concepts = server.get(f"/v1/lookup?q={query}&limit=5").json["concepts"]
    assert curie in [concept["curie"] for concept in concepts]
    assert len(concepts) <= 5


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"names": ["gout"]}, 400, "type"),
        ({"names": [""], "type": "Disease"}, 400, "/names/0"),
        ({"names": ["x" * 1001], "type": "Disease"}, 400, "/names/0"),
        ({"names": ["x"] * 1001, "type": "Disease"}, 400, "/names"),
        ({"names": ["gout"], "type": "Colour"}, 422, "Disease"),
        ({"names": ["gout"], "type": "Disease", "candidates": 51}, 400, "/candidates"),
        ({"names": ["gout"], "type": "Disease", "documents": []}, 400, "exactly one"),
        ({"type": "Disease"}, 400, "exactly one"),
        ({"documents": [{"text": "a", "entities": [{"type": "Disease", "spans": [[0, 9]]}]}]}, 422, "document 1"),
    ],
)
def test_wrong_requests_are_told_what_to_do(server: Running, body: dict, status: int, message: str) -> None:
    answer = server.post("/v1/link", body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert message in answer.json["detail"]


@pytest.mark.parametrize("query", ["", "q=a", "q=gout&limit=0", "q=gout&limit=51", f"q={'x' * 201}"])
def test_a_look_up_has_bounds(server: Running, query: str) -> None:
    assert server.get(f"/v1/lookup?{query}").status == 400


def test_a_number_without_a_fraction_is_whole(server: Running) -> None:
    """JSON Schema's integers: 2.0 is one, and 2.5, "2" and true are none."""
    body = {"names": ["gout"], "type": "Disease"}
    statuses = [server.post("/v1/link", body | {"candidates": number}).status for number in (2.0, 2.5, "2", True)]
    assert statuses == [200, 400, 400, 400]


def test_white_space_names_nothing(server: Running) -> None:
    assert server.get("/v1/lookup?q=%20%1F%20").json["concepts"] == []


def test_an_unknown_type_is_a_problem_of_the_request(server: Running) -> None:
    assert server.get("/v1/lookup?q=gout&type=Colour").status == 422

"""`/v1/embed`: what the Embedder says, within the bounds of the other routes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serve.conftest import Running, running
from textome.client import Client, ServiceError
from textome.runtime.embedder import Embedder
from textome.runtime.export import export_encoder
from textome.serve.queueing import Settings
from tiny import make_base, without_names

TEXTS = ["aspirin is given for gout .", "no malaria was seen", "patients took aspirin " * 30]


@pytest.mark.parametrize(("pooling", "normalise"), [("mean", True), ("cls", False)])
def test_vectors_are_those_of_the_embedder(pooling: str, normalise: bool, server: Running, tiny_bundle: Path) -> None:
    with Client(server.url) as client:
        found = client.embed(TEXTS, pooling=pooling, normalise=normalise)
    expected = Embedder.load(tiny_bundle, threads=1).embed(TEXTS, pooling=pooling, normalise=normalise)  # type: ignore[arg-type]
    # In int8 a vector changes a little with what else is in its batch.
    cosines = (np.array(found) * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.99
    if normalise:
        assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_the_answer_tells_its_model_and_size(server: Running) -> None:
    answer = server.post("/v1/embed", {"texts": ["gout"]})
    assert {**answer.json, "embeddings": None} == {
        "model": "tiny",
        "pooling": "mean",
        "dimensions": 32,
        "embeddings": None,
    }
    assert [len(row) for row in answer.json["embeddings"]] == [32]
    assert server.post("/v1/embed", {"texts": []}).json["embeddings"] == []
    assert "embeddings" in server.get("/v1/models").json["models"][0]["tasks"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"texts": "gout"}, 400, "/texts"),
        ({}, 400, "/texts"),
        ({"texts": ["gout"], "pooling": "max"}, 400, "'mean' or 'cls'"),
        ({"texts": ["gout", " "]}, 422, "record 2: a text without any word"),
        ({"texts": ["gout"], "model": "none"}, 404, "tiny"),
        ({"texts": ["x" * 200_001]}, 413, "characters"),
        ({"texts": ["x"] * 5001}, 413, "5,000 documents"),
    ],
)
def test_wrong_requests_are_told_what_to_do(server: Running, body: dict, status: int, message: str) -> None:
    answer = server.post("/v1/embed", body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert message in answer.json["detail"]


def test_a_model_made_for_vectors_is_asked_first(tiny_bundle: Path, tmp_path: Path) -> None:
    export_encoder(make_base(tmp_path / "base"), tmp_path / "vectors", "int8")
    models = {"tiny": tiny_bundle, "vectors": tmp_path / "vectors"}
    with running(models) as server, Client(server.url) as client:
        assert server.post("/v1/embed", {"texts": ["gout"]}).json["model"] == "vectors"
        assert server.post("/v1/embed", {"texts": ["gout"], "model": "tiny"}).json["model"] == "tiny"
        assert server.post("/v1/annotate", {"text": "gout"}).json["model"] == "tiny"
        assert [model.tasks for model in client.models()] == [("entities", "embeddings"), ("embeddings",)]


def test_a_full_queue_is_told_at_once(tiny_bundle: Path) -> None:
    with running(tiny_bundle, settings=Settings(max_requests=0)) as server, Client(server.url, retries=0) as client:
        engine = server.service.models["tiny"].vectors
        assert engine is not None
        engine.requests = 1  # as if another one were in work
        with pytest.raises(ServiceError, match="queue is full") as raised:
            client.embed(["gout"])
        assert raised.value.status == 503
        engine.requests = 0
        assert len(client.embed(["gout"])) == 1


def test_a_graph_without_names_finds_entities_but_gives_no_vectors(tiny_bundle: Path, tmp_path: Path) -> None:
    with running(without_names(tiny_bundle, tmp_path)) as server:
        assert server.post("/v1/annotate", {"text": "aspirin is given for gout"}).json["documents"][0]["entities"]
        answer = server.post("/v1/embed", {"texts": ["gout"]})
        assert answer.status == 404
        assert "`textome export`" in answer.json["detail"]
        assert server.get("/v1/models").json["models"][0]["tasks"] == ["entities"]

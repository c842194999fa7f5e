"""The client against a real service, and against services that fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("fastapi", reason="the service needs pip install 'textome[serve]'")

import textome.client as client_module
from serve.conftest import Running, running
from serve.test_routes import TEXT, citations
from textome.client import Client, ServiceError
from textome.documents import Document, Identifier, Label, Span
from textome.errors import InputError
from tiny import with_twin_heads


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[Running]:
    with running(tiny_bundle) as started:
        yield started


def test_documents_come_back_with_entities(server: Running, tmp_path: Path) -> None:
    with Client(server.url) as client:
        assert [model.name for model in client.models()] == ["tiny"]
        documents = client.annotate([TEXT, Document.from_text("no \U0001f9ec gout was seen", "7")], types=["Disease"])
        assert [entity.text for entity in documents[0].entities] == ["type 2 diabetes", "breast cancer"]
        assert "gout" in [entity.text for entity in documents[1].entities]
        assert documents[1].id == "7"
        flu = Document.from_text("no flu", "8").with_labels([Label("yes", "flu", 0.5, Span(3, 6), {"yes": 0.5})])
        identifiers = [Identifier("mesh:D007251", 0.75, "Influenza, Human")]
        entity = flu.entity([(3, 6)], "Disease", id="T1", identifiers=identifiers, attributes={"negated": "true"})
        (back,) = client.annotate([flu.with_annotations([entity])])
        assert (back.entities[0], back.labels) == (entity, flu.labels)
        assert len(client.annotate(TEXT)[0].entities) == 4
        (tmp_path / "a.txt").write_text(TEXT)
        assert len(client.annotate_file(tmp_path / "a.txt")[0].entities) == 4
        with pytest.raises(ServiceError, match="knows Disease, Chemical") as refused:
            client.annotate(TEXT, types=["Gene"])
        assert (refused.value.status, refused.value.kind) == (422, "unknown-type")


def test_many_documents_go_in_several_requests_and_come_back_in_order(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_REQUEST_CHARACTERS", 2 * len(TEXT))
    with Client(server.url) as client:
        answers = client.annotate(
            [TEXT, Document.from_text(TEXT, "x"), TEXT, Document.from_text(" ".join([TEXT] * 3), "y"), TEXT]
        )
        assert [(document.id, len(document.entities)) for document in answers] == [
            *(("1", 4), ("x", 4), ("3", 4)),
            *(("y", 12), ("5", 4)),
        ]
        assert client.annotate([]) == []


def test_of_overlapping_entities_the_most_probable_comes_back(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    data = citations(2)
    with running(with_twin_heads(tiny_bundle, tmp_path / "twins")) as twins, Client(twins.url) as client:
        for flat in (True, False):
            (document,) = client.annotate(TEXT, flat=flat)
            (same,) = client.annotate_file(tmp_path / "a.txt", flat=flat)
            streamed = list(client.stream_pubmed_xml([data], flat=flat))
            for item in (document, same, *streamed):
                places = [entity.spans for entity in item.entities]
                assert places
                assert (len(places) == len(set(places))) is flat


def test_a_stream_goes_both_ways(server: Running, tmp_path: Path) -> None:
    data = citations(300)
    bad: list[tuple[str, str]] = []

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), 7000):
            yield data[start : start + 7000]
        yield b"<rest"

    client = Client(server.url)
    found = list(client.stream_pubmed_xml(pieces(), on_bad_record=lambda *problem: bad.append(problem)))
    assert [document.id for document in found] == [str(number) for number in range(1, 301)]
    assert len(bad) == 1
    (tmp_path / "a.xml").write_bytes(data)
    assert sum(1 for _ in client.stream_pubmed_xml(tmp_path / "a.xml", types=["Disease"])) == 300
    assert next(client.stream_pubmed_xml(tmp_path / "a.xml")).id == "1"  # and leaves
    with pytest.raises(ServiceError) as refused:
        list(client.stream_pubmed_xml([b"no xml"]))
    assert refused.value.status == 415
    assert len(client.annotate(TEXT)[0].entities) == 4


class Moody(BaseHTTPRequestHandler):
    """Gives the answers of `moods` one after another; a mood of 0 hangs up."""

    moods: ClassVar[list[int]] = []
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = self.moods.pop(0)
        if not status:
            self.close_connection = True
            return
        problem = {"type": "urn:textome:problem:queue-full", "detail": "the queue is full", "status": status}
        body = json.dumps({"models": []} if status == 200 else problem).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "3")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Moody)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_it_comes_again_later_and_later(moody: str) -> None:
    slept: list[float] = []
    Moody.moods = [503, 429, 0, 502, 200]
    with Client(moody, sleep=slept.append, backoff=0.5) as client:
        assert client.models() == []
    assert slept[0] == 3  # as the service asked
    assert all(0.25 * 2**step <= waited <= 0.5 * 2**step for step, waited in enumerate(slept) if step)
    Moody.moods = [503] * 10
    with (
        Client(moody, sleep=slept.append, retries=2) as client,
        pytest.raises(ServiceError, match="queue is full") as full,
    ):
        client.models()
    assert (full.value.status, full.value.kind, len(Moody.moods)) == (503, "queue-full", 7)


def test_what_is_wrong_is_not_sent_again(moody: str) -> None:
    Moody.moods = [400, 200]
    with Client(moody, sleep=lambda _: None) as client, pytest.raises(ServiceError):
        client.models()
    assert Moody.moods == [200]
    with pytest.raises(InputError, match="not an address"):
        Client("localhost:8000")
    with pytest.raises(ServiceError, match="does not answer"):
        Client("http://127.0.0.1:9", retries=0).models()

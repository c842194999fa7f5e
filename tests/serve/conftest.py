"""A service on a real socket, in a thread, with the tiny model; and a client that can also behave badly."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("fastapi", reason="the service needs pip install 'textome[serve]'")
pytest.importorskip("uvicorn")


from textome.pipeline import PipelineChoice
from textome.runtime.step import ModelSettings
from textome.serve.app import create_app
from textome.serve.limits import Limits
from textome.serve.processes.connections import HEAD_SECONDS, READ_SECONDS, connection_class
from textome.serve.processes.running import _Server, bind, configuration
from textome.serve.queueing import Settings
from textome.serve.service import Service


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Running:
    """A service that runs, at `port` of this machine."""

    service: Service
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 30, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = json.dumps(body).encode() if isinstance(body, dict | list) else body
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, data, names)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        return self.ask("POST", path, body, **options)

    def get(self, path: str, **options: Any) -> Answer:
        return self.ask("GET", path, **options)


@contextmanager
def running(
    bundle: Path | dict[str, Path] | None,
    limits: Limits | None = None,
    settings: Settings | None = None,
    pubmed: str | None = None,
    steps: PipelineChoice | None = None,
    connections: int = 1000,
    head_seconds: float = HEAD_SECONDS,
    read_seconds: float = READ_SECONDS,
    **options: Any,
) -> Iterator[Running]:
    named = bundle if isinstance(bundle, dict) else {"tiny": bundle}
    models = {name: ModelSettings(model=str(place) if place else None) for name, place in named.items()}
    service = Service.load(models, steps, limits=limits, settings=settings, threads=1)
    service.pubmed = pubmed
    app = create_app(service, **options)
    listening = bind("127.0.0.1", 0)
    config = configuration(app, grace=10)
    config.http = connection_class(connections, head_seconds, read_seconds)
    server = _Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    started = threading.Event()
    while thread.is_alive() and not server.started:
        started.wait(0.02)
    try:
        yield Running(service, listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the service did not end"


Start = Callable[..., Any]


@pytest.fixture(scope="session")
def server(tiny_bundle: Path) -> Iterator[Running]:
    with running(tiny_bundle, Limits(body_seconds=1.0, body_bytes=300_000, characters=200_000)) as started:
        yield started


CITATION = (
    "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>7</PMID><Article><ArticleTitle>No gout was seen</ArticleTitle>"
    "<Abstract><AbstractText>Metformin is given for type 2 diabetes.</AbstractText></Abstract></Article></MedlineCitation>"
    "</PubmedArticle></PubmedArticleSet>"
)


class _PubMed(BaseHTTPRequestHandler):
    """Knows the citation 7, is broken for 8, and has none for others."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        assert (query["db"], query["retmode"]) == (["pubmed"], ["xml"])
        self.send_response(503 if query["id"] == ["8"] else 200)
        self.end_headers()
        self.wfile.write((CITATION if query["id"] == ["7"] else "<PubmedArticleSet></PubmedArticleSet>").encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="session")
def pubmed(tiny_bundle: Path) -> Iterator[Running]:
    """A service that may ask a PubMed of our own."""
    place = ThreadingHTTPServer(("127.0.0.1", 0), _PubMed)
    threading.Thread(target=place.serve_forever, daemon=True).start()
    with running(tiny_bundle, pubmed=f"http://127.0.0.1:{place.server_port}/efetch.fcgi") as started:
        yield started
    place.shutdown()
    place.server_close()


@contextmanager
def connected(server: Running) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        yield connection

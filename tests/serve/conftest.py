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
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the service needs pip install 'textome[serve]'")
pytest.importorskip("uvicorn")


from textome.serve.app import create_app
from textome.serve.engine import Settings
from textome.serve.limits import Limits
from textome.serve.running import _Server, bind, configuration
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
    bundle: Path | None, limits: Limits | None = None, settings: Settings | None = None, **options: Any
) -> Iterator[Running]:
    place = str(bundle) if bundle else None
    service = Service.load({"tiny": place}, limits=limits, settings=settings, threads=1)
    app = create_app(service, **options)
    listening = bind("127.0.0.1", 0)
    server = _Server(configuration(app, grace=10))
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


@contextmanager
def connected(server: Running) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        yield connection

"""What one client can do to the others: bodies that are small to send and large to read, and connections that stall."""

from __future__ import annotations

import asyncio
import bz2
import json
import logging
import re
import resource
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

import textome.serve.limits as limits_module
from serve.conftest import Running, connected, running
from serve.test_routes import citations
from textome.documents import Document
from textome.errors import InputError
from textome.pipeline import Pipeline
from textome.serve.limits import Limits
from textome.serve.problems import without_text
from textome.serve.processes.connections import QuietAccept, connection_bound, connection_class

GONE = ConnectionError  # broken pipes and resets
LONG = "ab " * 10_000


@pytest.fixture(scope="module")
def small(tiny_bundle: Path) -> Iterator[Running]:
    """A service with short patience and few connections."""
    limits = Limits(body_seconds=1.0, request_seconds=5.0, characters=200_000, values=50_000)
    with running(tiny_bundle, limits, connections=6, head_seconds=1.0, read_seconds=1.0) as started:
        yield started


def entities(pairs: list[Any], number: int) -> list[Any]:
    return [{"type": "X", "spans": pairs} for _ in range(number)]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/annotate", {"documents": [{"text": LONG, "entities": entities([[0, 30_000]] * 5000, 1)}]}, 422),
        ("/v1/annotate", {"documents": [{"text": LONG, "entities": entities([[0, 30_000]], 20)}]}, 413),
        ("/v1/annotate", {"documents": [{"text": LONG, "entities": entities([[0, 1], [29_999, 30_000]], 20)}]}, 413),
        (
            "/v1/convert",
            {"documents": [{"text": LONG, "entities": entities([[0, 30_000]], 20)}], "format": "html"},
            413,
        ),
        ("/v1/convert", {"documents": [{"text": LONG, "entities": entities([[0, 30_000]], 2)}], "format": "json"}, 200),
        ("/v1/annotate", {"documents": [1] * 40_000}, 413),
        ("/v1/annotate", {"documents": [{"text": "a", "passages": [1] * 20_000}]}, 400),
        ("/v1/annotate", {"documents": [{"text": "a", "x": [[]] * 60_000}]}, 413),
        ("/v1/annotate", {"documents": [{"text": "a", "metadata": {str(number): 1 for number in range(30_000)}}]}, 400),
        ("/v1/annotate", {"text": "a"} | {str(number): 1 for number in range(30_000)}, 400),
        ("/v1/annotate", {"text": "a", "types": [["x"]] * 10_000}, 400),
    ],
)
def test_small_bodies_that_are_large_to_read_are_refused_at_once(
    small: Running, path: str, body: Any, status: int
) -> None:
    started = time.monotonic()
    answer = small.post(path, body)
    assert answer.status == status, answer.body[:300]
    assert time.monotonic() - started < 5
    if status != 200:
        assert len(answer.body) < 2000
        assert "ab ab" not in answer.json["detail"]


def test_relations_count_what_they_name_each_time(small: Running) -> None:
    relations = [{"type": "R", "arguments": [["a", "T1"]] * 10} for _ in range(5)]
    document = {"text": LONG, "entities": [{"id": "T1", "type": "X", "spans": [[0, 9000]]}], "relations": relations}
    for number, status in ((5, 413), (1, 200)):
        body = {"documents": [document | {"relations": relations[:number]}], "format": "html"}
        assert small.post("/v1/convert", body).status == status


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("bioc-xml", b"<collection><document>" + b"<x/>" * 60_000),
        ("jsonl", b'{"text": "a", "x": [' + b"[]," * 60_000 + b"1]}"),
        ("conll", b"a\tO\n" * 60_000),
    ],
)
def test_files_of_too_many_values_are_refused(small: Running, format: str, data: bytes) -> None:
    for body in (data, bz2.compress(data)):
        answer = small.post(f"/v1/annotate/file?from={format}", body)
        assert answer.status == 413, answer.body
        assert "more than" in answer.json["detail"]


def test_a_stream_without_an_end_of_a_citation_is_refused(tiny_bundle: Path) -> None:
    with running(tiny_bundle, Limits(body_bytes=100_000, values=10_000)) as server:
        whole = citations(2000)
        assert len(server.post("/v1/annotate/pubmed-xml", whole).lines) == 2000
        for filling in (b"<x/>" * 40_000, b"x" * 200_000):
            answer = server.post("/v1/annotate/pubmed-xml", b"<PubmedArticleSet><PubmedArticle>" + filling)
            assert answer.status == 413
            assert "a citation is larger" in answer.json["detail"]


@given(
    st.recursive(
        st.text('a"\\[{,é', max_size=8) | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\]}', max_size=4), inner, max_size=4),
        max_leaves=12,
    )
)
def test_strings_are_left_out_slice_by_slice(value: object) -> None:
    data = json.dumps(value, ensure_ascii=False).encode()
    whole = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits_module, "_SLICE", 3)
        assert b"".join(limits_module._without_strings(data)) == whole


def test_after_the_deadline_no_step_begins_a_further_document(tiny_bundle: Path) -> None:
    begun: list[str] = []

    def slow(documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            begun.append(document.id)
            time.sleep(0.1)
            yield document

    with running(tiny_bundle, Limits(request_seconds=0.5)) as server:
        server.service.steps = Pipeline([slow])
        assert server.post("/v1/annotate", {"documents": ["gout"] * 50}).status == 504
        time.sleep(0.2)
        number = len(begun)
        time.sleep(0.3)
        assert len(begun) == number < 10


def test_the_deadline_holds_for_reading_and_writing_too(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def slow(*_: Any) -> Any:
        ended.wait(30)
        raise AssertionError

    monkeypatch.setattr("textome.serve.app.with_documents", slow)
    with running(tiny_bundle, Limits(request_seconds=0.3)) as server:
        started = time.monotonic()
        answer = server.post("/v1/annotate", {"text": "gout " * 10_000})
        assert answer.status == 504
        assert time.monotonic() - started < 20
        assert "0.3 s" in answer.json["detail"]
        assert server.service.memory.used == 0
        ended.set()


def test_a_message_is_cut_before_it_is_searched() -> None:
    started = time.process_time()
    assert len(without_text(InputError("'\"" * 5_000_000))) <= 500
    assert time.process_time() - started < 1


def test_two_lengths_of_one_body_are_refused(server: Running) -> None:
    with connected(server) as connection:
        connection.sendall(
            b"POST /v1/annotate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\n"
        )
        answer = closed_within(connection, 5)
        assert b" 400 " in answer.split(b"\r\n")[0]
        assert b"both Content-Length and Transfer-Encoding" in answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://elsewhere.example", "Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "https://behind.a.proxy"}, 200),
        ({"Origin": "http://Name.example:80", "Host": "name.example"}, 200),
        ({"Origin": "https://name.example", "Host": "name.example:443"}, 200),
        ({"Origin": "https://name.example:8443", "Host": "name.example"}, 403),
        ({}, 200),
    ],
)
def test_pages_of_other_sites_are_refused(server: Running, headers: dict[str, str], status: int) -> None:
    assert server.post("/v1/annotate", {"text": "a"}, **headers).status == status


def closed_within(connection: socket.socket, seconds: float) -> bytes:
    """What comes until the other side closes, at most `seconds` later."""
    connection.settimeout(seconds)
    pieces = []
    while piece := connection.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_a_head_that_does_not_come_ends_the_connection(small: Running, sent: bytes) -> None:
    with connected(small) as connection:
        connection.sendall(sent)
        assert closed_within(connection, 3) == b""


def test_a_head_that_comes_byte_by_byte_ends_the_connection(small: Running) -> None:
    with connected(small) as connection, pytest.raises(GONE):  # noqa: PT012
        for _ in range(30):
            connection.sendall(b"G")
            time.sleep(0.1)


def test_a_second_head_has_its_own_time(small: Running) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(small) as connection:
        for _ in range(3):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"ok\n"):
                answer += connection.recv(4096)
            time.sleep(0.6)
        connection.sendall(request[:20])
        assert closed_within(connection, 3) == b""


def test_a_connection_ends_with_408(small: Running) -> None:
    with connected(small) as connection:
        connection.sendall(b"POST /v1/annotate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        answer = closed_within(connection, 5)
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b"connection: close" in answer.lower()


def test_the_rest_of_a_refused_body_has_a_time(small: Running) -> None:
    with connected(small) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{")
        with pytest.raises(GONE):  # noqa: PT012
            for _ in range(40):
                connection.sendall(b" ")
                time.sleep(0.1)


async def application(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


class _Loop:
    """An event loop's clock: timers that have begun and were not cancelled, with their seconds."""

    def __init__(self) -> None:
        self.timers: list[float] = []

    def call_later(self, seconds: float, _: Any) -> Any:
        self.timers.append(seconds)
        return SimpleNamespace(cancel=lambda: self.timers.remove(seconds))

    def create_task(self, work: Any) -> Any:
        work.close()
        return MagicMock()


def test_a_client_that_takes_nothing_of_its_answer_has_a_time_whatever_it_sends(server: Running) -> None:
    kind = connection_class(10, head_seconds=7.0, read_seconds=9.0)
    config = uvicorn.Config(application, http=kind, log_config=None)
    loop = _Loop()
    connection = kind(config=config, server_state=ServerState(), app_state={}, _loop=loop)  # type: ignore[arg-type]
    connection.connection_made(MagicMock(is_closing=lambda: False, get_extra_info=lambda _: None))
    assert loop.timers == [7.0]
    connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert loop.timers == []
    connection.pause_writing()
    connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert loop.timers == [9.0]
    connection.resume_writing()
    assert loop.timers == []


def test_idle_connections_make_room_for_others(tiny_bundle: Path) -> None:
    with running(tiny_bundle, connections=6, head_seconds=20.0) as server, ExitStack() as stack:
        started = time.monotonic()
        for _ in range(40):
            stack.enter_context(connected(server))
        assert server.get("/healthz", timeout=30).status == 200
        assert time.monotonic() - started < 18  # before their time was up


def test_uploads_that_stand_still_make_room_too(small: Running) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(connected(small))
            connection.sendall(b"POST /v1/annotate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        started = time.monotonic()
        assert small.post("/v1/annotate", {"text": "gout"}, timeout=5).status == 200
        assert time.monotonic() - started < 0.9


def test_the_bound_leaves_files_for_other_things() -> None:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert connection_bound(10**9) < files
    assert connection_bound(1) == 1


def test_a_socket_that_cannot_be_accepted_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    handler = QuietAccept()
    loop = asyncio.new_event_loop()
    context = {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many open files")}
    logging.getLogger("textome.serve").propagate = True
    with caplog.at_level(logging.ERROR):
        for _ in range(1000):
            handler(loop, dict(context))
    loop.close()
    assert len([record for record in caplog.records if "no connection can be accepted" in record.message]) == 1

"""The log of the service as JSON, and the ids of requests."""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serve.conftest import Running
from serve.test_routes import SECRET
from textome.serve.logs import announce, id_of, log_to_stderr


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the service logs as JSON while the test runs."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    before = [
        (logging.getLogger(name), logging.getLogger(name).__dict__.copy()) for name in ("textome.serve", "uvicorn")
    ]
    log_to_stderr(quiet=False, format="json")
    yield stream
    for logger, members in before:
        logger.__dict__.update(members)
        logger.manager._clear_cache()  # type: ignore[attr-defined]


def logged(stream: io.StringIO, number: int) -> list[dict[str, Any]]:
    """The lines, when there are so many: a line follows its answer."""
    end = time.monotonic() + 10
    while stream.getvalue().count("\n") < number and time.monotonic() < end:
        time.sleep(0.01)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def line_of(stream: io.StringIO, request: str) -> dict[str, Any]:
    """The line of a request: that of one which an earlier test made may come late, too."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for line in logged(stream, 1):
            if line.get("request_id") == request:
                return line
        time.sleep(0.01)
    raise AssertionError(f"no line of {request} in {stream.getvalue()!r}")


def test_each_request_is_a_json_line_with_its_id(server: Running, lines: io.StringIO) -> None:
    answer = server.post("/v1/annotate", {"text": f"{SECRET} for gout"}, X_Request_Id="abc-1")
    assert answer.headers["x-request-id"] == "abc-1"
    own = server.post("/v1/annotate", {"text": 3})
    first, second = line_of(lines, "abc-1"), line_of(lines, own.headers["x-request-id"])
    announce("stopped")
    last = logged(lines, 3)[-1]
    expected = {"level": "info", "request_id": "abc-1", "method": "POST", "route": "/v1/annotate", "status": 200}
    assert expected.items() <= first.items()
    assert first["milliseconds"] > 0
    assert (second["status"], last["message"]) == (400, "stopped")
    assert "request_id" not in last
    assert SECRET not in lines.getvalue()


@pytest.mark.parametrize("header", ["", "a b", "x" * 65, "a\nb", '"', "\u00e4"])
def test_an_id_that_is_no_safe_word_is_replaced(header: str) -> None:
    assert id_of(header) != header
    assert len(id_of(header)) == 32


def test_a_mistake_has_the_id_of_its_request(
    server: Running, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(server.service, "info", wrong)
    answer = server.get("/v1/models", X_Request_Id="seen")
    assert answer.status == 500
    assert answer.headers["x-request-id"] == "seen"
    line_of(lines, "seen")
    error = next(line for line in logged(lines, 2) if line.get("request_id") == "seen")
    assert (error["level"], error["request_id"]) == ("error", "seen")
    assert "RuntimeError in wrong:" in error["message"]

"""Connections that nothing comes from, or that take nothing, are closed; and there is a bound of how many there are.

Uvicorn has a time for a connection between two requests only. Here is one for the head of a request, from the first byte or
the connection's beginning, and one for a client that does not read its answer. Beyond the bound the connection that has
waited longest for its client makes room for a new one, so that idle ones never keep others out.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger("textome.serve")
HEAD_SECONDS = 10.0
READ_SECONDS = 30.0
# Files that the process has open besides connections: models, logs, temporary files.
_OTHER_FILES = 48
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"


def open_files() -> float:
    """How many files the process may have open."""
    try:
        import resource
    except ImportError:  # Windows, where sockets are not files
        return math.inf
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if files == resource.RLIM_INFINITY else files


def accepted_at_once() -> int:
    """Connections that one turn of the event loop accepts, before it looks at their bound."""
    return int(max(1, min(64, open_files() // 16)))


def connection_bound(connections: int) -> int:
    """The number of connections, at most `connections`, for which the process may open files.

    Those of a turn are closed two turns later where they are beyond the bound.
    """
    return int(max(1, min(connections, open_files() - 3 * accepted_at_once() - _OTHER_FILES)))


class Connection(H11Protocol):
    """A connection of the service.

    most          connections at once
    head_seconds  for the head of a request to arrive, and for the rest of a body that was answered before it had come
    read_seconds  for a client to take the next of an answer that waits for it
    """

    most: int
    head_seconds = HEAD_SECONDS
    read_seconds = READ_SECONDS
    # All connections, and of them those that wait for their clients, the one that has waited longest first.
    alive: set[Connection]
    waiting: dict[Connection, None]
    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.alive) >= self.most and not self._make_room():
            transport.write(_BUSY)
            transport.close()
            return
        self.alive.add(self)
        self._wait()
        self._expect_head(self.head_seconds)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.is_answering:
            self.waiting.pop(self, None)
            if self.cycle.more_body:
                self._wait()
            self._expect_head(None)
        elif self._head is None and not self.transport.is_closing():
            self._wait()
            self._expect_head(self.head_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader(self.read_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._expect_reader(None)

    def on_response_complete(self) -> None:
        self._wait()
        if self.transport.is_closing():
            self._expect_reader(self.read_seconds)  # for what is still to be sent
        elif self.cycle.more_body:
            self._expect_head(self.head_seconds)  # for the rest of a body that was answered before it had come
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    @property
    def is_answering(self) -> bool:
        """Has a whole head come whose answer is not complete?"""
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        """From now on the connection waits for its client."""
        if self in self.alive:
            self.waiting.pop(self, None)
            self.waiting[self] = None

    def _leave(self) -> None:
        self.alive.discard(self)
        self.waiting.pop(self, None)
        self._expect_head(None)
        self._expect_reader(None)

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for its client; False where none waits."""
        if (oldest := next(iter(self.waiting), None)) is None:
            return False
        oldest._leave()  # it is lost only in the next turn of the event loop
        oldest.transport.abort()
        return True

    def _expect_head(self, seconds: float | None) -> None:
        """Close the connection if the head of a request takes longer; None: it has come."""
        self._head = self._restarted(self._head, seconds)

    def _expect_reader(self, seconds: float | None) -> None:
        """Close the connection if the client takes none of its answer for so long; None: it has."""
        self._reader = self._restarted(self._reader, seconds)

    def _restarted(self, timer: asyncio.TimerHandle | None, seconds: float | None) -> asyncio.TimerHandle | None:
        if timer is not None:
            timer.cancel()
        return None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


def connection_class(
    most: int, head_seconds: float = HEAD_SECONDS, read_seconds: float = READ_SECONDS
) -> type[Connection]:
    """The protocol for Uvicorn's `http`, with the bounds of a `Connection`."""
    bounds = {"most": most, "head_seconds": head_seconds, "read_seconds": read_seconds}
    return type("Bounded", (Connection,), bounds | {"alive": set(), "waiting": {}})


class QuietAccept:
    """An event loop's handler of errors that tells once in ten seconds, in a line, that no connection can be accepted.

    asyncio tries again each second, and calls the handler for every connection of a turn.
    """

    def __init__(self) -> None:
        self._last_line = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not str(context.get("message", "")).startswith("socket.accept() out of system resource"):
            loop.default_exception_handler(context)
        elif (now := time.monotonic()) - self._last_line >= 10:
            self._last_line = now
            log.error("no connection can be accepted (%s); raise the limit of open files", context.get("exception"))

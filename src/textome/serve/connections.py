"""Connections that nothing comes from, or that take nothing, are closed; and there is a bound of how many there are.

Uvicorn has a time for a connection between two requests only. Here is one for the head of a request, from the first byte or
the connection's beginning, and one for a client that does not read its answer. Beyond the bound the connection that has
waited longest for its client makes room for a new one, so that idle ones never keep others out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger("textome.serve")
HEAD_SECONDS = 10.0
READ_SECONDS = 30.0
# Connections that one turn of the event loop accepts: they exist before the bound is looked at.
ACCEPT = 64
# Files that the process has open besides connections: models, logs, temporary files.
_OTHER_FILES = 48
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"


def connection_bound(wanted: int) -> int:
    """As many of the `wanted` connections as the files that the process may open leave room for."""
    try:
        import resource
    except ImportError:  # Windows, where sockets are no files
        return wanted
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, files - ACCEPT - _OTHER_FILES))


class Connection(H11Protocol):
    """A connection of the service.

    most          connections at once
    head_seconds  for the head of a request to arrive, and for the rest of a body that was answered before it had come
    read_seconds  for a client to take the next of an answer that waits for it
    """

    most: int
    head_seconds = HEAD_SECONDS
    read_seconds = READ_SECONDS
    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None
    waits_since = 0.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.waits_since = time.monotonic()
        self._expect_head(self.head_seconds)
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.is_answering:
            self.waits_since = time.monotonic()
            self._expect_head(None)
        elif self._head is None and not self.transport.is_closing():
            self.waits_since = time.monotonic()
            self._expect_head(self.head_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader(self.read_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._expect_reader(None)

    def on_response_complete(self) -> None:
        self.waits_since = time.monotonic()
        if self.transport.is_closing():
            self._expect_reader(self.read_seconds)  # for what is still to be sent
        elif self.cycle.more_body:
            self._expect_head(self.head_seconds)  # for the rest of a body that was answered before it had come
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_head(None)
        self._expect_reader(None)
        super().connection_lost(exc)

    @property
    def is_answering(self) -> bool:
        """Has a whole head come whose answer is not complete?"""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def waits_for_client(self) -> bool:
        return not self.is_answering or bool(self.cycle.more_body)

    def _make_room(self) -> None:
        others = [
            item
            for item in self.connections
            if isinstance(item, Connection) and item is not self and item.waits_for_client
        ]
        if others:
            min(others, key=lambda item: item.waits_since).transport.abort()
        else:
            self.transport.write(_BUSY)
            self.transport.close()

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
    return type("Bounded", (Connection,), {"most": most, "head_seconds": head_seconds, "read_seconds": read_seconds})


class QuietAccept:
    """An event loop's handler of errors that tells once in ten seconds, in a line, that no connection can be accepted.

    asyncio tries again each second, and calls the handler for every connection of a turn.
    """

    def __init__(self) -> None:
        self._told = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not str(context.get("message", "")).startswith("socket.accept() out of system resource"):
            loop.default_exception_handler(context)
        elif (now := time.monotonic()) - self._told >= 10:
            self._told = now
            log.error("no connection can be accepted (%s); raise the limit of open files", context.get("exception"))

"""Running the service: binding, the log, and an end that finishes what is in flight."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable

import uvicorn

from textome.errors import InputError
from textome.serve.guard import Guard
from textome.serve.metrics import Metrics
from textome.serve.processes.connections import QuietAccept, accepted_at_once, connection_bound, connection_class
from textome.serve.processes.memory import use_few_arenas
from textome.serve.service import Service

log = logging.getLogger("textome.serve")
# Connections at once, and those that wait to be accepted.
CONNECTIONS = 1000
BACKLOG = 1024
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str) -> bool:
    """Is this an address that only programs on this machine reach?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def local_names(host: str) -> tuple[str, ...]:
    """What a request's Host may be where the service is bound to the loopback address `host`."""
    return (*_LOCAL_NAMES, f"[{host}]" if ":" in host else host)


def bind(host: str, port: int, shared: bool = False) -> socket.socket:
    """A socket that listens at `host` and `port` (0 takes a free one). Raises InputError where that cannot be.

    shared   other sockets may listen at the same port, and the system deals connections out among them
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen at {host}, port {port} ({error}); choose others with --host and --port"
        ) from error
    listening.setblocking(False)
    return listening


def run(
    app: Guard,
    service: Service,
    listening: socket.socket,
    *,
    grace: float,
    connections: int = CONNECTIONS,
    ready: Callable[[], None] | None = None,
    parent: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight, for at most `grace` seconds, and return.

    connections   at once, if the limit of open files allows so many
    ready    called when requests are taken
    parent   of a worker: a file descriptor that can be read when the parent has ended, which is like SIGTERM
    """
    use_few_arenas()
    asyncio.run(_serve(_Server(configuration(app, grace, connections)), service, listening, app.metrics, ready, parent))


def configuration(app: Guard, grace: float, connections: int = CONNECTIONS) -> uvicorn.Config:
    """How Uvicorn runs the service: only HTTP/1.1, no log of its own, bounded heads of requests and connections."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=max(1, round(grace)),
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=32_768,
        backlog=accepted_at_once(),
        ws="none",
        http=connection_class(connection_bound(connections)),
    )


class _Server(uvicorn.Server):
    """Uvicorn without its own signals: it would raise them again in the end, and the exit code would not be 0."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)


async def _serve(
    server: _Server,
    service: Service,
    listening: socket.socket,
    metrics: Metrics,
    ready: Callable[[], None] | None,
    parent: int | None,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(QuietAccept())

    def stop() -> None:
        if server.should_exit:
            server.force_exit = True  # asked twice: at once
        service.draining = True
        server.should_exit = True

    async def tell() -> None:
        while not server.started:
            await asyncio.sleep(0.01)
        listening.listen(BACKLOG)  # Uvicorn has made it as short as one turn of accepting
        if ready is not None:
            ready()
        while metrics.is_shared:
            metrics.publish()
            await asyncio.sleep(1)

    def orphaned() -> None:
        assert parent is not None
        loop.remove_reader(parent)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # on Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    if parent is not None:
        loop.add_reader(parent, orphaned)
    telling = asyncio.create_task(tell())
    await server.serve([listening])
    telling.cancel()

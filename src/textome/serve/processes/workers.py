"""Several processes behind one address, forked when the models are loaded, so that they share the models' memory.

Each worker has a listening socket of its own at the same port (SO_REUSEPORT), among which the system deals connections out.
The parent holds all of them, so that no connection is lost when a worker dies and another takes its place. Models must have
been loaded with one thread: a pool of threads does not outlive a fork.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

from textome.errors import InputError, TextomeError
from textome.serve.processes.running import bind

log = logging.getLogger("textome.serve")
# A worker that lived for fewer seconds is replaced after a pause; after so many such ends in a row the service gives up.
QUICK_END = 5.0
QUICK_ENDS = 5
PAUSE = 1.0


def bind_each(host: str, port: int, number: int) -> list[socket.socket]:
    """`number` sockets that listen at one port. Raises InputError where that cannot be."""
    if not hasattr(os, "fork") or not hasattr(socket, "SO_REUSEPORT"):
        raise InputError("several workers need a Unix system; leave --workers out")
    # Alone first: sockets that share a port would also share it with another program that does so.
    with bind(host, port) as alone:
        port = alone.getsockname()[1]
    return [bind(host, port, shared=True) for _ in range(number)]


def run_workers(
    work: Callable[[int, socket.socket, int], None],
    sockets: Sequence[socket.socket],
    grace: float,
    ended: Callable[[int], object] = lambda _: None,
) -> None:
    """Keep a process for each socket until SIGTERM or SIGINT, then let all finish what is in flight, and return.

    work   called in the process with its number, its socket and a file descriptor that can be read when the parent has
           ended; it returns after SIGTERM
    grace  seconds that workers have to end; those that take 10 s longer are killed
    ended  called with the number of a worker that ended before another takes its place

    Raises TextomeError where workers end again and again right after their start.
    """
    watched, held = os.pipe()
    started: dict[int, tuple[int, float]] = {}
    asked = 0

    def ask(*_: object) -> None:
        nonlocal asked
        asked += 1

    def start(number: int) -> None:
        if pid := os.fork():
            started[pid] = (number, time.monotonic())
            return
        code = 1
        try:
            os.setpgid(0, 0)  # Ctrl-C is for the parent alone
            os.close(held)
            for other, listening in enumerate(sockets):
                if other != number:
                    listening.close()
            work(number, sockets[number], watched)
            code = 0
        except BaseException:  # nothing may leave: what follows is the parent's
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    gc.collect()
    gc.freeze()  # what is alive now stays untouched by collections, and so shared
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    quick = 0
    try:
        for number in range(len(sockets)):
            start(number)
        while not asked:
            for pid, status in _ended(started):
                number, since = started.pop(pid)
                quick = quick + 1 if time.monotonic() - since < QUICK_END else 0
                log.error("worker %d (process %d) ended with %s; another one takes its place", number, pid, status)
                ended(number)
                if quick >= QUICK_ENDS:
                    raise TextomeError("workers end again and again right after their start; the log says why")
                if quick:
                    time.sleep(PAUSE)
                if not asked:
                    start(number)
            time.sleep(0.05)
    finally:
        for listening in sockets:
            listening.close()
        _stop(started, lambda: asked, grace)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(watched)
        os.close(held)
        gc.unfreeze()


def _stop(started: dict[int, tuple[int, float]], asked: Callable[[], int], grace: float) -> None:
    """Ask all workers to end; once more where this process is asked once more; and kill those that do not."""
    seen = -1
    end = time.monotonic() + grace + 10
    while started:
        late = time.monotonic() > end
        if late or asked() > max(seen, 1) or seen < 0:
            seen = asked()
            for pid in started:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        for pid, status in _ended(started):
            number, _ = started.pop(pid)
            if status:
                log.error("worker %d (process %d) ended with %s", number, pid, status)
        time.sleep(0.02)


def _ended(started: dict[int, tuple[int, float]]) -> list[tuple[int, int]]:
    """The processes that have ended, with their exit codes; negative is a signal."""
    ended = []
    for pid in list(started):
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # its end was told before, together with that of one after which the service gave up
            done, status = pid, 0
        if done:
            ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended

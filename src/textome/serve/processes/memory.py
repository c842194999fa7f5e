"""The memory of large requests, given back to the system when they are done."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from contextlib import suppress
from functools import cache
from typing import Any

# Bytes of a body from which on it is worth while, and the seconds after which it is done, for all bodies of that time.
LARGE = 1 << 18
DELAY = 0.5
_M_ARENA_MAX = -8  # of malloc.h


class Trimming:
    """Asks the C library to give back what it keeps of freed memory, once after a burst of large requests.

    glibc keeps freed memory in an arena for each thread, and a service that once read large bodies would hold it for ever.
    """

    _planned: asyncio.TimerHandle | None = None

    def plan(self) -> None:
        """To be called on the event loop when a large request is done."""
        if self._planned is None and _malloc_trim() is not None:
            loop = asyncio.get_running_loop()
            self._planned = loop.call_later(DELAY, self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._planned = None
        loop.run_in_executor(None, trim)


def use_few_arenas() -> None:
    """Have glibc keep freed memory in two arenas instead of one for each thread. To be called before threads are made."""
    with suppress(OSError, AttributeError, TypeError):  # another C library, or another system
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def trim() -> None:
    """Free what nothing refers to any more, and give it back to the system, where glibc can."""
    gc.collect()
    if (malloc_trim := _malloc_trim()) is not None:
        malloc_trim(0)


@cache
def _malloc_trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return None

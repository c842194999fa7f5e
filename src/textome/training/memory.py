"""Memory settings that a long training process needs."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Let the C library keep large freed blocks for the next step instead of giving them back to the system.

    glibc maps every large tensor afresh by default, so each training step would pay for touching the same pages again.
    Nothing happens where the C library is another one.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)

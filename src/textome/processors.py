"""What this process may use of the machine."""

from __future__ import annotations

import os


def available_threads() -> int:
    """The processors that this process may use, which a container or `taskset` can make fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

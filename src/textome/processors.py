"""What this process may use of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def available_threads() -> int:
    """The processors that this process may use, at least 1.

    `taskset` and a container's set of processors can make them fewer than there are, and so can a container's quota of
    processor time (`docker run --cpus 2`, a limit of Kubernetes), which counts rounded up: more threads than that would
    only be stopped in turn.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = processor_quota()
    return processors if quota is None else max(1, min(processors, -int(-quota // 1)))


def processor_quota(root: Path = Path("/")) -> float | None:
    """How many processors' time this process may use, or None where no control group bounds it.

    Both versions of control groups are read, the group of the process and those that it lies in. Source: the Linux kernel's
    documentation, "Control Group v2", cpu.max, and "CFS Bandwidth Control", cpu.cfs_quota_us.

    root   the folder that holds proc and sys
    """
    quotas = [quota for folder, is_second in _groups(root) if (quota := _quota(folder, is_second)) is not None]
    return min(quotas, default=None)


def _groups(root: Path) -> Iterator[tuple[Path, bool]]:
    """The folders of the process's groups and of those around them, and whether they are of version 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = mounts / controllers if controllers else mounts
        if controllers and not mount.is_dir():
            mount = mounts / "cpu"
        # In a container the path may be that of the host; then the mount itself is the group.
        group = PurePosixPath(path.lstrip("/"))
        for inside in (group, *group.parents):
            yield mount / inside, not controllers


def _quota(folder: Path, is_second: bool) -> float | None:
    try:
        if is_second:
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / name).read_text().strip() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # there is no such group, or its quota is "max"
        return None

"""The threads that a process may use: processors, and quotas of control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from textome import processors
from textome.processors import available_threads, processor_quota


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, text in {
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{key}": text for key, text in files.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/a/b\n", {"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "400000 100000\n"}, 3.0),
        ("0::/../..\n", {"cpu.max": "100000 100000\n"}, 1.0),
        (
            "4:memory:/x\n3:cpu,cpuacct:/docker/7\n0::/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "150000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            1.5,
        ),
        (
            "3:cpuacct,cpu:/docker/7\n",
            {"cpu/docker/7/cpu.cfs_quota_us": "200000\n", "cpu/docker/7/cpu.cfs_period_us": "100000\n"},
            2.0,
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("5:cpuset:/\n", {"cpuset/cpu.cfs_quota_us": "1\n", "cpuset/cpu.cfs_period_us": "100000\n"}, None),
        ("0::/\n", {"cpu.max": "damaged"}, None),
    ],
)
def test_quotas_of_control_groups(tmp_path: Path, groups: str, files: dict[str, str], quota: float | None) -> None:
    assert processor_quota(system(tmp_path, groups, files)) == quota


def test_another_system_has_no_quota(tmp_path: Path) -> None:
    assert processor_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "threads"), [(None, 8), (0.5, 1), (1.0, 1), (1.5, 2), (2.0, 2), (64.0, 8)])
def test_a_quota_counts_rounded_up(monkeypatch: pytest.MonkeyPatch, quota: float | None, threads: int) -> None:
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(processors, "processor_quota", lambda: quota)
    assert available_threads() == threads

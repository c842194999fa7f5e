"""Work over processes: results, errors and killed workers reach the caller as what they are."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from textome.errors import InputError, UnfinishedError
from textome.workers import map_over_processes


def make(folder: Path) -> Callable[[int], int]:
    """Work that squares a number; a worker is killed at 3 as often as the folder has files less one."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")

    def work(number: int) -> int:
        if number == 3 and len(files := sorted(folder.iterdir())) > 1:
            files[0].unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number

    return work


@pytest.mark.parametrize(("workers", "attempts", "kills"), [(1, 1, 0), (1, 3, 2), (2, 2, 1)])
def test_each_task_has_its_result_though_workers_are_killed(
    tmp_path: Path, workers: int, attempts: int, kills: int
) -> None:
    for number in range(kills + 1):
        (tmp_path / str(number)).touch()
    results = map_over_processes(make, range(8), workers, tmp_path, attempts=attempts)
    assert sorted(results) == [(number, number * number) for number in range(8)]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_task_that_kills_every_worker_ends_the_work(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / str(number)).touch()
    with pytest.raises(UnfinishedError, match="killed 2 times at the same work"):
        list(map_over_processes(make, [3], 1, tmp_path, attempts=2))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_start_is_no_killed_worker(tmp_path: Path, workers: int) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        list(map_over_processes(make, [1], workers, tmp_path / "missing"))

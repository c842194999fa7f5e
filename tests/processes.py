"""Several processes that find each other as those of `torchrun` do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence


def run_together(arguments: Sequence[str], count: int = 2, expected: int = 0) -> list[str]:
    """Run `python ARGUMENTS` in `count` processes on the CPU; returns what each wrote to standard error.

    expected   the exit status that each must have
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    if count > 1:
        common |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    workers = [
        subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=common | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {}),
        )
        for rank in range(count)
    ]
    errors = [worker.communicate(timeout=900)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [expected] * count, "\n".join(errors)
    return errors

"""Several processes as one: their metrics added up, their sockets, and an end where they cannot run. See also tests/cli."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from textome.errors import InputError
from textome.serve.processes.board import Board, added_up
from textome.serve.processes.workers import bind_each

FIRST = """# HELP a_total Things
# TYPE a_total counter
a_total{kind="x \\"y\\""} 2.0
a_total{kind="z"} 1.0
# HELP a_created Things
# TYPE a_created gauge
a_created{kind="z"} 50.0
# HELP s Seconds
# TYPE s histogram
s_bucket{le="1.0"} 1.0
s_bucket{le="+Inf"} 3.0
s_count 3.0
s_sum 7.5
# HELP process_start_time_seconds Start
# TYPE process_start_time_seconds gauge
process_start_time_seconds 100.0
"""
SECOND = FIRST.replace("2.0", "40.0").replace('kind="z"', 'kind="w"').replace("100.0", "90.0")


def test_samples_of_one_name_and_labels_are_added() -> None:
    lines = added_up([FIRST, SECOND]).decode().splitlines()
    assert 'a_total{kind="x \\"y\\""} 42.0' in lines
    assert {'a_total{kind="z"} 1.0', 'a_total{kind="w"} 1.0'} <= set(lines)
    assert {'s_bucket{le="1.0"} 2.0', 's_bucket{le="+Inf"} 6.0', "s_sum 15.0", "s_count 6.0"} <= set(lines)
    assert "process_start_time_seconds 90.0" in lines
    assert "# TYPE s histogram" in lines


def test_one_exposition_stays_as_it_is() -> None:
    assert added_up([FIRST]).decode().replace("\\n", "\n") == FIRST


def test_the_board_gives_what_was_written_last_and_nothing_else() -> None:
    board = Board(3)
    assert board.texts() == []
    board.write(1, b"long ago and long")
    board.write(1, "β".encode())
    board.write(2, b"x" * (1 << 18))
    assert board.texts() == ["β"]


def test_a_text_that_is_only_half_written_is_left_out() -> None:
    board = Board(1)
    board.write(0, b"abcdef")
    board._slots[0][9:10] = b"?"
    assert board.texts() == []


def test_what_a_worker_counted_outlives_it() -> None:
    board = Board(2)
    board.write(0, FIRST.encode())
    board.write(1, SECOND.encode())
    for _ in range(2):
        board.retire(0)
    lines = added_up(board.texts()).decode().splitlines()
    assert {'a_total{kind="x \\"y\\""} 42.0', 's_bucket{le="+Inf"} 6.0', "s_sum 15.0"} <= set(lines)
    assert "process_start_time_seconds 90.0" in lines  # of the one that lives
    board.write(0, FIRST.encode())
    board.retire(0)
    board.retire(1)
    lines = added_up(board.texts()).decode().splitlines()
    assert {'a_total{kind="x \\"y\\""} 44.0', "s_count 9.0"} <= set(lines)
    assert not any(line.startswith("process_start_time") for line in lines)


def test_all_sockets_have_one_port_that_nobody_else_has() -> None:
    sockets = bind_each("127.0.0.1", 0, 3)
    try:
        (port,) = {each.getsockname()[1] for each in sockets}
        with pytest.raises(InputError, match="cannot listen"):
            bind_each("127.0.0.1", port, 2)
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
    finally:
        for each in sockets:
            each.close()


def test_workers_that_cannot_start_are_given_up() -> None:
    program = (
        "from textome.serve.processes import workers\n"
        "workers.QUICK_END, workers.PAUSE = 100.0, 0.0\n"
        "workers.run_workers(lambda *_: 1 / 0, workers.bind_each('127.0.0.1', 0, 2), 1.0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "TextomeError: workers end again and again" in done.stderr
    assert "ZeroDivisionError" in done.stderr

"""Work over processes of this machine: few tasks at a time, results as they come, no worker left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from textome.errors import TextomeError, UnfinishedError

Task = TypeVar("Task")
Result = TypeVar("Result")

_work: Callable[[Any], Any] | TextomeError | None = None


def map_over_processes(
    make: Callable[..., Callable[[Task], Result]],
    tasks: Iterable[Task],
    workers: int,
    *arguments: Any,
    attempts: int = 1,
) -> Iterator[tuple[Task, Result]]:
    """Yield each task with its result as it is done. Each process calls `make(*arguments)` once, and the result of that
    for each task.

    attempts   how many workers may be killed at the same task; with more than one, the task is done again by another

    At most one task more than there are workers is on its way, so that memory does not grow with their number. With one
    worker and one attempt, all is done in this process. The first error, of `make` or of a task, ends the work. Raises
    UnfinishedError where too many workers are killed.
    """
    if workers == attempts == 1:
        work = make(*arguments)
        for task in tasks:
            yield task, work(task)
        return
    waiting = ((task, 1) for task in tasks)
    again: list[tuple[Task, int]] = []
    running: dict[Future[Result], tuple[Task, int]] = {}
    pool = _pool(workers, make, arguments)
    try:
        while True:
            killed = []
            while len(running) <= workers and (item := again.pop() if again else next(waiting, None)):
                try:
                    running[pool.submit(_run, item[0])] = item
                except BrokenProcessPool:  # a worker was killed while nobody was waiting for it
                    killed.append(item)
                    break
            if not running and not killed:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                item = running.pop(future)
                try:
                    yield item[0], future.result()
                except BrokenProcessPool:
                    killed.append(item)
            if killed:
                killed += running.values()
                running.clear()
                if max(attempt for _, attempt in killed) >= attempts:
                    raise UnfinishedError(
                        "a worker process was killed"
                        + (f" {attempts} times at the same work" if attempts > 1 else "")
                        + ", most likely for want of memory; what is done is kept, so go on with fewer --workers"
                    )
                again += [(task, attempt + 1) for task, attempt in killed]
                pool.shutdown(wait=True, cancel_futures=True)
                pool = _pool(workers, make, arguments)
    finally:  # at once: what the workers are at is not noted as done, so nobody waits for it
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int, make: Callable[..., Any], arguments: tuple[Any, ...]) -> ProcessPoolExecutor:
    # Not forked: the threads of a model and a fork do not go together.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (make, arguments))


def _begin(make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        _work = make(*arguments)
    except TextomeError as error:
        _work = error  # raised by the first task: raised here it would be taken for a dead worker


def _end_with_parent() -> None:
    """A worker whose main process was killed must not go on: the next run may be writing the same files."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(task: Any) -> Any:
    if isinstance(_work, TextomeError):
        raise _work
    assert _work is not None
    return _work(task)

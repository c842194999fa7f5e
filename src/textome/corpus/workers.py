"""Work over processes: a bounded number of tasks at a time, results as they come, nobody left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from textome.corpus.ledger import UnfinishedError

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_over_processes(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int, prepare: Callable[..., None], *arguments: Any
) -> Iterator[tuple[Task, Result]]:
    """Each task with its result, as they are done. `prepare(*arguments)` is called first in each process.

    With one worker all is done in this process. Otherwise at most two tasks more than there are workers are on their way,
    so that memory does not grow with their number. The first error ends the work. Raises UnfinishedError where a process
    was killed.
    """
    if workers == 1:
        prepare(*arguments)
        for task in tasks:
            yield task, work(task)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(prepare, arguments))
    running: dict[Future[Result], Task] = {}
    others = set(multiprocessing.active_children())
    try:
        for task in tasks:
            running[pool.submit(work, task)] = task
            while len(running) >= workers + 2:
                yield from _done(running)
        while running:
            yield from _done(running)
    except BrokenProcessPool as error:
        raise UnfinishedError(
            "a worker process was killed, perhaps for want of memory; go on with --resume and fewer --workers"
        ) from error
    except BaseException as error:
        if not isinstance(error, Exception):  # stopped by the user: what the workers are at is done again with --resume
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(running: dict[Future[Result], Task]) -> Iterator[tuple[Task, Result]]:
    """Wait for some task to end, and give all that have."""
    finished, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in finished:
        yield running.pop(future), future.result()


def _begin(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is asked, and ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    prepare(*arguments)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for tasks for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)

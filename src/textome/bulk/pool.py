"""Workers on this machine: one process for each core, each with the model loaded once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from textome.bulk.chunks import Chunk, Reading
from textome.bulk.ledger import Done
from textome.bulk.work import Options, Worker
from textome.errors import InputError, TextomeError
from textome.processors import available_threads

# A chunk whose worker dies is given to another, so often.
ATTEMPTS = 3
_worker: Worker | TextomeError | None = None


class LocalResults:
    """The backend of `engine.run` on this machine: `workers` processes, by default one for each core.

    A worker that dies (killed, out of memory) is replaced and what it was at is done again. Raises InputError where the
    same chunk ends its worker `ATTEMPTS` times, and whatever a worker raises.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = available_threads() if workers is None else workers
        if self.workers < 1:
            raise InputError(f"{workers} workers cannot do anything; give 1 or more")

    def __call__(self, readings: Iterable[Reading], output: Path, options: Options) -> Iterator[Done]:
        """Annotate parts; yields each chunk when its results are on disk."""
        chunks = (chunk for reading in readings for chunk in reading.chunks())
        yield from _results(chunks, output, options, self.workers)


def _results(chunks: Iterable[Chunk], output: Path, options: Options, workers: int) -> Iterator[Done]:
    waiting = iter(chunks)
    again: list[Chunk] = []
    deaths: Counter[tuple[int, int]] = Counter()
    pool = _pool(output, options, workers)
    running: dict[Future[Done], Chunk] = {}
    try:
        while True:
            broken = []
            while len(running) <= workers and (chunk := again.pop() if again else next(waiting, None)):
                try:
                    running[pool.submit(_run, chunk)] = chunk
                except BrokenProcessPool:  # a worker died while nobody was waiting for it
                    broken.append(chunk)
                    break
            if not running and not broken:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                chunk = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    broken.append(chunk)
            if broken:
                again += [*broken, *running.values()]
                running.clear()
                pool.shutdown(wait=True, cancel_futures=True)
                _count_deaths(again, deaths)
                pool = _pool(output, options, workers)
    finally:
        _stop(pool)


def _count_deaths(chunks: list[Chunk], deaths: Counter[tuple[int, int]]) -> None:
    for chunk in chunks:
        key = (chunk.about.part, chunk.about.number)
        deaths[key] += 1
        if deaths[key] >= ATTEMPTS:
            raise InputError(
                f"part {key[0]}, chunk {key[1]}: the worker was killed {ATTEMPTS} times, most likely for want of "
                f"memory; start the same command again with fewer --workers"
            )


def _pool(output: Path, options: Options, workers: int) -> ProcessPoolExecutor:
    # Not forked: the model's threads and a fork do not go together.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _begin, (output, options))


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once: what they are at is not in the ledger, so nobody waits for it."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


def _begin(output: Path, options: Options) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _worker = Worker(output, options)
    except TextomeError as error:
        _worker = error  # told by the first chunk: raised here it would be taken for a dead worker


def _end_with_parent() -> None:
    """A worker whose main process was killed must not go on: the next run may be writing the same files."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(chunk: Chunk) -> Done:
    if isinstance(_worker, TextomeError):
        raise _worker
    assert _worker is not None
    return _worker.run(chunk)

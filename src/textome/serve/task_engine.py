"""Dynamic batching for tasks other than entities: inputs of all requests that wait for one task are computed together.

A request's records are made into units by worker threads. One thread runs the model: each batch begins with a unit of the
next request in turn, so a small request never waits for a large one to end, and is filled with units of nearly the same
length that any request has for the same task. What the scores mean is worked out by the worker threads again.

Bounds and errors are those of `engine.Engine`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from textome.serve.engine import LOOK_THROUGH, ClosedError, Counters, QueueFullError, Settings
from textome.tasks.inputs import Floats, Unit


class Runner(Protocol):
    """What computes units: a `runtime.tasks.TaskRunner`, or a `runtime.embedder.Embedder` whose tasks are its poolings."""

    def task(self, name: str) -> Any: ...

    def scores(self, name: str, units: Sequence[Unit]) -> list[Floats]: ...


@dataclass(slots=True, eq=False)
class _Job:
    """A request's units that wait (`left`, places in `units`), and the scores of those that are done."""

    task: str
    units: Sequence[Unit]
    scores: list[Floats | None]
    left: list[int]
    missing: int
    done: Callable[[BaseException | None], object]


class TaskEngine:
    """Answers the tasks of one bundle for many requests at once. Start it with `start`, end it with `close`."""

    def __init__(self, runner: Runner, settings: Settings | None = None) -> None:
        self.runner, self.settings, self.counters = runner, settings or Settings(), Counters()
        self.requests = 0  # that wait or are in work
        self.characters = 0
        self._waiting: deque[_Job] = deque()
        self._condition = threading.Condition()
        self._rate = 50_000.0
        self._closing = False
        self._workers = ThreadPoolExecutor(self.settings.workers, thread_name_prefix="textome-task")
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        # Made here and not before: after a fork Python takes threads that were made earlier for ended ones.
        self._thread = threading.Thread(target=self._loop, name="textome-tasks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what was accepted, then stop the threads."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._workers.shutdown()

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._closing

    async def predict(self, name: str, make: Callable[[Any], Sequence[Any]], characters: int) -> tuple[Any, list[Any]]:
        """The records that `make(task)` gives, made in a thread, and what the task `name` says of each.

        characters   the size of the request, for the bounds of the queue

        Cancelling the call frees its work. Raises QueueFullError at once where the queue is full, ClosedError after
        `close`, and what `make` and the task raise for records that cannot be read.
        """
        loop = asyncio.get_running_loop()
        task = self.runner.task(name)
        self._admit(characters)
        try:
            items = await loop.run_in_executor(self._workers, make, task)
            units = await loop.run_in_executor(self._workers, task.units, items)
            scores = await self._scores(name, units)
            found = await loop.run_in_executor(self._workers, task.predictions, items, units, scores)
        except asyncio.CancelledError:
            self.counters.cancelled += 1
            raise
        finally:
            with self._condition:
                self.requests -= 1
                self.characters -= characters
                self._condition.notify_all()
        self.counters.documents += len(items)
        self.counters.characters += characters
        return items, found

    def _admit(self, characters: int) -> None:
        with self._condition:
            if self._closing:
                raise ClosedError("the service is shutting down")
            full = self.characters + characters > self.settings.max_characters
            if self.requests and (full or self.requests >= self.settings.max_requests):
                self.counters.refused += 1
                raise QueueFullError(min(60, max(1, round(self.characters / self._rate))))
            self.requests += 1
            self.characters += characters

    async def _scores(self, name: str, units: Sequence[Unit]) -> list[Floats]:
        if not units:
            return []
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(None)

        def done(error: BaseException | None) -> None:
            loop.call_soon_threadsafe(settle, error)

        job = _Job(name, units, [None] * len(units), list(range(len(units))), len(units), done)
        with self._condition:
            self._waiting.append(job)
            self._condition.notify_all()
        try:
            await future
        finally:
            self._forget(job)
        return [scores for scores in job.scores if scores is not None]

    def _forget(self, job: _Job) -> None:
        with self._condition:
            if job in self._waiting:
                self._waiting.remove(job)

    # What the model's thread does.

    def _loop(self) -> None:
        while (batch := self._next_batch()) is not None:
            units = [job.units[place] for job, place in batch]
            started = time.perf_counter()
            try:
                scores = self.runner.scores(batch[0][0].task, units)
            except Exception as error:
                for job in {id(job): job for job, _ in batch}.values():
                    self._forget(job)
                    job.done(error)
                continue
            self._account(batch, units, time.perf_counter() - started)
            for (job, place), rows in zip(batch, scores, strict=True):
                job.scores[place] = rows
                job.missing -= 1
                if not job.missing:
                    job.done(None)

    def _next_batch(self) -> list[tuple[_Job, int]] | None:
        """The units to compute next; None where the engine is closed and empty."""
        with self._condition:
            while not self._waiting:
                if self._closing and not self.requests:
                    return None
                self._condition.wait()
            first = self._waiting[0]
            self._waiting.rotate(-1)
            seen = [(first, place) for place in first.left]
            for job in self._waiting:
                if len(seen) >= LOOK_THROUGH:
                    break
                if job is not first and job.task == first.task:
                    seen += [(job, place) for place in job.left]
            anchor = len(first.units[first.left[0]].input_ids)
            # Python's sort is stable: the anchor stays first.
            seen.sort(key=lambda item: abs(len(item[0].units[item[1]].input_ids) - anchor))
            batch: list[tuple[_Job, int]] = []
            width = 0
            for job, place in seen:
                width = max(width, len(job.units[place].input_ids))
                if batch and (len(batch) + 1) * width > self.settings.token_budget:
                    break
                batch.append((job, place))
            for job in {id(job): job for job, _ in batch}.values():
                taken = {place for other, place in batch if other is job}
                job.left = [place for place in job.left if place not in taken]
                if not job.left:
                    self._waiting.remove(job)
            return batch

    def _account(self, batch: Sequence[tuple[_Job, int]], units: Sequence[Unit], seconds: float) -> None:
        counters, lengths = self.counters, [len(unit.input_ids) for unit in units]
        counters.batches += 1
        counters.merged_batches += len({id(job) for job, _ in batch}) > 1
        counters.tokens += sum(lengths)
        counters.padded_tokens += len(lengths) * max(lengths)
        counters.busy_seconds += seconds
        # About five characters make a token of biomedical English; the rate only tells clients when to come again.
        self._rate = 0.95 * self._rate + 0.05 * 5 * sum(lengths) / max(seconds, 1e-6)

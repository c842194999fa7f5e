"""Dynamic batching for tasks other than entities: inputs of all requests that wait for one task are computed together.

A request's records are made into units by worker threads. One thread runs the model: each batch begins with a unit of the
next request in turn, so a small request never waits for a large one to end, and is filled with units of nearly the same
length that any request has for the same task. What the scores mean is worked out by the worker threads again.

Bounds and errors are those of `queueing.Queue`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from textome.serve.queueing import LOOK_THROUGH, Queue, Settings
from textome.tasks.examples import Example, Floats


class Runner(Protocol):
    """What computes units: a `runtime.tasks.TaskRunner`, or a `runtime.embedder.Embedder` whose tasks are its poolings."""

    def task(self, name: str) -> Any: ...

    def examples(self, name: str, records: Sequence[Any]) -> list[Example]: ...

    def scores(self, name: str, examples: Sequence[Example], /) -> list[Floats]: ...


@dataclass(slots=True, eq=False)
class _Job:
    """A request's units that wait (`left`, places in `units`), and the scores of those that are done."""

    task: str
    units: Sequence[Example]
    scores: list[Floats | None]
    left: list[int]
    missing: int
    done: Callable[[BaseException | None], object]


class TaskEngine(Queue):
    """Answers the tasks of one bundle for many requests at once. Start it with `start`, end it with `close`."""

    def __init__(self, runner: Runner, settings: Settings | None = None) -> None:
        super().__init__(settings, "tasks")
        self.runner = runner
        self._waiting: deque[_Job] = deque()

    async def predict(self, name: str, make: Callable[[Any], Sequence[Any]], characters: int) -> tuple[Any, list[Any]]:
        """The records that `make(task)` gives, made in a thread, and what the task `name` says of each.

        characters   the size of the request, for the bounds of the queue

        Cancelling the call frees its work. Raises QueueFullError at once where the queue is full, ClosedError after
        `close`, and what `make` and the task raise for records that cannot be read.
        """
        loop = asyncio.get_running_loop()
        task = self.runner.task(name)
        with self._condition:
            self._enter(characters)
        try:
            items = await loop.run_in_executor(self._workers, make, task)
            units = await loop.run_in_executor(self._workers, self.runner.examples, name, items)
            scores = await self._scores(name, units)
            found = await loop.run_in_executor(self._workers, task.decode, items, units, scores)
        except asyncio.CancelledError:
            self.counters.cancelled += 1
            raise
        finally:
            with self._condition:
                self._leave(characters)
        self.counters.documents += len(items)
        self.counters.characters += characters
        return items, found

    async def _scores(self, name: str, units: Sequence[Example]) -> list[Floats]:
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
            requests = len({id(job) for job, _ in batch})
            self._account([len(unit.input_ids) for unit in units], requests, time.perf_counter() - started)
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

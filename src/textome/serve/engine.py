"""Dynamic batching: the windows of all requests that wait are computed together.

A request is cut into windows by worker threads. One thread runs the model: each batch begins with a window of the next
request in turn, so a small request never waits for a large one to end, and is filled with the windows of nearly the same
length that any request has, so that little is padding. An idle engine waits at most `max_delay` seconds for requests that
are being cut before it runs a batch that is not full. What has been computed is turned into entities by the worker threads
while the next batch runs.

The queue is bounded in requests and in characters: beyond that `QueueFullError` comes at once. A request that is cancelled
(its client left, or its time is up) takes its waiting windows with it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from textome.documents import Document, Entity
from textome.runtime.annotator import Annotator, Ids, Unit
from textome.serve.cache import Cache, cache_key
from textome.serve.queueing import LOOK_THROUGH, Queue, Settings
from textome.tasks.entities import with_entities
from textome.tasks.iob import Floats

# Characters of one request that are cut into windows at a time, so that requests take turns there too.
PIECE_CHARACTERS = 20_000
# Windows of one request that are cut ahead of the model: more would only take memory.
AHEAD = 512


@dataclass(slots=True, eq=False)
class _Scored:
    """One document in work: its sentences, and the scores of their windows as they come."""

    index: int
    units: list[Unit]
    logits: list[list[Floats | None]]
    missing: int


@dataclass(slots=True, eq=False)
class _Window:
    job: _Job
    part: _Scored
    unit: int
    place: int
    ids: Ids


@dataclass(slots=True, eq=False)
class _Job:
    """A request in work. `lock` guards `left` and `results`, the engine's condition the rest."""

    annotator: Annotator
    documents: Sequence[Document]
    replace: bool
    done: Callable[[list[Document] | BaseException], object]
    characters: int
    results: list[Document | None]
    left: int
    next: int = 0
    paused: bool = False
    cancelled: bool = False
    windows: list[_Window] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Engine(Queue):
    """Annotates the documents of many requests at once with one model. Start it with `start`, end it with `close`."""

    def __init__(self, annotator: Annotator, settings: Settings | None = None) -> None:
        super().__init__(settings, "model")
        self.annotator = annotator
        self._cache = Cache(self.settings.cache_characters)
        self._waiting: deque[_Job] = deque()  # requests that have windows, in the order of their turns
        self._token_count = 0
        self._cutting = 0  # requests that a worker is cutting, or will

    async def annotate(
        self, documents: Sequence[Document], annotator: Annotator | None = None, *, replace: bool = False
    ) -> list[Document]:
        """The documents with their entities, in order. Cancelling the call frees its work.

        annotator   the engine's annotator, or one that `choosing` made of it

        Raises QueueFullError at once where the queue is full, ClosedError after `close`.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Document]] = loop.create_future()

        def settle(outcome: list[Document] | BaseException) -> None:
            if future.done():
                return
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        job = self._admit(
            annotator or self.annotator,
            documents,
            replace,
            lambda outcome: loop.call_soon_threadsafe(settle, outcome),
        )
        self._workers.submit(self._prepare, job)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(job)
            raise

    def _admit(
        self,
        annotator: Annotator,
        documents: Sequence[Document],
        replace: bool,
        done: Callable[[list[Document] | BaseException], object],
    ) -> _Job:
        size = sum(len(document.text) for document in documents)
        job = _Job(annotator, documents, replace, done, size, [None] * len(documents), len(documents))
        with self._condition:
            self._enter(size)
            self._cutting += 1
        return job

    # What the worker threads do.

    def _prepare(self, job: _Job) -> None:
        """Cut the next documents of a job into windows, then stand in line again for the rest."""
        again = False
        try:
            size = 0
            while not job.cancelled and job.next < len(job.documents) and size < PIECE_CHARACTERS:
                index = job.next
                job.next += 1
                size += len(job.documents[index].text) + 1
                self._prepare_document(job, index)
            if not job.documents:
                self._finish(job)
            with self._condition:
                unfinished = not job.cancelled and job.next < len(job.documents)
                job.paused = unfinished and len(job.windows) >= AHEAD
                again = unfinished and not job.paused
        except Exception as error:
            self._fail(job, error)
        finally:
            if again:
                self._workers.submit(self._prepare, job)
            else:
                with self._condition:
                    self._cutting -= 1
                    self._condition.notify_all()

    def _prepare_document(self, job: _Job, index: int) -> None:
        document = job.documents[index]
        key = cache_key(document, job.annotator) if self._cache.size else b""
        if key and (known := self._cache.get(key)) is not None:
            with self._condition:
                self.counters.cache_hits += 1
            self._complete(job, index, known)
            return
        units = job.annotator.units([document])
        part = _Scored(index, units, [[None] * len(unit.windows) for unit in units], sum(len(u.windows) for u in units))
        if not units:
            self._complete(job, index, [])
            return
        made = [
            _Window(job, part, number, place, ids)
            for number, unit in enumerate(units)
            for place, ids in enumerate(job.annotator.inputs(unit))
        ]
        with self._condition:
            if job.cancelled:
                return
            if not job.windows:
                self._waiting.append(job)
            job.windows.extend(made)
            self._token_count += sum(len(window.ids) for window in made)
            self._condition.notify()

    def _decode(self, job: _Job, part: _Scored) -> None:
        if job.cancelled:
            return
        try:
            document = job.documents[part.index]
            found: list[Entity] = []
            for unit, logits in zip(part.units, part.logits, strict=True):
                found += job.annotator.entities(document, unit, [scores for scores in logits if scores is not None])
            if self._cache.size:
                self._cache.put(cache_key(document, job.annotator), len(document.text), found)
            self._complete(job, part.index, found)
        except Exception as error:
            self._fail(job, error)

    def _complete(self, job: _Job, index: int, found: Sequence[Entity]) -> None:
        document = with_entities(job.documents[index], found, job.replace)
        with job.lock:
            job.results[index] = document
            job.left -= 1
            last = job.left == 0
        with self._condition:
            self.counters.documents += 1
            self.counters.characters += len(document.text)
        if last:
            self._finish(job)

    def _finish(self, job: _Job) -> None:
        if self._release(job):
            job.done([document for document in job.results if document is not None])

    def _fail(self, job: _Job, error: BaseException) -> None:
        if self._release(job):
            job.done(error)

    def _cancel(self, job: _Job) -> None:
        if self._release(job):
            with self._condition:
                self.counters.cancelled += 1

    def _release(self, job: _Job) -> bool:
        """Take a job out of the queue with what it still has there; False where that was done before."""
        with self._condition:
            if job.cancelled:
                return False
            job.cancelled = True  # also for a job that is done: nothing more is to be computed for it
            if job.windows:
                self._token_count -= sum(len(window.ids) for window in job.windows)
                job.windows.clear()
                self._waiting.remove(job)
            self._leave(job.characters)
            return True

    # What the model's thread does.

    def _loop(self) -> None:
        while (batch := self._next_batch()) is not None:
            started = time.perf_counter()
            try:
                scores = self.annotator.run([window.ids for window in batch])
            except Exception as error:
                for job in {id(window.job): window.job for window in batch}.values():
                    self._fail(job, error)
                continue
            requests = len({id(window.job) for window in batch})
            self._account([len(window.ids) for window in batch], requests, time.perf_counter() - started)
            for window, rows in zip(batch, scores, strict=True):
                part = window.part
                part.logits[window.unit][window.place] = rows
                part.missing -= 1
                if not part.missing:
                    self._workers.submit(self._decode, window.job, part)

    def _next_batch(self) -> list[_Window] | None:
        """The windows to compute next; None where the engine is closed and empty."""
        with self._condition:
            while True:
                if not self._waiting:
                    if self._closing and not self.requests:
                        return None
                    self._condition.wait()
                    continue
                deadline = time.monotonic() + self.settings.max_delay
                while self._cutting and 0 < self._token_count < self.settings.token_budget:
                    if (left := deadline - time.monotonic()) <= 0:
                        break
                    self._condition.wait(left)
                if self._waiting:
                    return self._take()

    def _take(self) -> list[_Window]:
        """A batch around the first window of the request whose turn it is."""
        first = self._waiting[0]
        self._waiting.rotate(-1)
        seen = list(first.windows)
        for job in self._waiting:
            if len(seen) >= LOOK_THROUGH:
                break
            if job is not first:
                seen += job.windows
        anchor = len(first.windows[0].ids)
        # Python's sort is stable: the anchor stays first.
        seen.sort(key=lambda window: abs(len(window.ids) - anchor))
        batch: list[_Window] = []
        width = 0
        for window in seen:
            width = max(width, len(window.ids))
            if batch and (len(batch) + 1) * width > self.settings.token_budget:
                break
            batch.append(window)
        taken = {id(window) for window in batch}
        for job in {id(window.job): window.job for window in batch}.values():
            job.windows = [window for window in job.windows if id(window) not in taken]
            if not job.windows:
                self._waiting.remove(job)
            if job.paused and len(job.windows) < AHEAD // 2:
                job.paused = False
                self._cutting += 1
                self._workers.submit(self._prepare, job)
        self._token_count -= sum(len(window.ids) for window in batch)
        return batch

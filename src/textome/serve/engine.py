"""Dynamic batching: inputs of all requests that wait for one task are computed together.

Worker threads make a request's examples, some of its documents at a time. One thread runs the model: each batch begins with
an example of the next request in turn, so a small request never waits for a large one to end, and is filled with examples
of nearly the same length that any request has for the same task, so that little is padding. An idle engine waits at most
`max_delay` seconds for requests whose examples are being made before it runs a batch that is not full. What the scores
mean is worked out by the worker threads while the next batch runs.

The queue is bounded in requests and in characters: beyond that `QueueFullError` comes at once. A request that is cancelled
(its client left, or its time is up) takes its waiting examples with it. What the model reads for one request is bounded in
tokens (`TooManyTokensError`), since characters tell little of it: prose has four to a token, formulae one.

Scores of several requests that are done at the same time are decoded together, which takes little more than one of them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from textome.documents import Document
from textome.runtime.model import Model
from textome.runtime.step import pools
from textome.serve.cache import Cache, cache_key
from textome.serve.queueing import LOOK_THROUGH, Queue, Settings, TooManyTokensError
from textome.tasks.examples import Example, Floats

# Characters of one request whose examples are made at a time, so that requests take turns there too.
PIECE_CHARACTERS = 20_000
# Pieces of one request that are in work at once: more would only take memory.
AHEAD = 4
# Inputs whose scores are decoded at once: more would keep small requests waiting, and save nothing.
MAX_DECODED = 256
# Text with more characters to a token is refused before it is cut; prose has four to five.
MOST_CHARACTERS_OF_A_TOKEN = 10


def _counted(example: Example) -> int:
    """The tokens of an example as a request's are counted: those of long ones several times, as attention takes longer."""
    return (number := len(example.input_ids)) * (1 + number // 128)


class Runner(Protocol):
    """What computes examples: a `runtime.model.Model`, or a `runtime.embedder.Embedder` whose tasks are its poolings."""

    def task(self, name: str) -> Any: ...

    def examples(self, name: str, records: Sequence[Any], /) -> list[Example]: ...

    def scores(self, name: str, examples: Sequence[Example], /) -> list[Floats]: ...


@dataclass(slots=True, eq=False)
class _Request:
    """A request in work, and the tokens that the model has read or is to read for it, as `_counted`."""

    tokens: int = 0


@dataclass(slots=True, eq=False)
class _Job:
    """Examples of a request that wait (`left`, numbers in `examples`), and the scores of those that are done."""

    request: _Request
    task: str
    examples: Sequence[Example]
    scores: list[Floats | None]
    left: list[int]
    missing: int
    done: Callable[[BaseException | None], object]


@dataclass(slots=True, eq=False)
class _Scored:
    """Documents of a request that the model has read: what `Model.prepare` gave, the scores, and who waits for the rest."""

    model: Model
    task: str
    documents: Sequence[Document]
    records: Sequence[Sequence[Any]]
    examples: Sequence[Example]
    scores: Sequence[Floats]
    annotated: asyncio.Future[list[Document]]


class Engine(Queue):
    """Answers the tasks of one model for many requests at once. Start it with `start`, end it with `close`."""

    def __init__(self, runner: Runner, settings: Settings | None = None) -> None:
        super().__init__(settings, "model")
        self.runner = runner
        self._cache = Cache(self.settings.cache_characters)
        self._waiting: deque[_Job] = deque()
        self._token_count = 0
        self._preparing = 0
        self._scored: deque[_Scored] = deque()
        self._alone: deque[_Scored] = deque()
        self._decoding: asyncio.Task[None] | None = None

    async def annotate(
        self, documents: Sequence[Document], model: Model, replace: Callable[[Document], Document] | None = None
    ) -> list[Document]:
        """The documents with the annotations of a model's tasks, in order.

        model     the engine's, with a request's own choices
        replace   what drops the annotations that documents have already

        Cancelling the call frees its work. Raises QueueFullError at once where the queue is full, TooManyTokensError where
        the model would read too much, ClosedError after `close`.
        """
        cleared = documents if replace is None else list(map(replace, documents))
        async with self._admitted(sum(len(document.text) for document in cleared)) as request:
            results: list[Document] = []
            pending: deque[asyncio.Task[list[Document]]] = deque()
            pieces = pools(cleared, PIECE_CHARACTERS)
            try:
                for piece in pieces:
                    pending.append(asyncio.create_task(self._annotated(request, model, piece)))
                    if len(pending) == AHEAD:
                        results += await pending.popleft()
                while pending:
                    results += await pending.popleft()
            finally:
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
            return results

    async def predict(self, name: str, make: Callable[[Any], Sequence[Any]], characters: int) -> tuple[Any, list[Any]]:
        """The records that `make(task)` gives, made in a thread, and what the task `name` says of each.

        characters   the size of the request, for the bounds of the queue

        Cancelling and errors as for `annotate`, and what `make` and the task raise for records that cannot be read.
        """
        loop = asyncio.get_running_loop()
        task = self.runner.task(name)
        async with self._admitted(characters) as request:
            with self._counted_as_preparing():
                records = await loop.run_in_executor(self._workers, make, task)
                examples = await loop.run_in_executor(self._workers, self.runner.examples, name, records)
                scores = self._scores(request, name, examples)
            predictions = await loop.run_in_executor(self._workers, task.decode, records, examples, await scores)
            self.counters.documents += len(records)
            self.counters.characters += characters
            return records, predictions

    async def _annotated(self, request: _Request, model: Model, documents: list[Document]) -> list[Document]:
        """Some documents of a request, annotated; those that were asked for lately come from the cache."""
        keys = [cache_key(document, model) if self._cache.size else b"" for document in documents]
        known = [self._cache.get(key) if key else None for key in keys]
        computed = [document for document, cached in zip(documents, known, strict=True) if cached is None]
        for name in model.asked if computed else ():
            computed = await self._with_task(request, model, name, computed)
        self.counters.cache_hits += len(documents) - len(computed)
        self.counters.documents += len(documents)
        self.counters.characters += sum(len(document.text) for document in documents)
        rest = iter(computed)
        results = []
        for document, key, cached in zip(documents, keys, known, strict=True):
            results.append(next(rest) if cached is None else cached.restored(document))
            if key and cached is None:
                self._cache.put(key, results[-1])
        return results

    async def _with_task(
        self, request: _Request, model: Model, name: str, documents: Sequence[Document]
    ) -> list[Document]:
        loop = asyncio.get_running_loop()
        with self._counted_as_preparing():
            prepared = await loop.run_in_executor(self._workers, model.prepare, name, documents)
            scores = self._scores(request, name, prepared[2])
        scored = _Scored(model, name, *prepared, await scores, loop.create_future())
        self._scored.append(scored)
        if self._decoding is None or self._decoding.done():
            self._decoding = asyncio.create_task(self._decode())
        try:
            return await scored.annotated
        finally:
            if scored in self._scored:  # its client has left
                self._scored.remove(scored)

    async def _decode(self) -> None:
        """Annotate the documents that the model has read, with those of other requests for the same, until none wait."""
        while self._alone or self._scored:
            together = [self._alone.popleft()] if self._alone else self._take_scored()
            try:
                results = await asyncio.get_running_loop().run_in_executor(self._workers, _complete, together)
            except Exception as error:
                if len(together) > 1:  # one request's error is no other's: each by itself
                    self._alone.extend(together)
                elif not together[0].annotated.done():
                    together[0].annotated.set_exception(error)
                continue
            for item, documents in zip(together, results, strict=True):
                if not item.annotated.done():
                    item.annotated.set_result(documents)

    def _take_scored(self) -> list[_Scored]:
        """Of those that wait the first, and others of the same task and choices, up to `MAX_DECODED` inputs."""
        first, *others = self._scored
        together, num_examples = [first], len(first.examples)
        self._scored.clear()
        for item in others:
            alike = item.task == first.task and item.model.settings == first.model.settings
            if alike and num_examples + len(item.examples) <= MAX_DECODED:
                together.append(item)
                num_examples += len(item.examples)
            else:
                self._scored.append(item)
        return together

    @asynccontextmanager
    async def _admitted(self, characters: int) -> AsyncIterator[_Request]:
        """A request of this size in the queue, by an object that stands for it."""
        if characters > MOST_CHARACTERS_OF_A_TOKEN * self.settings.max_tokens:
            raise self._too_many_tokens()
        with self._condition:
            self._enter(characters)
        try:
            yield _Request()
        except asyncio.CancelledError:
            self.counters.cancelled += 1
            raise
        finally:
            with self._condition:
                self._leave(characters)

    @contextmanager
    def _counted_as_preparing(self) -> Iterator[None]:
        """While examples are being made, a batch that is not full may wait for them."""
        with self._condition:
            self._preparing += 1
        try:
            yield
        finally:
            with self._condition:
                self._preparing -= 1
                self._condition.notify_all()

    def _scores(self, request: _Request, name: str, examples: Sequence[Example]) -> Awaitable[list[Floats]]:
        """The scores of a request's examples, which wait in the queue from now on.

        Raises TooManyTokensError where the request has more of them than one may have.
        """
        request.tokens += sum(map(_counted, examples))
        if request.tokens > self.settings.max_tokens:
            raise self._too_many_tokens()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(None)

        def done(error: BaseException | None) -> None:
            loop.call_soon_threadsafe(settle, error)

        job = _Job(request, name, examples, [None] * len(examples), list(range(len(examples))), len(examples), done)
        if examples:
            with self._condition:
                self._waiting.append(job)
                self._token_count += sum(len(example.input_ids) for example in examples)
                self._condition.notify_all()
        else:
            future.set_result(None)

        async def scores() -> list[Floats]:
            try:
                await future
            finally:
                self._forget(job)
            return [rows for rows in job.scores if rows is not None]

        return asyncio.ensure_future(scores())

    def _too_many_tokens(self) -> TooManyTokensError:
        most = self.settings.max_tokens
        return TooManyTokensError(
            f"the model would read more than {most:,} tokens for this request, about {4 * most:,} characters of prose; "
            "send fewer documents at a time"
        )

    def _forget(self, job: _Job) -> None:
        """Take a job out of the queue with what it still has there."""
        with self._condition:
            if job in self._waiting:
                self._waiting.remove(job)
                self._token_count -= sum(len(job.examples[number].input_ids) for number in job.left)

    # What the model's thread does.

    def _loop(self) -> None:
        # In a call of its own: what it names would hold the last request's documents until the next one comes.
        while self._compute_next():
            pass

    def _compute_next(self) -> bool:
        """Compute a batch; False where there will be none any more."""
        if (batch := self._next_batch()) is None:
            return False
        examples = [job.examples[number] for job, number in batch]
        started = time.perf_counter()
        try:
            scores = self.runner.scores(batch[0][0].task, examples)
        except Exception as error:
            for job in {id(job): job for job, _ in batch}.values():
                self._forget(job)
                job.done(error)
            return True
        requests = len({id(job.request) for job, _ in batch})
        self._account([len(example.input_ids) for example in examples], requests, time.perf_counter() - started)
        for (job, number), rows in zip(batch, scores, strict=True):
            job.scores[number] = rows
            job.missing -= 1
            if not job.missing:
                job.done(None)
        return True

    def _next_batch(self) -> list[tuple[_Job, int]] | None:
        """The examples to compute next; None where the engine is closed and empty."""
        with self._condition:
            while True:
                if not self._waiting:
                    if self._closing and not self.requests:
                        return None
                    self._condition.wait()
                    continue
                deadline = time.monotonic() + self.settings.max_delay
                while self._preparing and 0 < self._token_count < self.settings.token_budget:
                    if (left := deadline - time.monotonic()) <= 0:
                        break
                    self._condition.wait(left)
                if self._waiting:
                    return self._take()

    def _take(self) -> list[tuple[_Job, int]]:
        """A batch around the first example of the job whose turn it is."""
        first = self._waiting[0]
        self._waiting.rotate(-1)
        seen = [(first, number) for number in first.left]
        for job in self._waiting:
            if len(seen) >= LOOK_THROUGH:
                break
            if job is not first and job.task == first.task:
                seen += [(job, number) for number in job.left]
        anchor = len(first.examples[first.left[0]].input_ids)
        # Python's sort is stable: the anchor stays first.
        seen.sort(key=lambda item: abs(len(item[0].examples[item[1]].input_ids) - anchor))
        batch: list[tuple[_Job, int]] = []
        width = 0
        for job, number in seen:
            width = max(width, len(job.examples[number].input_ids))
            if batch and (len(batch) + 1) * width > self.settings.token_budget:
                break
            batch.append((job, number))
        for job in {id(job): job for job, _ in batch}.values():
            chosen = {number for other, number in batch if other is job}
            job.left = [number for number in job.left if number not in chosen]
            self._token_count -= sum(len(job.examples[number].input_ids) for number in chosen)
            if not job.left:
                self._waiting.remove(job)
        return batch


def _complete(together: Sequence[_Scored]) -> list[list[Document]]:
    """The documents of each with its task's annotations."""
    examples: list[Example] = []
    num_records = 0
    for item in together:
        examples += [example.moved(num_records) for example in item.examples] if num_records else item.examples
        num_records += sum(map(len, item.records))
    annotated = iter(
        together[0].model.complete(
            together[0].task,
            [document for item in together for document in item.documents],
            [own for item in together for own in item.records],
            examples,
            [rows for item in together for rows in item.scores],
        )
    )
    return [list(islice(annotated, len(item.documents))) for item in together]

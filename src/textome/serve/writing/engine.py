"""Texts for many requests at once: each run of the model is one token of the texts of one request, and requests take turns.

What a request costs does not follow from its size, since a short prompt may ask for a long text. So the tokens to write are
bounded for each request (`TooManyTokensError`) and count in the queue, as the characters of its prompts do. Only a few
requests keep keys and values in memory; the others wait. A request that is cancelled ends before its next token.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textome.runtime.generation.decoding import Steps
from textome.runtime.generation.settings import GenerationSettings
from textome.runtime.generation.writer import Text, Writer
from textome.serve.queueing import Queue, Settings, TooManyTokensError

# Requests that take turns.
AT_ONCE = 4
# Prompts of one request that are written on together.
PROMPTS = 16
_CHARACTERS_OF_A_TOKEN = 4


@dataclass(slots=True, eq=False)
class _Job:
    """A request's texts; `done` is called with them, or with what went wrong."""

    steps: Steps[list[list[Text]]]
    done: Callable[[list[list[Text]], BaseException | None], object]
    is_cancelled: bool = False


class WritingEngine(Queue):
    """Writes texts for many requests. Start it with `start`, end it with `close`."""

    def __init__(self, writer: Writer, settings: Settings | None = None) -> None:
        super().__init__(settings, "writer")
        self.writer = writer
        # The first `AT_ONCE` have begun, the one whose step is computed among them.
        self._jobs: deque[_Job] = deque()

    async def generate(self, prompts: Sequence[str], settings: GenerationSettings) -> list[list[Text]]:
        """The texts that follow each prompt.

        Cancelling the call frees its work. Raises QueueFullError at once where the queue is full, TooManyTokensError where
        the model would read or write too much, InputError for a prompt that it cannot read, ClosedError after `close`.
        """
        loop = asyncio.get_running_loop()
        written = len(prompts) * max(settings.beam, settings.samples) * settings.max_new_tokens
        if written > (most := self.settings.max_written_tokens):
            raise TooManyTokensError(
                f"the model might write {written:,} tokens for this request, and {most:,} is the most; ask for fewer "
                "prompts, samples, tokens of a text, or a narrower beam"
            )
        characters = sum(map(len, prompts))
        size = characters + _CHARACTERS_OF_A_TOKEN * written
        with self._condition:
            self._enter(size)
        try:
            await loop.run_in_executor(self._workers, self._check, prompts)
            texts = await self._written(prompts, settings)
            self.counters.documents += len(prompts)
            self.counters.characters += characters
            return texts
        except asyncio.CancelledError:
            self.counters.cancelled += 1
            raise
        finally:
            with self._condition:
                self._leave(size)

    def _check(self, prompts: Sequence[str]) -> None:
        """Raises InputError for a prompt that the model cannot read, TooManyTokensError for too long ones together."""
        tokens = 0
        for prompt in prompts:
            tokens += self.writer.check_prompt(prompt)
            if tokens > self.settings.max_tokens:
                raise TooManyTokensError(f"the prompts have more than {self.settings.max_tokens:,} tokens; send fewer")

    async def _written(self, prompts: Sequence[str], settings: GenerationSettings) -> list[list[Text]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[list[Text]]] = loop.create_future()

        def settle(texts: list[list[Text]], error: BaseException | None) -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(texts)

        job = _Job(self._steps(prompts, settings), lambda texts, error: loop.call_soon_threadsafe(settle, texts, error))
        with self._condition:
            self._jobs.append(job)
            self._condition.notify_all()
        try:
            return await future
        finally:
            with self._condition:
                job.is_cancelled = True
                if job in self._jobs:
                    self._jobs.remove(job)

    def _steps(self, prompts: Sequence[str], settings: GenerationSettings) -> Steps[list[list[Text]]]:
        texts: list[list[Text]] = []
        for first in range(0, len(prompts), PROMPTS):
            texts += yield from self.writer.writing(prompts[first : first + PROMPTS], settings, first)
        return texts

    # What the model's thread does.

    def _loop(self) -> None:
        # In a call of its own: what it names would hold the last request's memory until the next one comes.
        while self._take_turn():
            pass

    def _take_turn(self) -> bool:
        """Compute one step of the request whose turn it is; False where there will be none any more."""
        with self._condition:
            while not self._jobs:
                if self._closing and not self.requests:
                    return False
                self._condition.wait()
            job = self._jobs.popleft()
        started = time.perf_counter()
        try:
            tokens = next(job.steps)
        except StopIteration as end:
            job.done(end.value, None)
        except Exception as error:
            job.done([], error)
        else:
            self._account([tokens], 1, time.perf_counter() - started)
            with self._condition:
                if not job.is_cancelled:
                    self._jobs.insert(AT_ONCE - 1, job)
        return True

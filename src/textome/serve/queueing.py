"""What all engines of the service share: a bounded queue, worker threads, and one thread that runs the model."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

# Waiting inputs that are looked through for the neighbours of one.
LOOK_THROUGH = 2048


class QueueFullError(Exception):
    """The queue is full; `retry_after` is in how many seconds it is worth while to come again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_after} s")
        self.retry_after = retry_after


class TooManyTokensError(Exception):
    """A request has more for the model to read than one may have."""


class ClosedError(Exception):
    """The engine is shutting down and takes no more requests."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds of an engine.

    max_requests, max_characters   what may wait or be in work at once; one request is always let in
    max_tokens                     that the model reads for one request, which bounds its processor time whatever the text
                                   is; those of inputs from 128 tokens count twice, from 256 three times, and so on
    max_written_tokens             that a model may write for one request, all its texts together
    max_delay                      seconds that a batch waits to be filled by requests that are being cut
    token_budget                   tokens of one batch, padding included
    cache_characters               characters of recent texts whose entities are kept; 0 keeps none
    workers                        threads that cut texts and decode scores
    """

    max_requests: int = 256
    max_characters: int = 4_000_000
    max_tokens: int = 50_000
    max_written_tokens: int = 4096
    max_delay: float = 0.005
    token_budget: int = 1024
    cache_characters: int = 0
    workers: int = 2


@dataclass(slots=True)
class Counters:
    """What an engine has done since it started; read by the metrics."""

    documents: int = 0
    characters: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    batches: int = 0
    merged_batches: int = 0
    busy_seconds: float = 0.0
    refused: int = 0
    cancelled: int = 0
    cache_hits: int = 0


class Queue(ABC):
    """The queue of an engine and its threads; `_loop`, which the engine defines, runs the model until `close`.

    requests, characters   that wait or are in work; `_condition` guards them and whatever else waits
    """

    def __init__(self, settings: Settings | None, name: str) -> None:
        self.settings = settings or Settings()
        self.counters = Counters()
        self.requests = 0
        self.characters = 0
        self._name = name
        self._condition = threading.Condition()
        self._rate = 50_000.0  # characters a second, measured as it goes; tells when to come again
        self._closing = False
        self._workers = ThreadPoolExecutor(self.settings.workers, thread_name_prefix=f"textome-{name}-text")
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        # Made here and not before: after a fork Python takes threads that were made earlier for ended ones.
        self._thread = threading.Thread(target=self._loop, name=f"textome-{self._name}", daemon=True)
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

    def _enter(self, characters: int) -> None:
        """Let a request of this size in, under `_condition`. Raises QueueFullError and ClosedError."""
        if self._closing:
            raise ClosedError("the service is shutting down")
        full = self.characters + characters > self.settings.max_characters
        if self.requests and (full or self.requests >= self.settings.max_requests):
            self.counters.refused += 1
            raise QueueFullError(min(60, max(1, round(self.characters / self._rate))))
        self.requests += 1
        self.characters += characters

    def _leave(self, characters: int) -> None:
        """Take a request of this size out, under `_condition`."""
        self.requests -= 1
        self.characters -= characters
        self._condition.notify_all()

    def _account(self, lengths: Sequence[int], requests: int, seconds: float) -> None:
        """Count a batch of inputs of these lengths, which came from so many requests and took so long."""
        counters = self.counters
        counters.batches += 1
        counters.merged_batches += requests > 1
        counters.tokens += sum(lengths)
        counters.padded_tokens += len(lengths) * max(lengths)
        counters.busy_seconds += seconds
        # About five characters make a token of biomedical English; the rate only tells clients when to come again.
        self._rate = 0.95 * self._rate + 0.05 * 5 * sum(lengths) / max(seconds, 1e-6)

    @abstractmethod
    def _loop(self) -> None:
        """Run the model on what waits, until the queue is closed and empty."""

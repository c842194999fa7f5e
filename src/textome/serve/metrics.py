"""What Prometheus reads: counts and times, by route and model. No text of documents, no ids, no names of files."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from textome.serve.processes.board import Board, added_up
from textome.serve.service import Service

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_COUNTERS = {
    "documents": "Documents annotated, and records of other tasks",
    "characters": "Characters of annotated documents",
    "tokens": "Tokens that the model read",
    "padded_tokens": "Tokens that the model computed, padding included",
    "batches": "Batches that the model ran",
    "merged_batches": "Batches with windows of more than one request",
    "busy_seconds": "Seconds in which the model ran",
    "refused": "Requests refused because the queue was full",
    "cancelled": "Requests whose client left or whose time was up",
    "cache_hits": "Documents answered from the cache",
}


class Metrics:
    """The metrics of one service; each has a registry of its own, so that several can live in one process.

    `share` makes them those of one of several workers, whose sum is what is read.
    """

    media_type = CONTENT_TYPE_LATEST
    _board: Board | None = None
    _number = 0

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "textome_requests", "Requests answered", ["route", "method", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "textome_request_seconds",
            "Seconds from a request's head to its answer's end",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._registry.register(_Engines(service))
        ProcessCollector(registry=self._registry)

    def share(self, board: Board, number: int) -> None:
        """From now on these are the metrics of the worker of this number."""
        self._board, self._number = board, number

    @property
    def is_shared(self) -> bool:
        return self._board is not None

    def publish(self) -> None:
        """Leave what there is now for the other workers to read."""
        if self._board is not None:
            self._board.write(self._number, generate_latest(self._registry))

    def text(self) -> bytes:
        if self._board is None:
            return generate_latest(self._registry)
        self.publish()
        return added_up(self._board.texts())


class _Engines(Collector):
    """The engines' own counters, read when they are asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        models = {name: model.engines for name, model in self._service.models.items()}
        for attribute, text in _COUNTERS.items():
            counter = CounterMetricFamily(f"textome_{attribute}", text, labels=["model"])
            for name, engines in models.items():
                counter.add_metric([name], float(sum(getattr(engine.counters, attribute) for engine in engines)))
            yield counter
        for attribute, text in (
            ("requests", "Requests that wait or are in work"),
            ("characters", "Characters that wait or are in work"),
        ):
            gauge = GaugeMetricFamily(f"textome_queue_{attribute}", text, labels=["model"])
            for name, engines in models.items():
                gauge.add_metric([name], float(sum(getattr(engine, attribute) for engine in engines)))
            yield gauge
        memory = GaugeMetricFamily("textome_body_bytes", "Bytes of request bodies in memory")
        memory.add_metric([], float(self._service.memory.used))
        yield memory

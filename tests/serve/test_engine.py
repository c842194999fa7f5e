"""The engine gives what the model gives, whoever asks at the same time, and frees what nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import Document
from textome.pipeline import Pipeline
from textome.runtime.model import Model
from textome.serve.engine import Engine
from textome.serve.queueing import ClosedError, QueueFullError, Settings, TooManyTokensError

TEXT = "Metformin is given for type 2 diabetes. Patients with breast cancer took aspirin daily."


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, threads=1, precision="fp32", token_budget=256)


@asynccontextmanager
async def running(model: Model, **bounds: Any) -> AsyncIterator[Engine]:
    engine = Engine(model, Settings(**{"token_budget": 256} | bounds))
    engine.start()
    try:
        yield engine
    finally:
        await asyncio.to_thread(engine.close)
        assert (engine.requests, engine.characters) == (0, 0)
        assert not engine._waiting
        assert engine._token_count == engine._preparing == 0


class Gate:
    """Holds the model's thread until it is opened, so that a test decides what waits at the same time."""

    def __init__(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.sizes: list[int] = []
        scores = model.scores

        def held(name: str, examples: Sequence[Any]) -> Any:
            self.sizes.append(len(examples))
            assert self.open.wait(20)
            return scores(name, examples)

        monkeypatch.setattr(model, "scores", held)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())  # type: ignore[arg-type]


def spans(found: Sequence[Document]) -> list[Any]:
    return [[(item.spans, item.type) for item in document.entities] for document in found]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(documents(), max_size=4), min_size=1, max_size=5), st.booleans())
def test_requests_at_once_give_what_each_gives_alone(
    model: Model, requests: list[list[Document]], replace: bool
) -> None:
    async def main() -> None:
        async with running(model) as engine:
            drop = Pipeline([model]).without_annotations if replace else None
            together = await asyncio.gather(*(engine.annotate(request, model, drop) for request in requests))
        for request, result in zip(requests, together, strict=True):
            alone = Pipeline([model]).annotate(request, replace=replace)
            assert spans(result) == spans(alone)
            assert [document.passages for document in result] == [document.passages for document in request]

    run(main)


def test_a_sentence_of_many_windows_stays_whole(model: Model) -> None:
    document = Document.from_text(" ".join(["patients with malaria took quinine daily"] * 200))

    async def main() -> None:
        async with running(model) as engine:
            (result,) = await engine.annotate([document], model)
        assert spans([result]) == spans([Pipeline([model])(document)])

    run(main)


def test_small_requests_share_a_batch(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.load(tiny_bundle, threads=1)
    gate = Gate(model, monkeypatch)

    async def main() -> None:
        async with running(model) as engine:
            first = asyncio.create_task(engine.annotate([Document.from_text("no gout was seen")], model))
            await until(lambda: bool(gate.sizes))
            others = [
                asyncio.create_task(engine.annotate([Document.from_text("no gout was seen")], model)) for _ in range(8)
            ]
            await until(lambda: len(engine._waiting) == 8)
            gate.open.set()
            await asyncio.gather(first, *others)
            assert gate.sizes == [1, 8]
            assert engine.counters.merged_batches == 1

    run(main)


def test_requests_that_wait_are_decoded_together(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["no gout was seen", "patients with malaria took quinine. They had no gout.", "quinine"]
    expected = [spans([Pipeline([model])(Document.from_text(text))]) for text in texts]
    gate, sizes, complete = threading.Event(), list[int](), Model.complete

    def counted(self: Model, name: str, documents: Sequence[Document], *others: Any) -> list[Document]:
        sizes.append(len(documents))
        gate.wait(10)
        return complete(self, name, documents, *others)

    monkeypatch.setattr(Model, "complete", counted)

    async def main() -> None:
        async with running(model) as engine:
            requests = [asyncio.create_task(engine.annotate([Document.from_text(texts[0])], model))]
            await until(lambda: bool(sizes))
            requests += [asyncio.create_task(engine.annotate([Document.from_text(text)], model)) for text in texts]
            others = model.choosing(min_confidence=0.99)
            requests += [asyncio.create_task(engine.annotate([Document.from_text(text)], others)) for text in texts]
            await until(lambda: len(engine._scored) == 6)
            gate.set()
            results = await asyncio.gather(*requests)
        assert sizes == [1, 3, 3]
        assert [spans(result) for result in results[:4]] == [expected[0], *expected]

    run(main)


def test_an_error_of_one_request_leaves_those_decoded_with_it_alone(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["patients with malaria took quinine.", "broken", "no gout was seen"]
    gate, sizes, complete = threading.Event(), list[int](), Model.complete

    def fails(self: Model, name: str, documents: Sequence[Document], *others: Any) -> list[Document]:
        sizes.append(len(documents))
        gate.wait(10)
        if any(document.text == "broken" for document in documents):
            raise ValueError("broken")
        return complete(self, name, documents, *others)

    monkeypatch.setattr(Model, "complete", fails)

    async def main() -> None:
        async with running(model) as engine:
            requests = [asyncio.create_task(engine.annotate([Document.from_text(texts[0])], model))]
            await until(lambda: bool(sizes))
            requests += [asyncio.create_task(engine.annotate([Document.from_text(text)], model)) for text in texts]
            await until(lambda: len(engine._scored) == 3)
            gate.set()
            results = await asyncio.gather(*requests, return_exceptions=True)
        assert sizes == [1, 3, 1, 1, 1]
        assert [isinstance(result, ValueError) for result in results] == [False, False, True, False]

    run(main)


def test_a_small_request_does_not_wait_for_a_large_one(tiny_bundle: Path) -> None:
    model = Model.load(tiny_bundle, threads=1)

    async def main() -> None:
        async with running(model, token_budget=64) as engine:
            large = asyncio.create_task(engine.annotate([Document.from_text(TEXT)] * 600, model))
            await until(lambda: engine.counters.batches > 3)
            await engine.annotate([Document.from_text(TEXT)], model)
            assert not large.done()
            assert len(await large) == 600

    run(main)


def test_a_full_queue_refuses_at_once_and_recovers(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.load(tiny_bundle, threads=1)
    gate = Gate(model, monkeypatch)
    document = Document.from_text(TEXT)

    async def main() -> None:
        async with running(model, max_requests=3, max_characters=10_000) as engine:
            accepted = [asyncio.create_task(engine.annotate([document], model)) for _ in range(3)]
            await until(lambda: engine.requests == 3)
            with pytest.raises(QueueFullError) as refused:
                await engine.annotate([document], model)
            assert 1 <= refused.value.retry_after <= 60
            accepted.pop().cancel()
            await until(lambda: engine.requests == 2)
            with pytest.raises(QueueFullError):
                await engine.annotate([Document.from_text("x" * 10_000)], model)
            gate.open.set()
            await asyncio.gather(*accepted)
            await engine.annotate([Document.from_text("x " * 10_000)], model)  # larger than the bound, but alone
            assert engine.counters.refused == 2

    run(main)


def test_what_the_model_reads_for_a_request_is_bounded_whatever_its_text(model: Model) -> None:
    async def main() -> None:
        async with running(model, max_tokens=2000) as engine:
            for documents in (
                [Document.from_text("(" * 3000)],  # a token each
                [Document.from_text(TEXT)] * 200,  # in many documents
                [Document.from_text("x" * 20_001)],  # refused before anything is cut
            ):
                with pytest.raises(TooManyTokensError, match="2,000 tokens"):
                    await engine.annotate(documents, model)
            (result,) = await engine.annotate([Document.from_text(TEXT)], model)
            assert len(result.entities) == 4

    run(main)


def test_a_cancelled_request_frees_its_work(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.load(tiny_bundle, threads=1)
    gate = Gate(model, monkeypatch)

    async def main() -> None:
        async with running(model) as engine:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.annotate([Document.from_text(TEXT)] * 2000, model), 0.3)
            assert (engine.requests, engine.characters, len(engine._waiting)) == (0, 0, 0)
            gate.open.set()
            (result,) = await engine.annotate([Document.from_text(TEXT)], model)
            assert len(result.entities) == 4
            assert engine.counters.cancelled == 1
            assert engine.counters.documents == 1

    run(main)


def test_close_finishes_what_was_accepted(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.load(tiny_bundle, threads=1)
    gate = Gate(model, monkeypatch)

    async def main() -> None:
        async with running(model) as engine:
            task = asyncio.create_task(engine.annotate([Document.from_text(TEXT)] * 50, model))
            await until(lambda: bool(gate.sizes))
            closing = asyncio.create_task(asyncio.to_thread(engine.close))
            await until(lambda: not engine.alive)
            with pytest.raises(ClosedError):
                await engine.annotate([Document.from_text(TEXT)], model)
            gate.open.set()
            assert len(await task) == 50
            await closing

    run(main)


def test_an_error_of_the_model_reaches_only_those_in_the_batch(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model.load(tiny_bundle, threads=1)
    right = model.scores

    def wrong(name: str, examples: Sequence[Any]) -> Any:
        raise MemoryError

    async def main() -> None:
        async with running(model) as engine:
            monkeypatch.setattr(model, "scores", wrong)
            with pytest.raises(MemoryError):
                await engine.annotate([Document.from_text(TEXT)], model)
            monkeypatch.setattr(model, "scores", right)
            assert len((await engine.annotate([Document.from_text(TEXT)], model))[0].entities) == 4

    run(main)


def test_types_and_confidence_are_each_requests_own(model: Model) -> None:
    async def main() -> None:
        async with running(model, cache_characters=10_000) as engine:
            for _ in range(2):  # the second time from the cache
                all_types, drugs, none = await asyncio.gather(
                    engine.annotate([Document.from_text(TEXT)], model),
                    engine.annotate([Document.from_text(TEXT)], model.choosing(types=("Chemical",))),
                    engine.annotate([Document.from_text(TEXT)], model.choosing(min_confidence=1.0)),
                )
                assert [len(found[0].entities) for found in (all_types, drugs, none)] == [4, 2, 0]
            assert engine.counters.cache_hits == 3

    run(main)


def test_the_cache_stays_within_its_size(model: Model) -> None:
    async def main() -> None:
        async with running(model, cache_characters=100) as engine:
            for number in range(20):
                await engine.annotate([Document.from_text(f"patient {number} with gout took insulin")], model)
            assert engine._cache._characters <= 100
            assert engine.counters.cache_hits == 0
            await engine.annotate([Document.from_text("patient 19 with gout took insulin")], model)
            assert engine.counters.cache_hits == 1

    run(main)

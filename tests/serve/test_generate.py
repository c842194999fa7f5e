"""`/v1/generate`: what the writer writes, within bounds of time, memory and length."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from serve.conftest import Running, connected, running
from textome.client import Client, ServiceError
from textome.errors import InputError
from textome.runtime.generation.settings import GenerationSettings
from textome.runtime.generation.writer import Writer
from textome.serve.limits import Limits
from textome.serve.queueing import ClosedError, QueueFullError, Settings, TooManyTokensError
from textome.serve.writing.engine import AT_ONCE, PROMPTS, WritingEngine
from tiny_writers import exported, make_gpt

PROMPT = "patients with gout took"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(make_gpt(tmp_path_factory.mktemp("gpt") / "gpt"), "fp32")


@pytest.fixture(scope="module")
def writer(bundle: Path) -> Writer:
    return Writer.load(bundle, threads=1)


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Running]:
    with running(bundle, Limits(body_seconds=1.0, body_bytes=300_000, characters=200_000)) as started:
        yield started


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.9, "seed": 3, "samples": 2}, {"beam": 3, "samples": 2, "length_penalty": 0.5},
     {"top_k": 5, "top_p": 0.9, "no_repeat": 2, "stop": ["a", "no"]}],
)  # fmt: skip
def test_texts_are_those_of_the_writer(options: dict[str, Any], server: Running, writer: Writer) -> None:
    """Of more prompts than are written on together, so that those drawn later would differ if they were counted anew."""
    prompts = [PROMPT, "", *["no malaria was seen"] * PROMPTS]
    with Client(server.url) as client:
        results = client.generate(prompts, max_new_tokens=6, **options)
    chosen = options | {"stop": tuple(options["stop"])} if "stop" in options else options
    expected = writer.generate(prompts, max_new_tokens=6, **chosen)
    assert [[text.text for text in texts] for texts in results] == [[text.text for text in texts] for texts in expected]
    first, theirs = results[0][0], expected[0][0]
    assert (first.num_tokens, first.ended_by) == (theirs.num_tokens, theirs.ended_by)
    assert first.log_probability == pytest.approx(theirs.log_probability, abs=1e-4)


def test_the_service_tells_what_the_model_does(server: Running) -> None:
    (model,) = server.get("/v1/models").json["models"]
    assert (model["tasks"], model["heads"]) == (
        ["generation"],
        [{"name": "text", "kind": "language_model", "labels": [], "prefix": ""}],
    )
    assert server.get("/readyz").status == 200
    before = server.post("/v1/generate", {"prompts": [PROMPT], "max_new_tokens": 4})
    assert before.json == {
        "model": "tiny",
        "results": [[before.json["results"][0][0] | {"num_tokens": 4, "ended_by": "length"}]],
    }
    metrics = server.get("/metrics").body.decode()
    assert 'textome_tokens_total{model="tiny"} 0.0' not in metrics
    assert PROMPT not in metrics


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "/prompts"),
        ({"prompts": []}, 400, "/prompts"),
        ({"prompts": ["x"] * 65}, 400, "/prompts"),
        ({"prompts": [1]}, 400, "/prompts/0"),
        ({"prompts": ["x"], "max_new_tokens": 1025}, 400, "/max_new_tokens"),
        ({"prompts": ["x"], "beam": 9}, 400, "/beam"),
        ({"prompts": ["x"], "stop": [""]}, 400, "/stop"),
        ({"prompts": ["x"], "no_repeat": 17}, 400, "/no_repeat"),
        ({"prompts": ["x"], "temperature": 0}, 400, "/temperature"),
        ({"prompts": ["x"], "text": "x"}, 400, "no such member"),
        ({"prompts": ["x"], "beam": 2, "top_k": 3}, 422, "beam search draws nothing"),
        ({"prompts": ["x"], "samples": 2}, 422, "several samples would all be the same text"),
        ({"prompts": ["x", "malaria " * 60]}, 422, "and the model reads at most 48"),
        ({"prompts": ["x"] * 64, "max_new_tokens": 65}, 413, "might write 4,160 tokens for this request, and 4,096 is"),
        ({"prompts": ["x"], "max_new_tokens": 1024, "beam": 8}, 413, "narrower beam"),
        ({"prompts": ["x" * 200_001]}, 413, "characters"),
        ({"prompts": ["x"], "model": "none"}, 404, "those for this are tiny; name one"),
    ],
)
def test_wrong_requests_are_told_what_to_do(server: Running, body: dict[str, Any], status: int, message: str) -> None:
    answer = server.post("/v1/generate", body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert message in answer.json["detail"]


def test_a_writer_beside_a_model_of_entities(bundle: Path, tiny_bundle: Path) -> None:
    """Each does what it can, and says of the other's routes who can do them."""
    with running({"gpt": bundle, "entities": tiny_bundle}) as server, Client(server.url) as client:
        assert [model.tasks[0] for model in client.models()] == ["generation", "entities"]
        assert client.annotate("no gout was seen")
        assert client.generate(PROMPT, max_new_tokens=2)
        for path, body, message in (
            ("/v1/annotate", {"text": "x", "model": "gpt"}, "gpt cannot do this; those that can are entities"),
            (
                "/v1/generate",
                {"prompts": ["x"], "model": "entities"},
                "entities cannot do this; those that can are gpt",
            ),
            ("/v1/embed", {"texts": ["x"], "model": "gpt"}, "gpt cannot do this"),
        ):
            answer = server.post(path, body)
            assert (answer.status, message in answer.json["detail"]) == (404, True), answer.json
    with (
        running(tiny_bundle) as server,
        Client(server.url) as client,
        pytest.raises(ServiceError, match="no model of this service writes; start it with a language model"),
    ):
        client.generate(PROMPT)


def test_time_is_up_and_a_client_that_leaves_frees_its_work(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request ends before its next token, however many it still asks for."""
    with running(bundle, Limits(request_seconds=2.0)) as server:
        engine = server.service.models["tiny"].engines[0]
        assert isinstance(engine, WritingEngine)
        session = engine.writer.session  # type: ignore[attr-defined]
        run, runs = session.run, 0

        def slow(*inputs: Any) -> Any:
            nonlocal runs
            runs += 1
            time.sleep(0.1)
            return run(*inputs)

        monkeypatch.setattr(session, "run", slow)
        body = {"prompts": [""], "max_new_tokens": 1024, "temperature": 1.0}
        assert server.post("/v1/generate", body).status == 504
        assert (engine.requests, engine.characters) == (0, 0)
        with connected(server) as connection:
            data = json.dumps(body).encode()
            head = b"POST /v1/generate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data)
            connection.sendall(head + data)
            while not engine.requests:
                time.sleep(0.01)
        left = time.monotonic()
        while engine.requests:
            assert time.monotonic() - left < 1.8, "the work was kept until its time was up"
            time.sleep(0.01)
        time.sleep(0.3)
        so_far = runs
        time.sleep(0.3)
        assert runs == so_far


class _Counting(Writer):
    """Writes as many "x" as it may, and keeps account of how many texts are in work at once."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.open, self.most, self.turns = 0, 0, list[str]()
        self.may_go = threading.Event()

    def check_prompt(self, prompt: str) -> int:
        if not prompt:
            raise InputError("the prompt is empty")
        return len(prompt)

    def writing(self, prompts: Any, settings: GenerationSettings, first: int = 0) -> Any:
        self.may_go.wait(20)
        self.open += 1
        self.most = max(self.most, self.open)
        for _ in range(settings.max_new_tokens):
            self.turns.append(prompts[0])
            yield 1
        self.open -= 1
        if prompts[0] == "bad":
            raise RuntimeError("a mistake")
        return [[f"{prompt}{settings.max_new_tokens}"] for prompt in prompts]

    def of(self, *_: Any) -> Any: ...  # type: ignore[override]
    def predictions(self, *_: Any) -> Any: ...
    def apply(self, *_: Any) -> Any: ...
    def check_record(self, *_: Any) -> None: ...


def asked(tokens: int) -> GenerationSettings:
    return GenerationSettings(max_new_tokens=tokens)


def test_requests_take_turns_and_few_are_in_memory() -> None:
    writer = _Counting()
    engine = WritingEngine(writer, Settings(max_requests=20))

    async def work() -> list[Any]:
        engine.start()
        jobs = [asyncio.create_task(engine.generate([name], asked(50))) for name in "abcdefgh"]
        while engine.requests < 8:
            await asyncio.sleep(0.01)
        short = asyncio.create_task(engine.generate(["short"], asked(1)))
        bad = asyncio.create_task(engine.generate(["bad"], asked(1)))
        gone = asyncio.create_task(engine.generate(["gone"], asked(1000)))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        writer.may_go.set()
        return await asyncio.gather(*jobs, short, bad, gone, return_exceptions=True)

    *texts, short, bad, gone = asyncio.run(work())
    assert [item[0][0] for item in texts] == [f"{name}50" for name in "abcdefgh"]
    assert (short, type(bad), type(gone)) == ([["short1"]], RuntimeError, asyncio.CancelledError)
    assert writer.most == AT_ONCE
    assert set(writer.turns[: AT_ONCE * 10]) == set("abcd"), "those that have begun take turns"
    assert "gone" not in writer.turns
    assert (engine.requests, engine.characters, engine.counters.cancelled) == (0, 0, 1)
    engine.close()
    assert not engine.alive
    with pytest.raises(ClosedError):
        asyncio.run(engine.generate(["a"], asked(1)))


def test_the_queue_counts_what_is_to_be_written() -> None:
    writer = _Counting()
    engine = WritingEngine(writer, Settings(max_characters=5000, max_tokens=30))

    async def work() -> None:
        engine.start()
        first = asyncio.create_task(engine.generate(["a"], asked(1000)))
        while not engine.requests:
            await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError):
            await engine.generate(["b"], asked(1000))
        with pytest.raises(TooManyTokensError, match="the prompts have more than 30 tokens"):
            await engine.generate(["long" * 5] * 2, asked(1))
        with pytest.raises(InputError, match="the prompt is empty"):
            await engine.generate([""], asked(1))
        writer.may_go.set()
        await first

    asyncio.run(work())
    engine.close()
    assert engine.counters.tokens == 1000


def test_written_texts_have_all_members(writer: Writer, server: Running) -> None:
    """The client's and the service's text have the members of the writer's."""
    ((text,),) = writer.generate(PROMPT, max_new_tokens=2)
    with Client(server.url) as client:
        ((other,),) = client.generate(PROMPT, max_new_tokens=2)
    assert asdict(other).keys() == asdict(text).keys()

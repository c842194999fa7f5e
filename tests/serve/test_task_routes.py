"""The routes of tasks other than entities: what the offline classes say, and the same bounds as for entities."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from one_model import entities_of, labels_of, labels_of_sentences, related
from serve.conftest import Running, running
from textome.client import Client, ServiceError
from textome.datasets.labelled import LabelledText
from textome.documents import Document
from textome.errors import InputError
from textome.runtime.answerer import Answerer
from textome.runtime.model import Model
from textome.serve.engine import Engine
from textome.serve.limits import Limits
from textome.serve.queueing import ClosedError, QueueFullError, Settings

TEXT = "aspirin is given for gout"


@pytest.fixture(scope="module")
def tasks(tiny_tasks: Path) -> Iterator[Running]:
    limits = Limits(body_seconds=1.0, body_bytes=300_000, characters=200_000)
    with running(tiny_tasks / "run" / "bundle", limits) as started:
        yield started


@pytest.fixture(scope="module")
def runner(tiny_tasks: Path) -> Model:
    return Model.load(tiny_tasks / "run" / "bundle", threads=1)


def test_models_tell_their_tasks(tasks: Running) -> None:
    with Client(tasks.url) as client:
        (model,) = client.models()
    assert model.tasks == (
        "entities",
        "classification",
        "sentence_classification",
        "relations",
        "question_answering",
        "embeddings",
    )
    assert model.heads["single"] == ("classification", ("disease", "drug"))
    assert model.types == ("Disease", "Chemical")


def test_classify_is_what_the_classifier_says(tasks: Running, runner: Model) -> None:
    texts = ["patients took aspirin", "no malaria was seen"]
    with Client(tasks.url) as client:
        found = client.classify(texts, task="single")
        sentences = client.classify_sentences(["patients took insulin. No gout was seen."], task="roles")
    expected = labels_of(runner, "single", texts)
    assert [item.labels for item in found] == [item.labels for item in expected] == [("drug",), ("disease",)]
    assert found[0].scores == pytest.approx(expected[0].scores, abs=1e-3)
    ((first, second),) = sentences
    assert [(item.start, item.end) for item in (first, second)] == [(0, 22), (23, 40)]
    (labels,) = labels_of_sentences(runner, "roles", [["patients took insulin.", "No gout was seen."]])
    assert [first.scores, second.scores] == [pytest.approx(item.scores, abs=1e-3) for item in labels]


def test_relations_are_those_of_the_finder(tasks: Running, runner: Model, tiny_tasks: Path) -> None:
    annotated = entities_of(tiny_tasks / "run" / "bundle", threads=1).annotate(TEXT)
    (expected,) = related(runner, [annotated])
    assert [relation.type for relation in expected.relations] == ["treats"]
    with Client(tasks.url) as client:
        (found,) = client.relations(TEXT)  # the entities are found first
        (given,) = client.relations(annotated)
        none = client.relations(annotated, min_confidence=1.0)
    assert found.relations[0].arguments == given.relations[0].arguments == expected.relations[0].arguments
    assert given.entities == annotated.entities
    assert not none[0].relations
    answer = tasks.post("/v1/relations", {"text": TEXT, "format": "bioc-json"})
    assert answer.json["documents"][0]["relations"]


def test_answers_are_those_of_the_answerer(tasks: Running, runner: Model) -> None:
    documents = [Document.from_text("patients took insulin daily with gout", id="a"), Document.from_text("x", id="b")]
    expected = Answerer(runner).ask("for", documents, 2)
    with Client(tasks.url) as client:
        found = client.answer("for", documents, number=2)
    assert [(item.text, item.document, item.start, item.end) for item in found] == [
        (item.text, item.document, item.start, item.end) for item in expected
    ]
    assert found[0].text == "gout"
    assert found[0].confidence == pytest.approx(expected[0].confidence, abs=1e-3)


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/classify", {"texts": ["x"]}, 404, "has the tasks single, roles, topics; name one"),
        ("/v1/classify", {"texts": ["x"], "task": "treats"}, 404, "single of model tiny"),
        ("/v1/classify", {"texts": ["x"], "model": "none", "task": "single"}, 404, "no such model"),
        ("/v1/classify", {"pairs": [["x", "y"]], "task": "single"}, 422, "reads single texts"),
        ("/v1/classify", {"texts": [" "], "task": "single"}, 422, "without any word"),
        ("/v1/classify", {"texts": ["x"], "pairs": [["x", "y"]]}, 400, "exactly one of texts and pairs"),
        ("/v1/classify", {"pairs": [["x"]]}, 400, "at least 2 items"),
        ("/v1/classify", {"texts": ["x" * 200_001], "task": "single"}, 413, "characters"),
        ("/v1/answer", {"question": " ", "text": "x"}, 422, "the question is empty"),
        ("/v1/answer", {"question": "for", "text": " "}, 422, "no text to look for"),
        ("/v1/answer", {"question": "for", "text": "x", "number": 0}, 400, "greater than or equal to 1"),
        ("/v1/answer", {"text": "x"}, 400, "/question"),
        ("/v1/relations", {"text": "x", "entities": "none"}, 404, "tiny"),
        ("/v1/relations", {"text": "x", "type": "y"}, 400, "no such member"),
    ],
)
def test_wrong_requests_are_told_what_to_do(tasks: Running, path: str, body: dict, status: int, message: str) -> None:
    answer = tasks.post(path, body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert message in answer.json["detail"]


def test_too_many_pairs_are_refused_before_they_cost_anything(tasks: Running) -> None:
    names = "gout aspirin " * 260
    entities = [{"type": kind, "spans": [[at, at + size]], "text": names[at : at + size]}
                for start in range(0, len(names), 13)
                for kind, at, size in (("Disease", start, 4), ("Chemical", start + 5, 7))]  # fmt: skip
    for number, message in ((520, "more than 500 entities"), (400, "more than 5,000 pairs")):
        answer = tasks.post("/v1/relations", {"documents": [{"text": names, "entities": entities[:number]}]})
        assert answer.status == 413
        assert message in answer.json["detail"]


def test_a_service_without_entities_says_so(tiny_tasks: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    from textome.runtime.bundle import Bundle
    from textome.runtime.export import export_bundle
    from textome.training.kinds import plan_run
    from tiny_tasks import make_task_recipe

    recipe = make_task_recipe(tmp_path, "treats", epochs=1)
    bundle = plan_run(recipe).start(tmp_path / "run", False, lambda record: None)
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    with running(bundle) as server:
        assert server.get("/readyz").status == 200
        assert server.post("/v1/annotate", {"text": "x"}).status == 404
        answer = server.post("/v1/relations", {"text": TEXT})
        assert (answer.status, answer.json["type"]) == (422, "urn:textome:problem:no-entities")
        assert server.get("/v1/models").json["models"][0]["types"] == []
        assert 'textome_tokens_total{model="tiny"}' in server.get("/metrics").body.decode()
    with running({"pairs": bundle, "names": tiny_bundle}) as server, Client(server.url) as client:
        (found,) = client.relations(TEXT)
        assert {entity.text for entity in found.entities} == {"aspirin", "gout"}
        with pytest.raises(ServiceError, match="no such model has such a task"):
            client.relations(TEXT, model="names")


def test_requests_are_computed_together_and_bounded(runner: Model) -> None:
    texts = ["patients took aspirin", "no malaria was seen", "no gout was seen daily"]
    items = [LabelledText(str(number), text, None) for number, text in enumerate(texts)]
    expected = runner.predictions("single", items)
    held = threading.Event()

    async def scenario() -> None:
        engine = Engine(runner, Settings(max_requests=4))
        scores, engine.runner = runner.scores, _Held(runner, held)
        engine.start()
        first = asyncio.create_task(engine.predict("single", lambda _: items[:1], 20))
        while not engine.runner.entered.is_set():
            await asyncio.sleep(0.01)
        others = [asyncio.create_task(engine.predict("single", lambda _: items, 60)) for _ in range(2)]
        leaving = asyncio.create_task(engine.predict("topics", lambda _: items, 60))
        while len(engine._waiting) < 3:
            await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError):
            await engine.predict("single", lambda _: items, 60)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        held.set()
        for task in others:
            _, found = await task
            assert [item.labels for item in found] == [item.labels for item in expected]
        await first
        assert engine.counters.merged_batches == 1
        assert (engine.counters.cancelled, engine.counters.refused) == (1, 1)
        with pytest.raises(InputError):
            await engine.predict("single", lambda _: [LabelledText("1", " ", None)], 1)
        assert (engine.requests, engine.characters, len(engine._waiting)) == (0, 0, 0)
        await asyncio.to_thread(engine.close)
        with pytest.raises(ClosedError):
            await engine.predict("single", lambda _: items, 60)
        assert scores is not None

    asyncio.run(scenario())


def test_a_failure_of_the_model_reaches_those_who_wait(runner: Model) -> None:
    async def scenario() -> None:
        engine = Engine(runner)
        engine.runner = _Broken(runner)
        engine.start()
        with pytest.raises(RuntimeError, match="broken"):
            await engine.predict("single", lambda _: [LabelledText("1", "no gout", None)], 7)
        assert engine.requests == 0
        await asyncio.to_thread(engine.close)

    asyncio.run(scenario())


class _Held(Model):
    """A runner that waits for a signal before it computes."""

    def __init__(self, runner: Model, held: threading.Event) -> None:
        self.__dict__ |= runner.__dict__
        self.entered, self.held = threading.Event(), held

    def scores(self, name, units):
        self.entered.set()
        assert self.held.wait(20)
        return super().scores(name, units)


class _Broken(Model):
    def __init__(self, runner: Model) -> None:
        self.__dict__ |= runner.__dict__

    def scores(self, name, units):
        raise RuntimeError("broken")

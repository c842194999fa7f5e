"""The backend of Label Studio in its wire format: setup, predictions, corrections by webhook, training as a job."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.conftest import Running, running
from serve.test_routes import SECRET
from textome.formats import read_documents
from textome.serve.keys import KeyFile, add_key
from textome.serve.limits import Limits

CONFIG = """<View><Header value="Mark"/><Labels name="label" toName="note"><Label value="DISEASE"/><Label value="Chemical"
background="red"/><Label value="Mood"/></Labels><Text name="note" value="$body"/></View>"""
TEXT = "\U0001f9ec Metformin is given for type 2 diabetes. Patients with breast cancer took aspirin daily."
ROOT = "/v1/label-studio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("label-studio")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    """With the bundled model."""
    with running(None, Limits(characters=50_000), label_studio=folder) as started:
        yield started


def task(id: int, text: str = TEXT, **members: Any) -> dict[str, Any]:
    return {"id": id, "data": {"body": text, "other": 3}, "meta": {}, "annotations": [], **members}


def submitted(id: int, words: str, label: str, action: str = "ANNOTATION_CREATED", **members: Any) -> dict[str, Any]:
    start = TEXT.index(words)
    value = {"start": start, "end": start + len(words), "text": words, "labels": [label]}
    result = {"id": "x1", "from_name": "label", "to_name": "note", "type": "labels", "value": value, "origin": "manual"}
    annotation = {"id": 5, "result": [result], "was_cancelled": False, "completed_by": {"id": 1}}
    project = {"id": 7, "title": "Notes", "label_config": CONFIG}
    return {"action": action, "project": project, "task": task(id), "annotation": annotation, **members}


def test_a_project_is_connected(server: Running) -> None:
    assert server.get(f"{ROOT}/health").json == {"status": "UP", "model_class": "Textome"}
    body = {"project": "7.1650000000", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": "t"}
    assert server.post(f"{ROOT}/setup", body).json == {"model_version": "tiny"}


def test_predictions_have_the_labels_of_the_project_and_its_offsets(server: Running) -> None:
    body = {
        "tasks": [task(1), task(2, "Nothing.")],
        "model_version": None,
        "project": "7.1650000000",
        "label_config": CONFIG,
        "params": {"login": None, "password": None, "context": None},
    }
    answer = server.post(f"{ROOT}/predict", body)
    assert answer.status == 200, answer.body
    first, second = answer.json["results"]
    assert answer.json["model_version"] == "tiny"
    assert {(item["value"]["text"], *item["value"]["labels"]) for item in first["result"]} >= {
        ("Metformin", "Chemical"),
        ("type 2 diabetes", "DISEASE"),
    }
    for item in first["result"]:
        assert (item["from_name"], item["to_name"], item["type"]) == ("label", "note", "labels")
        assert TEXT[item["value"]["start"] : item["value"]["end"]] == item["value"]["text"]
        assert 0 <= item["score"] <= 1
    assert 0 <= first["score"] <= 1
    assert second["result"] == []


def test_corrections_are_kept_changed_and_forgotten(server: Running, folder: Path) -> None:
    kept = folder / "project-7" / "tasks"
    assert server.post(f"{ROOT}/webhook", submitted(11, "Metformin", "Chemical")).status == 201
    assert server.post(f"{ROOT}/webhook", submitted(11, "aspirin", "Mood", "ANNOTATION_UPDATED")).status == 201
    (document,) = read_documents(kept / "11.json", "jsonl")
    assert [(item.type, item.text) for item in document.entities] == [("Mood", "aspirin")]
    assert server.post(f"{ROOT}/webhook", submitted(11, "aspirin", "Mood", "ANNOTATION_DELETED")).status == 201
    assert not (kept / "11.json").exists()
    ignored = server.post(f"{ROOT}/webhook", {"action": "PROJECT_UPDATED", "project": {"id": 7}})
    assert (ignored.status, ignored.json) == (200, {"status": "ignored"})


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("predict", {"tasks": [task(1)], "label_config": "<View/>"}, 422),
        ("predict", {"tasks": [task(1)], "label_config": "<!DOCTYPE a [<!ENTITY b 'c'>]><View>&b;"}, 422),
        ("predict", {"tasks": [{"id": 1, "data": {"text": SECRET}}], "label_config": CONFIG}, 422),
        ("predict", {"tasks": [task(1)], "label_config": CONFIG, "project": "../7"}, 422),
        ("predict", {"tasks": [task(1, SECRET * 6000)], "label_config": CONFIG}, 413),
        ("predict", {"tasks": [{"id": "../1", "data": {}}], "label_config": CONFIG}, 400),
        ("predict", {"tasks": [task(1)], "label_config": CONFIG.replace("Chemical", "A").replace("DISEASE", "B")}, 422),
        ("webhook", submitted(3, "aspirin", "Mood") | {"annotation": None}, 422),
        ("webhook", submitted(3, "aspirin", "Mood") | {"task": task(3, SECRET)}, 422),
        ("webhook", submitted(-3, "aspirin", "Mood"), 400),
        ("webhook", {"action": "START_TRAINING", "project": {"id": 99}}, 422),
        ("setup", {"project": "7", "schema": "<View>"}, 422),
    ],
)
def test_what_is_wrong_is_a_problem_without_text(server: Running, path: str, body: Any, status: int) -> None:
    answer = server.post(f"{ROOT}/{path}", body)
    assert answer.status == status, answer.body
    assert SECRET.encode() not in answer.body


def test_a_key_comes_as_the_password_of_basic_authentication(tiny_bundle: Path, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "studio")
    with running(tiny_bundle, keys=KeyFile(tmp_path / "keys"), label_studio=tmp_path) as server:
        assert server.get(f"{ROOT}/health").status == 401
        for password, status in ((key, 200), ("wrong", 401)):
            basic = base64.b64encode(f"user:{password}".encode()).decode()
            assert server.get(f"{ROOT}/health", Authorization=f"Basic {basic}").status == status
        assert server.get(f"{ROOT}/health", Authorization="Basic §".encode().decode("latin-1")).status == 401


@pytest.mark.slow
def test_training_runs_as_a_job_and_its_model_predicts(server: Running, folder: Path) -> None:
    pytest.importorskip("torch")
    for id in range(20, 26):
        assert server.post(f"{ROOT}/webhook", submitted(id, "aspirin", "Mood")).status == 201
    start = {"action": "START_TRAINING", "project": {"id": 7, "label_config": CONFIG}}
    assert server.post(f"{ROOT}/webhook", start).status == 201
    assert server.post(f"{ROOT}/webhook", start).status == 503
    end = time.monotonic() + 300
    while (state := server.get(f"{ROOT}/training").json)["state"] == "running" and time.monotonic() < end:
        time.sleep(0.5)
    assert state == {"state": "completed", "project": 7}, (folder / "project-7" / "training.log").read_text()
    body = {"tasks": [task(1)], "project": "7.1650000000", "label_config": CONFIG}
    answer = server.post(f"{ROOT}/predict", body, timeout=120).json
    assert answer["model_version"] == "project-7-run-1"
    assert {name for item in answer["results"][0]["result"] for name in item["value"]["labels"]} <= {"Mood"}
    assert json.dumps(answer)

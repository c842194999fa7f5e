"""Files read as they are, and two annotators compared, through the service."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from serve.conftest import Running
from serve.test_routes import SECRET

TEXT = "No gout, but asthma and fever."


def document(*mentions: tuple[int, int, str], **members: Any) -> dict[str, Any]:
    entities = [{"type": type, "spans": [[start, end]]} for start, end, type in mentions]
    return {"id": "1", "text": TEXT, "entities": entities} | members


def test_a_file_is_read_with_the_annotations_that_it_has_and_no_others(server: Running) -> None:
    lines = "\n".join([json.dumps(document((3, 7, "Disease"))), "{", json.dumps(document(id="2"))])
    answer = server.post("/v1/convert/file?name=a.jsonl", lines.encode()).json
    assert [len(item.get("entities", [])) for item in answer["documents"]] == [1, 0]
    assert answer["quarantined"][0]["position"] == "line 2"
    written = server.post("/v1/convert/file?name=a.jsonl&format=pubtator", lines.encode())
    assert b"\tgout\tDisease" in written.body
    assert written.headers["textome-quarantined-count"] == "1"


def test_two_annotators_are_compared(server: Running) -> None:
    first = [document((3, 7, "Disease"), (13, 19, "Disease")), document(id="only")]
    second = [document((3, 7, "Disease"), (13, 19, "Symptom"))]
    answer = server.post("/v1/compare", {"first": first, "second": second})
    assert answer.status == 200, answer.body
    assert answer.json["mentions"] == {"both": 1, "first_only": 1, "second_only": 1, "f1": 0.5}
    assert answer.json["types"]["Symptom"] == {"both": 0, "first_only": 0, "second_only": 1, "f1": 0.0}
    assert answer.json["missing"] == ["only"]
    assert answer.json["disagreements"] == [
        {"document": "1", "spans": [[13, 19]], "text": "asthma", "first": "Disease", "second": "Symptom"}
    ]
    assert answer.json["annotated_kappa"] == 0


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ([document()], [document(id="2")], 422),
        ([document()], [document(text=f"{SECRET} is another text")], 422),
        ([document((3, 99, "Disease"))], [document()], 422),
        ([document()], "many", 400),
        ([document()] * 5001, [document()], 413),
    ],
)
def test_what_cannot_be_compared_is_a_problem_without_text(
    server: Running, first: Any, second: Any, status: int
) -> None:
    answer = server.post("/v1/compare", {"first": first, "second": second})
    assert answer.status == status, answer.body
    assert SECRET.encode() not in answer.body


def test_long_names_of_many_types_stay_bounded(server: Running) -> None:
    """Types over every word, each of a long name: their names are not multiplied by the words."""
    text = "a " * 5000
    entities = [{"type": f"{number}{'x' * 10_000}", "spans": [[0, 10_000]]} for number in range(8)]
    body = {"first": [{"id": "1", "text": text, "entities": entities}], "second": [{"id": "1", "text": text}]}
    started = time.process_time()
    answer = server.post("/v1/compare", body)
    assert answer.status == 200
    assert len(answer.body) < 300_000
    assert time.process_time() - started < 5

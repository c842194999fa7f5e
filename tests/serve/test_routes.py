"""The service as a client sees it, over a real socket."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import logging
import socket
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from one_model import entities_of
from serve.conftest import Running, connected, running
from textome.documents import Document
from textome.formats import Source, read_documents
from textome.formats.jsonl import document_from
from textome.pipeline import Pipeline
from textome.serve.limits import Limits
from textome.serve.queueing import Settings

TEXT = "Metformin is given for type 2 diabetes. Patients with breast cancer took aspirin daily."
# A word that stands in the texts of requests that are refused; it may come back in no answer.
SECRET = "zebrafinch"


def citations(number: int, text: str = TEXT) -> bytes:
    articles = "".join(
        f"<PubmedArticle><MedlineCitation><PMID>{index}</PMID><Article><ArticleTitle>No gout was seen</ArticleTitle>"
        f"<Abstract><AbstractText>{text}</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>\n"
        for index in range(1, number + 1)
    )
    return f"<PubmedArticleSet>\n{articles}</PubmedArticleSet>".encode()


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Path) -> Pipeline:
    return entities_of(tiny_bundle, threads=1)


def spans(documents: Any) -> list[Any]:
    return [[(item.start, item.end, item.type, item.text) for item in document.entities] for document in documents]


def test_a_text_documents_and_bioc_give_what_the_annotator_gives(server: Running, annotator: Pipeline) -> None:
    expected = spans([annotator.annotate(TEXT)])
    for body in (
        {"text": TEXT},
        {"documents": [TEXT]},
        {"documents": [{"id": "7", "text": TEXT}]},
        {"bioc": {"documents": [{"id": "7", "passages": [{"offset": 0, "text": TEXT}]}]}},
    ):
        answer = server.post("/v1/annotate", body)
        assert answer.status == 200, answer.body
        assert answer.json["model"] == "tiny"
        assert spans(document_from(item, "1") for item in answer.json["documents"]) == expected


def test_types_confidence_and_old_annotations(server: Running) -> None:
    assert len(server.post("/v1/annotate", {"text": TEXT, "types": ["Chemical"]}).json["documents"][0]["entities"]) == 2
    assert "entities" not in server.post("/v1/annotate", {"text": TEXT, "min_confidence": 1}).json["documents"][0]
    old = {"text": TEXT, "entities": [{"id": "A", "type": "Word", "spans": [[0, 3]]}]}
    for replace, number in ((False, 5), (True, 4)):
        answer = server.post("/v1/annotate", {"documents": [old], "replace": replace})
        assert len(answer.json["documents"][0]["entities"]) == number


@pytest.mark.parametrize("format", ["jsonl", "bioc-json", "bioc-xml", "pubtator", "conll"])
def test_answers_in_every_format_read_the_same(server: Running, annotator: Pipeline, format: str) -> None:
    answer = server.post("/v1/annotate", {"documents": [{"id": "1", "text": TEXT}], "format": format})
    assert answer.status == 200
    assert "attachment" in answer.headers["content-disposition"]
    if format != "conll":  # which keeps words, not texts
        assert spans(read_documents(Source("a", data=answer.body), format)) == spans([annotator.annotate(TEXT)])


def test_brat_comes_as_an_archive_and_csv_as_rows(server: Running) -> None:
    packed = server.post("/v1/annotate", {"documents": [{"id": "n1", "text": TEXT}], "format": "brat"})
    with zipfile.ZipFile(io.BytesIO(packed.body)) as archive:
        assert sorted(archive.namelist()) == ["n1.ann", "n1.txt"]
        assert archive.read("n1.txt").decode() == TEXT
    rows = server.post("/v1/annotate", {"text": TEXT, "format": "csv"}).body.decode().splitlines()
    assert len(rows) == 5
    assert rows[1].startswith(",T1,0,9,Chemical,Metformin,0.")


def test_corrected_documents_are_written_in_other_formats(server: Running) -> None:
    entity = {"id": "T1", "type": "Drug", "spans": [[0, 9]]}
    answer = server.post(
        "/v1/convert", {"documents": [{"id": "1", "text": TEXT, "entities": [entity]}], "format": "pubtator"}
    )
    assert b"1\t0\t9\tMetformin\tDrug" in answer.body


def test_files_are_recognised_by_their_content(server: Running, annotator: Pipeline) -> None:
    expected = spans([annotator.annotate(TEXT)])
    for data in (TEXT.encode(), f"1|t|{TEXT}\n\n".encode(), json.dumps({"text": TEXT}).encode()):
        for packed in (data, gzip.compress(data), bz2.compress(data)):
            answer = server.post("/v1/annotate/file", packed)
            assert answer.status == 200, answer.body
            assert spans(document_from(item, "1") for item in answer.json["documents"]) == expected
    answer = server.post("/v1/annotate/file?types=Chemical&format=csv&min_confidence=0.1", citations(3))
    assert answer.body.count(b"Chemical") == 6


def test_bad_records_of_a_file_are_told_and_the_others_annotated(server: Running) -> None:
    data = b'{"text": "No gout was seen"}\n{"text": 5}\n{"entities": "zebrafinch"}\n'
    answer = server.post("/v1/annotate/file", data)
    assert len(answer.json["documents"]) == 1
    assert [item["position"] for item in answer.json["quarantined"]] == ["line 2", "line 3"]
    assert SECRET not in answer.body.decode()
    for format in ("jsonl", "csv", "bioc-xml", "pubtator"):
        answer = server.post(f"/v1/annotate/file?format={format}", data)
        assert answer.status == 200
        told = json.loads(answer.headers["textome-quarantined"])
        assert [item["position"] for item in told] == ["line 2", "line 3"]
        assert answer.headers["textome-quarantined-count"] == "2"
    wrong = server.post("/v1/annotate", {"text": 5})
    assert "expected a text" in wrong.json["detail"]


def test_ids_of_documents_are_read_as_in_json_lines(server: Running) -> None:
    items = [{"id": 12, "text": TEXT}, {"pmid": 34, "text": TEXT}, {"id": None, "text": TEXT}]
    answer = server.post("/v1/annotate", {"documents": items})
    assert [item["id"] for item in answer.json["documents"]] == ["12", "34", "3"]
    for wrong, pointer in (
        ({"id": "x" * 2000}, "id"),
        ({"id": [1]}, "id"),
        ({"id": {}}, "id"),
        ({"title": 5}, "title"),
    ):
        problem = server.post("/v1/annotate", {"documents": [{"text": TEXT} | wrong]}).json
        assert problem["pointer"] == f"/documents/0/{pointer}"


def test_pubmed_xml_streams_in_order(server: Running, annotator: Pipeline) -> None:
    data = citations(500)
    for body in (data, gzip.compress(data)):
        answer = server.post("/v1/annotate/pubmed-xml", body)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        documents = [document_from(line, "") for line in answer.lines]
        assert [document.id for document in documents] == [str(number) for number in range(1, 501)]
    assert spans(documents[:1]) == spans(annotator.annotate(read_documents(Source("a", data=citations(1)))))


def test_the_name_of_an_upload_tells_too(server: Running) -> None:
    data = b"text,text\nGout,Ague\n"
    assert server.post("/v1/annotate/file?name=notes/a.csv", data).status in (415, 422)
    answer = server.post("/v1/annotate/file?name=notes/a.tsv", b"text\tlabel\nGout\tA\n")
    assert [document["id"] for document in answer.json["documents"]] == ["a-1"]


def test_lines_come_back_before_the_upload_ends(tiny_bundle: Path) -> None:
    data = citations(600)
    with running(tiny_bundle, Limits(body_seconds=60)) as server, connected(server) as connection:
        head = f"POST /v1/annotate/pubmed-xml HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data[:-1000])
        received = b""
        while b'"id":"1"' not in received:  # the head and the lines may come together, or in pieces
            piece = connection.recv(65536)
            assert piece
            received += piece
        connection.sendall(data[-1000:])
        received = b""
        while b'"id":"600"' not in received[-5000:]:
            received = received[-5000:] + connection.recv(65536)


def test_a_client_that_reads_nothing_until_all_is_sent_does_not_stand_still(tiny_bundle: Path) -> None:
    data = citations(600, ("x" * 5000 + " ") * 4)  # more than the buffers of both ends hold, and little to compute
    with running(tiny_bundle, Limits(body_seconds=15)) as server:
        answer = server.post("/v1/annotate/pubmed-xml?types=Chemical", data, timeout=120)
    assert len(answer.lines) == 600


@pytest.mark.parametrize(
    ("data", "status", "last"),
    [
        (b"", 415, None),
        (b"no xml at all", 415, None),
        (b"<PubmedArticleSet></PubmedArticleSet>", 422, None),
        (b"<html></html>", 415, None),
        (citations(300)[:-5000] + b"<oops", 200, "quarantined"),
        (gzip.compress(citations(300))[:-50], 200, "quarantined"),
        (b"\x1f\x8bzebrafinch", 415, None),
        (b"<!DOCTYPE a [<!ENTITY x 'zebrafinch'>]><PubmedArticleSet>&x;</PubmedArticleSet>", 422, None),
    ],
    ids=["empty", "text", "no records", "html", "broken", "cut short", "damaged", "entities"],
)
def test_bad_uploads_of_pubmed_xml(server: Running, data: bytes, status: int, last: str | None) -> None:
    answer = server.post("/v1/annotate/pubmed-xml", data)
    assert (answer.status, SECRET in answer.body.decode()) == (status, False), answer.body
    if last:
        assert last in answer.lines[-1]
        assert len(answer.lines) > 100


def test_an_upload_that_stands_still_is_ended(server: Running) -> None:
    for path in ("/v1/annotate/pubmed-xml", "/v1/annotate"):
        with connected(server) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n<Pub".encode())
            assert b" 408 " in connection.recv(4096).split(b"\r\n")[0]


FAR_PASSAGES = [{"offset": number * 9_000_000, "text": "a"} for number in range(90)]
QUOTES = (
    b'{"documents": [{"text": "it\'s a zebrafinch", "entities": [{"type": "D", "spans": [[0, 4]], "text": "a\\"b"}]}]}'
)
NESTED = b'{"documents": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BAD_BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "no JSON": (b"zebrafinch", 400),
    "no object": (b"[]", 400),
    "NaN": (b'{"text": "zebrafinch", "min_confidence": NaN}', 400),
    "infinite": (b'{"text": "zebrafinch", "min_confidence": 1e999}', 400),
    "huge number": (b'{"text": "zebrafinch", "min_confidence": ' + b"9" * 200_000 + b"}", 400),
    "twice": (b'{"text": "zebrafinch", "text": "b"}', 400),
    "deep": (NESTED, 400),
    "deep, never closed": (b'{"documents": ' + b'[{"a":' * 40_000, 400),
    "no UTF-8": (b'{"text": "zebrafinch \xff"}', 400),
    "other member": (b'{"text": "zebrafinch", "other": "zebrafinch"}', 400),
    "two inputs": (b'{"text": "zebrafinch", "documents": []}', 400),
    "wrong type": (b'{"text": ["zebrafinch"]}', 400),
    "confidence": (b'{"text": "zebrafinch", "min_confidence": 1.5}', 400),
    "format": (b'{"text": "zebrafinch", "format": "zebrafinch"}', 400),
    "type": (b'{"text": "zebrafinch", "types": ["zebrafinch"]}', 422),
    "model": (b'{"text": "zebrafinch", "model": "zebrafinch"}', 404),
    "spans": (
        b'{"documents": [{"text": "a", "entities": [{"type": "D", "spans": [[0, 9]], "text": "zebrafinch"}]}]}',
        422,
    ),
    "its text": (QUOTES, 422),
    "gaps": (b'{"documents": [{"passages": [{"text": "a", "offset": 9000000}]}]}', 413),
    "too long": (json.dumps({"text": "zebrafinch " * 20_000}).encode(), 413),
    "too many": (json.dumps({"documents": [""] * 6000}).encode(), 413),
    "too large": (b" " * 400_000, 413),
    "BioC": (b'{"bioc": {"documents": [{"id": "1", "passages": ["zebrafinch"]}]}}', 422),
    "BioC gaps": (json.dumps({"bioc": {"documents": [{"passages": FAR_PASSAGES}]}}).encode(), 422),
    "many keys": (json.dumps({str(number): 1 for number in range(25_000)}).encode(), 400),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_bodies_are_answered_soon_without_their_text(server: Running, name: str) -> None:
    body, status = BAD_BODIES[name]
    started = time.monotonic()
    answer = server.post("/v1/annotate", body)
    assert answer.status == status, answer.body
    assert time.monotonic() - started < 5
    problem = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["type"].startswith("urn:textome:problem:")
    assert SECRET not in answer.body.decode()
    assert server.service.memory.used == 0


def test_bombs_are_not_unpacked(server: Running) -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    assert len(bomb) < 300_000
    assert server.post("/v1/annotate", bomb, content_encoding="gzip").status == 413
    for path in ("/v1/annotate/file", "/v1/annotate/file?from=plain"):
        assert server.post(path, bomb).status == 413
        assert server.post(path, bz2.compress(b" " * 20_000_000)).status == 413
        assert server.post(path, gzip.compress(bomb)).status == 415
    assert server.post("/v1/annotate", b"{}", content_encoding="br").status == 415
    assert server.post("/v1/annotate", gzip.compress(b'{"text": "a"}')[:-4], content_encoding="gzip").status == 400
    assert server.post("/v1/annotate", gzip.compress(b'{"text": "a"}'), content_encoding="gzip").status == 200


def test_a_body_of_unknown_length_is_bounded_too(server: Running) -> None:
    with connected(server) as connection:
        connection.sendall(b"POST /v1/annotate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):
                connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        except OSError:  # it hung up while we were still sending
            pass
        assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]


def test_every_answer_has_the_headers_of_safety(server: Running) -> None:
    for path in ("/", "/v1/models", "/nothing", "/healthz", "/v1/openapi.json"):
        headers = server.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert server.post("/v1/annotate", {"text": "a"}, Sec_Fetch_Site="cross-site").status == 403
    assert (
        server.get("/v1/models", Origin="https://elsewhere.example").headers.get("access-control-allow-origin") is None
    )


def test_unknown_places_and_methods_are_problems(server: Running) -> None:
    assert server.get("/v1/nothing").json["status"] == 404
    answer = server.get("/v1/annotate")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert server.post("/v1/annotate/file?min_confidence=2", b"a").json["status"] == 400
    assert server.post("/v1/annotate/file?from=zebrafinch", b"a").status == 400
    assert server.post("/v1/annotate/file?from=brat", b"a").status == 400
    assert server.post("/v1/annotate/file", b"T1\tDisease 0 4\tgout\n").status == 415
    assert server.get("/..%2f..%2fapp.py").status == 404


def test_another_host_name_is_refused_where_names_are_given(tiny_bundle: Path) -> None:
    with running(tiny_bundle, allowed_hosts=["localhost", "127.0.0.1"]) as server:
        assert server.get("/v1/models").status == 200
        for name, status in (("evil.example", 421), ("localhost:80", 200), ("LOCALHOST", 200), ("", 421)):
            assert server.get("/v1/models", Host=name).status == status
        assert server.get("/healthz", Host="10.0.0.1").status == 200


def test_a_full_queue_is_503_at_once(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tiny_bundle, settings=Settings(max_requests=1)) as server:
        opened = threading.Event()
        model = server.service.models["tiny"].model
        scores = model.scores
        monkeypatch.setattr(model, "scores", lambda *inputs: opened.wait(20) and scores(*inputs))
        first: list[Any] = []
        thread = threading.Thread(target=lambda: first.append(server.post("/v1/annotate", {"text": TEXT})))
        thread.start()
        while not server.service.models["tiny"].engine.requests:
            time.sleep(0.01)
        started = time.monotonic()
        answer = server.post("/v1/annotate", {"text": TEXT})
        assert (answer.status, time.monotonic() - started < 2) == (503, True)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        opened.set()
        thread.join()
        assert first[0].status == 200
        assert server.post("/v1/annotate", {"text": TEXT}).status == 200


def test_time_is_up_and_a_client_that_leaves_frees_its_work(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tiny_bundle, Limits(request_seconds=2.0)) as server:
        opened = threading.Event()
        engine = server.service.models["tiny"].engine
        model = server.service.models["tiny"].model
        scores = model.scores
        monkeypatch.setattr(model, "scores", lambda *inputs: opened.wait(20) and scores(*inputs))
        assert server.post("/v1/annotate", {"text": TEXT}).status == 504
        assert engine.requests == 0
        with connected(server) as connection:
            body = json.dumps({"documents": [TEXT] * 100}).encode()
            connection.sendall(
                b"POST /v1/annotate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            while not engine.requests:
                time.sleep(0.01)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        left = time.monotonic()
        while engine.requests:
            assert time.monotonic() - left < 1.8, "the work was kept until its time was up"
            time.sleep(0.01)
        assert server.service.memory.used == 0
        opened.set()


def test_a_mistake_of_ours_is_a_problem_and_the_log_holds_no_text(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "textome.serve"), running(tiny_bundle) as server:
        model = server.service.models["tiny"].model

        def wrong(*_: Any) -> Any:
            raise RuntimeError(f"mistake at {SECRET}")

        server.post("/v1/annotate", {"text": SECRET})
        monkeypatch.setattr(model, "scores", wrong)
        answer = server.post("/v1/annotate", {"text": SECRET})
        assert answer.status == 500
        assert answer.json["type"] == "urn:textome:problem:internal"
        assert SECRET not in answer.body.decode()
        monkeypatch.undo()
        assert server.post("/v1/annotate", {"text": SECRET}).status == 200
        assert SECRET not in server.get("/metrics").body.decode()
    assert SECRET not in caplog.text
    assert "RuntimeError in wrong:" in caplog.text


def test_health_readiness_metrics_and_models(server: Running) -> None:
    assert server.get("/healthz").body == b"ok\n"
    assert server.get("/readyz").body == b"ready\n"
    server.post("/v1/annotate", {"text": TEXT})
    text = server.get("/metrics").body.decode()
    assert 'textome_requests_total{method="POST",route="/v1/annotate",status="200"}' in text
    assert 'textome_documents_total{model="tiny"}' in text
    (model,) = server.get("/v1/models").json["models"]
    assert (model["name"], model["tasks"], model["types"]) == (
        "tiny",
        ["entities", "embeddings"],
        ["Disease", "Chemical"],
    )


def test_the_examples_of_the_openapi_document_work(server: Running) -> None:
    document = server.get("/v1/openapi.json").json
    content = document["paths"]["/v1/annotate"]["post"]["requestBody"]["content"]["application/json"]
    assert len(content["examples"]) == 3
    for example in content["examples"].values():
        assert server.post("/v1/annotate", example["value"]).status == 200


def test_documents_of_the_answer_are_right(server: Running) -> None:
    document = Document.from_text("\U0001f9ec asthma\u0301 and gout")
    answer = server.post("/v1/annotate", {"text": document.text})
    for item in document_from(answer.json["documents"][0], "").entities:
        assert document.text[item.start : item.end] == item.text


def test_citations_come_by_pmid_only_where_the_service_may_ask(server: Running, pubmed: Running) -> None:
    assert server.get("/v1/annotate/pmid/7").status == 404
    assert not server.get("/v1/models").json["pubmed"]
    assert pubmed.get("/v1/models").json["pubmed"]
    answer = pubmed.get("/v1/annotate/pmid/7?types=Disease")
    (document,) = (document_from(item, "1") for item in answer.json["documents"])
    assert document.id == "7"
    assert "type 2 diabetes" in {entity.text for entity in document.entities}
    assert all(document.text[entity.start : entity.end] == entity.text for entity in document.entities)


@pytest.mark.parametrize(("pmid", "status"), [("8", 502), ("9", 422), ("0", 400), ("7;id=8", 400), ("1" * 12, 400)])
def test_a_pmid_that_gives_nothing_is_a_problem(pubmed: Running, pmid: str, status: int) -> None:
    answer = pubmed.get(f"/v1/annotate/pmid/{pmid}")
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_pubmed_that_cannot_be_reached_is_a_problem(tiny_bundle: Path) -> None:
    with running(tiny_bundle, pubmed="http://127.0.0.1:9/efetch.fcgi") as alone:
        answer = alone.get("/v1/annotate/pmid/7")
    assert answer.status == 502
    assert "cannot be reached" in answer.json["detail"]


def test_what_a_file_passes_over_is_counted(server: Running) -> None:
    data = b'{"text": "No gout was seen"}\n{"text": "Skip this", "answer": "reject"}\n'
    answer = server.post("/v1/annotate/file", data)
    assert answer.json["passed_over"] == {"rejected by the annotator": 1}
    assert len(answer.json["documents"]) == 1
    answer = server.post("/v1/annotate/file?format=csv", data)
    assert json.loads(answer.headers["textome-passed-over"]) == {"rejected by the annotator": 1}
    nothing = server.post("/v1/annotate/file", data.splitlines()[1])
    assert nothing.status == 422
    assert "1 passed over, rejected by the annotator" in nothing.json["detail"]

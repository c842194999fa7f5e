"""Citations by number, from a server that imitates EFetch and Europe PMC: batches, failures, resumption, gaps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from typer.testing import CliRunner

from textome import citations
from textome.citations import Fetcher, read_numbers
from textome.cli.main import application
from textome.errors import InputError
from textome.formats import Quarantine, read_documents

ARTICLE = (
    "<PubmedArticle><MedlineCitation><PMID>{0}</PMID><Article><ArticleTitle>Gout {0}</ArticleTitle><Abstract>"
    "<AbstractText>Colchicine helped.</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>"
)
FULL = "<article><front><article-meta><title-group><article-title>Gout</article-title></title-group></article-meta>{}"


class Services(ThreadingHTTPServer):
    """What was asked, and what goes wrong next: an HTTP status, or "cut" for half an answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[list[str]] = []
        self.failures: list[int | str] = []
        self.keys: set[str] = set()

    @property
    def words(self) -> list[str]:
        address = f"http://127.0.0.1:{self.server_port}"
        return ["--e-utilities", f"{address}/efetch.fcgi", "--europe-pmc", f"{address}/rest"]


class Handler(BaseHTTPRequestHandler):
    server: Services

    def log_message(self, *words: Any) -> None:
        pass

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        numbers = form["id"][0].split(",")
        self.server.asked.append(numbers)
        self.server.keys.update(form.get("api_key", []))
        articles = "".join(ARTICLE.format(number) for number in numbers if not number.startswith("404"))
        self._answer(f"<PubmedArticleSet>{articles}</PubmedArticleSet>", 200)

    def do_GET(self) -> None:
        number = self.path.split("/")[2]
        self.server.asked.append([number])
        self._answer(FULL.format("</front></article>"), 404 if number == "PMC404" else 200)

    def _answer(self, text: str, status: int) -> None:
        failure = self.server.failures.pop(0) if self.server.failures else None
        body = text.encode()
        body = body[: len(body) // 2] if failure == "cut" else body
        self.send_response(failure if isinstance(failure, int) else status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setattr(citations, "BATCH", 2)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.delenv("NCBI_API_KEY", raising=False)
    with Services() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(services: Services, *words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(application(["fetch"]), ["fetch", *map(str, words), *services.words])
    return done.exit_code, str(done.exception) if isinstance(done.exception, InputError) else done.output


def test_a_list_becomes_one_file_that_annotates(services: Services, tmp_path: Path) -> None:
    listed = tmp_path / "pmids.txt"
    listed.write_text("11, PMID: 12\n13\n\n11;14\n15\n")
    services.failures = [503, "cut", 429]
    output = tmp_path / "citations.xml.gz"
    assert run(services, listed, "--output", output)[0] == 0
    assert [document.id for document in read_documents(output)] == ["11", "12", "13", "14", "15"]
    assert services.asked == [["11", "12"]] * 4 + [["13", "14"], ["15"]]
    assert [path.name for path in tmp_path.iterdir() if path != listed] == ["citations.xml.gz"]


def test_a_stopped_run_goes_on_and_what_is_missing_is_reported(services: Services, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    words = ("1", "2", "3", "4041", "PMC7", "PMC404", "--output", folder, "--retries", "1")
    services.failures = [200, 500, 500]
    code, message = run(services, *words)
    assert code == 1
    assert "2 times; start the same command again" in message
    services.asked.clear()
    code, output = run(services, *words)
    assert code == 1
    assert services.asked == [["3", "4041"], ["PMC7"], ["PMC404"]]
    assert "PMID 4041" in output
    assert "PMC404" in output
    assert sorted(path.name for path in folder.iterdir()) == [
        *("PMC7.nxml", "fetched.json", "pubmed-000001.xml", "pubmed-000002.xml"),
    ]
    (folder / "pubmed-000001.xml").unlink()  # what is gone is fetched again
    services.asked.clear()
    run(services, *words)
    assert services.asked[0] == ["1", "2"]


def test_a_file_fetched_again_takes_no_other_files_name(services: Services, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    words = ("1", "2", "3", "--output", folder)
    run(services, *words)
    (folder / "pubmed-000001.xml").unlink()
    assert run(services, *words)[0] == 0
    ids = sorted(document.id for path in folder.glob("*.xml") for document in read_documents(path))
    assert ids == ["1", "2", "3"]


def test_a_key_is_sent_and_quickens_the_rate(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (Fetcher().requests_per_second, Fetcher("k").requests_per_second) == (3, 10)
    monkeypatch.setenv("NCBI_API_KEY", "secret")
    assert run(services, "1", "--output", tmp_path / "one")[0] == 0
    assert services.keys == {"secret"}


def test_requests_keep_to_the_rate(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    fetcher = Fetcher(e_utilities=services.words[1])
    for _ in range(3):
        fetcher.citations(["1"])
    assert len(waits) == 2
    assert all(0.2 < wait <= 0.7 for wait in waits)


def test_what_is_no_number_is_told(services: Services, tmp_path: Path) -> None:
    listed = tmp_path / "pmids.txt"
    listed.write_text("11\nten\nPMC5\n")
    quarantine = Quarantine()
    assert read_numbers(["007", str(listed), "pmc9"], quarantine) == ["7", "11", "PMC5", "PMC9"]
    assert quarantine.count == 1
    with pytest.raises(InputError, match="no PMID, no PMCID, and no file"):
        read_numbers(["ten"], Quarantine())
    assert "give a folder" in run(services, "PMC5", "--output", tmp_path / "a.xml")[1]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "fetched.json").write_text("[1]")
    assert "no ledger" in run(services, "5", "--output", tmp_path / "folder")[1]
    services.failures = [400]
    assert "answered 400" in run(services, "5", "--output", tmp_path / "other")[1]

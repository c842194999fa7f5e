"""`textome serve` as a person starts and stops it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs pip install 'textome[serve]'")

COMMAND = [sys.executable, "-m", "textome.cli.main", "serve"]
TEXT = "Metformin is given for type 2 diabetes."


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


@contextmanager
def started(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = os.environ | variables
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.search(r"http://\S+", line)
        assert match, line + process.stderr.read()
        yield process, match[0]
    finally:
        process.kill()
        process.wait()


def annotate(url: str, documents: int = 1) -> int:
    body = json.dumps({"documents": [TEXT] * documents}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/annotate", body), timeout=60) as answer:
        return len(json.load(answer)["documents"])


def test_sigterm_finishes_what_is_in_flight_and_exits_0(tiny_bundle: Path) -> None:
    with started("--model", f"tiny={tiny_bundle}", "--threads", "1") as (process, url):
        assert annotate(url) == 1
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(annotate(url, 400))) for _ in range(4)]
        for thread in threads:
            thread.start()
        while "textome_queue_requests" not in (text := metrics(url)) or not re.search(
            r'textome_queue_requests{model="tiny"} 4', text
        ):
            assert any(thread.is_alive() for thread in threads)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert answers == [400] * 4
        assert process.wait(20) == 0


def test_sigterm_under_load_loses_no_request_that_was_sent_before(tiny_bundle: Path) -> None:
    """Sixteen connections that ask again and again; each keeps its connection, so that what it sends has been accepted."""
    asked: list[tuple[float, bool]] = []
    stopped = threading.Event()

    def ask(place: str) -> None:
        connection = http.client.HTTPConnection(place, timeout=60)
        while not stopped.is_set():
            sent = time.monotonic()
            try:
                connection.request("POST", "/v1/annotate", body)
                answer = connection.getresponse()
                whole = answer.status == 200 and len(json.loads(answer.read())["documents"]) == 3
            except (OSError, http.client.HTTPException):
                asked.append((sent, False))
                return
            asked.append((sent, whole))
            if answer.will_close:
                return

    body = json.dumps({"documents": [TEXT] * 3}).encode()
    with started("--model", f"tiny={tiny_bundle}", "--threads", "1") as (process, url):
        threads = [threading.Thread(target=ask, args=(url.removeprefix("http://"),)) for _ in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        signalled = time.monotonic()
        assert process.wait(30) == 0
        stopped.set()
        for thread in threads:
            thread.join()
    # What was on its way in the last moment may not have been read yet, so it was not accepted.
    before = [whole for sent, whole in asked if sent < signalled - 0.05]
    assert len(before) > 32
    assert all(before)


def metrics(url: str) -> str:
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        return str(answer.read().decode())


def test_another_address_needs_keys_or_a_word(tiny_bundle: Path, tmp_path: Path) -> None:
    done = run("--host", "0.0.0.0", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--keys" in done.stderr
    assert "--allow-anonymous" in done.stderr
    done = run("--keys", str(tmp_path / "keys"), "--add-key", "team")
    assert done.returncode == 0
    assert done.stdout.startswith("tx-")
    with started("--host", "0.0.0.0", "--model", str(tiny_bundle), "--keys", str(tmp_path / "keys")) as (_, url):
        url = url.replace("0.0.0.0", "127.0.0.1")
        request = urllib.request.Request(f"{url}/v1/models", headers={"X-Api-Key": done.stdout.strip()})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["models"][0]["name"] == "bundle"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "/nowhere"], 2, "no such model directory"),
        (["--model", "a=/nowhere", "--model", "a=/there"], 2, "already"),
        (["--keys", "/nowhere/keys"], 2, "cannot be read"),
        (["--add-key", "a"], 2, "--keys"),
        (["--workers", "2", "--threads", "2"], 2, "leave --threads out"),
        (["--host", "no.such.host.invalid", "--allow-anonymous"], 2, "cannot listen"),
    ],
)
def test_wrong_options_are_one_sentence(arguments: list[str], code: int, message: str) -> None:
    done = run("--port", "0", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_its_packages_the_message_gives_the_command(tmp_path: Path) -> None:
    program = "import sys; sys.modules['fastapi'] = None\nfrom textome.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "serve"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "pip install 'textome[serve]'" in done.stderr


forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="several workers need a Unix system")


@contextmanager
def working(bundle: Path, number: int) -> Iterator[tuple[subprocess.Popen[str], str, Callable[[], list[int]]]]:
    """A service of several workers, its address, and what tells the processes of its workers."""
    with started("--model", f"tiny={bundle}", "--workers", str(number), "--quiet") as (process, url):

        def children() -> list[int]:
            listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
            return [int(pid) for pid in listed.stdout.split()]

        wait_for(lambda: len(children()) == number and is_ready(url))
        yield process, url, children


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@forking
def test_workers_answer_at_one_address_and_count_together(tiny_bundle: Path) -> None:
    with working(tiny_bundle, 2) as (process, url, children):
        assert all(annotate(url) == 1 for _ in range(20))
        # The other worker leaves its counts once a second.
        wait_for(lambda: 'textome_documents_total{model="tiny"} 20.0' in metrics(url))
        assert 'textome_requests_total{method="POST",route="/v1/annotate",status="200"} 20.0' in metrics(url)
        found = children()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in found)


@forking
def test_a_worker_that_dies_is_replaced(tiny_bundle: Path) -> None:
    with working(tiny_bundle, 2) as (process, url, children):
        before = children()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: len(children()) == 2 and before[0] not in children())
        wait_for(lambda: all(is_ready(url) for _ in range(10)))
        assert all(annotate(url) == 1 for _ in range(10))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@forking
def test_workers_finish_what_is_in_flight_at_sigterm(tiny_bundle: Path) -> None:
    with working(tiny_bundle, 2) as (process, url, _):
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(annotate(url, 400))) for _ in range(6)]
        for thread in threads:
            thread.start()
        # A fast machine has answered some before the last one came.
        wait_for(lambda: waiting(url) + len(answers) >= 6)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert answers == [400] * 6
        assert process.wait(20) == 0


def waiting(url: str) -> float:
    found = re.search(r'textome_queue_requests{model="tiny"} (\S+)', metrics(url))
    return float(found[1]) if found else 0.0


@forking
def test_workers_end_with_their_parent(tiny_bundle: Path) -> None:
    with working(tiny_bundle, 2) as (process, _, children):
        found = children()
        process.kill()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found))


def test_options_stand_in_the_environment_and_the_log_is_json(tiny_bundle: Path) -> None:
    variables = {
        "TEXTOME_SERVE_MODEL": f"first={tiny_bundle} second={tiny_bundle}",
        "TEXTOME_SERVE_MAX_CHARACTERS": "20",
        "TEXTOME_SERVE_LOG_FORMAT": "json",
        "TEXTOME_SERVE_THREADS": "1",
        "TEXTOME_SERVE_WITHOUT": "linking context",
    }
    with started("--max-body", "1000", **variables) as (process, url):
        with urllib.request.urlopen(f"{url}/v1/models", timeout=60) as answer:
            assert [item["name"] for item in json.load(answer)["models"]] == ["first", "second"]
            assert answer.headers["x-request-id"]
        with pytest.raises(urllib.error.HTTPError, match="413"):
            annotate(url)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert [line.get("status") for line in lines] == [200, 413, None]
        assert process.wait(60) == 0


def test_a_wrong_or_unknown_variable_is_named() -> None:
    wrong = run(env=os.environ | {"TEXTOME_SERVE_PORT": "many", "TEXTOME_SERVE_PROT": "1", "COLUMNS": "200"})
    assert wrong.returncode == 2
    assert "TEXTOME_SERVE_PORT" in wrong.stderr
    assert "TEXTOME_SERVE_PROT belongs to no option of textome serve" in wrong.stderr

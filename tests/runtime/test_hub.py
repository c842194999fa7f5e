"""Bundles pushed to and pulled from a server that imitates the hub: commits, large files, trees and downloads."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from typer.testing import CliRunner

import textome
from textome.cli.main import application
from textome.errors import InputError, ModelError
from textome.runtime.hub import pull, push, with_head

COMMIT = "1" * 40
LARGE = (".safetensors", ".onnx")


class Hub(ThreadingHTTPServer):
    """One repository: its files, what was asked, and the token that it wants."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.private: bool | None = None
        self.message = ""
        self.token = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        pass

    def do_POST(self) -> None:
        body, path = self._body(), urlsplit(self.path).path
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self._json({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            asked = json.loads(body)
            self.server.private = asked.get("private") or asked.get("visibility") == "private"
            return self._json({"url": f"{self.server.address}/mylab/tiny"})
        if "/preupload/" in path:
            names = [item["path"] for item in json.loads(body)["files"]]
            modes = [
                {"path": name, "uploadMode": "lfs" if name.endswith(LARGE) else "regular", "shouldIgnore": False}
                for name in names
            ]
            return self._json({"files": modes})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                item | {"actions": {"upload": {"href": f"{self.server.address}/blobs/{item['oid']}"}}}
                for item in json.loads(body)["objects"]
            ]
            return self._json({"transfer": "basic", "objects": objects})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        assert "/commit/" in path
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self.server.message = value["summary"]
            elif entry["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            else:
                self.server.files[value["path"]] = self.server.blobs[value["oid"]]
        address = f"{self.server.address}/mylab/tiny/commit/{COMMIT}"
        return self._json({"commitUrl": address, "commitOid": COMMIT, "success": True})

    def do_PUT(self) -> None:
        data = self._body()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(data).hexdigest() == oid
        self.server.blobs[oid] = data
        self._json({})

    def do_HEAD(self) -> None:
        self._file()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/api/models/mylab/tiny"):
            names = [{"rfilename": name} for name in self.server.files]
            if "/tree/" in path:
                files = self.server.files.items()
                rows = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in files]
                return self._json(rows)
            return self._json({"id": "mylab/tiny", "sha": COMMIT, "siblings": names, "private": False})
        return self._file()

    def _file(self) -> None:
        name = unquote(urlsplit(self.path).path).partition("/resolve/")[2].partition("/")[2]
        if name not in self.server.files:
            return self._json({"error": "not there"}, 404, {"X-Error-Code": "RepoNotFound"})
        data = self.server.files[name]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        return self._send(data, 200, headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between retries
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # large files go by LFS, as to older hubs
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(application(), [*map(str, words)])
    assert done.exit_code == 0, done.output + str(done.exception)
    return done.stdout


def test_a_bundle_goes_up_and_comes_down_again(hub: Hub, tiny_bundle: Path, tmp_path: Path) -> None:
    words = ["--endpoint", hub.address, "--private", "--licence", "apache-2.0", "--message", "First"]
    assert run("push", tiny_bundle, "mylab/tiny", *words) == f"{hub.address}/mylab/tiny/commit/{COMMIT}\n"
    assert (hub.private, hub.message) == (True, "First")
    card = hub.files["README.md"].decode()
    assert card.startswith("---\n")
    assert "license: apache-2.0" in card
    assert "library_name: textome" in card
    assert card.endswith((tiny_bundle / "README.md").read_text().partition("---\n")[2].partition("---\n")[2])
    assert all(Path(name).suffix in (".json", ".md", ".onnx", ".safetensors", ".txt") for name in hub.files)

    hub.files |= {"pytorch_model.bin": b"pickle", "run.py": b"print(1)"}
    output = tmp_path / "models" / "tiny"
    assert run("pull", "mylab/tiny", "--output", output, "--endpoint", hub.address) == f"{output}\n"
    assert sorted(path.name for path in output.iterdir()) == sorted({*hub.files} - {"pytorch_model.bin", "run.py"})
    text = "Aspirin is given for gout ."
    assert textome.load(output)(text).entities == textome.load(tiny_bundle)(text).entities


def test_a_folder_that_is_there_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is there already"):
        pull("mylab/tiny", tmp_path, endpoint=hub.address)


def test_what_the_hub_refuses_is_one_sentence(hub: Hub, tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mylab/other: the hub did not give it .*check the name"):
        pull("mylab/other", tmp_path / "other", endpoint=hub.address)
    assert not (tmp_path / "other").exists()
    hub.token = "secret"
    with pytest.raises(ModelError, match=r"did not take the model .*HF_TOKEN"):
        push(tiny_bundle, "mylab/tiny", {}, endpoint=hub.address)
    assert hub.files == {}


def test_a_hub_that_is_not_there_is_one_sentence(tiny_bundle: Path, hub: Hub) -> None:
    with pytest.raises(ModelError, match="the hub did not take the model"):
        push(tiny_bundle, "mylab/tiny", {}, endpoint="http://127.0.0.1:1")
    with pytest.raises(ModelError, match="the hub did not take the model"):
        push(tiny_bundle, "no name at all!", {}, endpoint=hub.address)


def test_a_card_keeps_what_it_says() -> None:
    card = with_head("---\nlicense: mit\n---\n# A\n", {"license": "apache-2.0", "library_name": "textome"})
    assert "license: mit" in card
    assert "library_name: textome" in card
    assert with_head("# A\n", {"library_name": "textome"}).startswith("---\nlibrary_name: textome\n---\n")

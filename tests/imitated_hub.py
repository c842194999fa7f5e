"""A server that imitates a hub of models: commits, large files, trees and downloads of one repository."""

from __future__ import annotations

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

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

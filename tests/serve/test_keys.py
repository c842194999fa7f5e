"""Who may come in: keys, their revocation without a restart, and how often."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from serve.conftest import running
from textome.errors import InputError
from textome.serve.keys import KeyFile, RateLimiter, add_key, read_keys


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_found_by_its_hash_only(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first, second = add_key(path, "team-a"), add_key(path, "team-b")
    keys = KeyFile(path)
    assert (keys.find(first).name, keys.find(second).name) == ("team-a", "team-b")  # type: ignore[union-attr]
    assert keys.find("tx-other") is None
    assert keys.find("") is None
    assert keys.find("\udcff") is None
    text = path.read_text()
    assert first not in text
    assert second not in text
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="already"):
        add_key(path, "team-a")
    with pytest.raises(InputError, match="letters"):
        add_key(path, "team a")
    assert path.read_text() == text


def test_a_revoked_key_is_refused_within_a_second(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys", Clock()
    first, second = add_key(path, "a"), add_key(path, "b")
    keys = KeyFile(path, clock)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("a ")))
    clock.now = 1.5
    assert keys.find(first) is None
    assert keys.find(second) is not None


@pytest.mark.parametrize("content", [None, "a sha256:zz\n", "b\n"])
def test_a_file_that_cannot_be_read_lets_nobody_in(tmp_path: Path, content: str | None) -> None:
    path, clock = tmp_path / "keys", Clock()
    key = add_key(path, "a")
    good = path.read_text()
    keys = KeyFile(path, clock)
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    clock.now = 2
    assert keys.find(key) is None
    assert str(path) in keys.problem
    path.write_text(good)
    clock.now = 4
    assert keys.find(key) is not None
    assert keys.problem == ""


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    for lines, message in (("# c\n\nx y", "line 3"), (f"a sha256:{'0' * 64}\n" * 2, "twice")):
        path.write_text(lines)
        with pytest.raises(InputError, match=message):
            read_keys(path)
    with pytest.raises(InputError, match="--add-key"):
        KeyFile(tmp_path / "none")


def test_the_rate_is_kept_on_the_long_run() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    allowed = 0
    for step in range(1000):
        clock.now = step / 100
        allowed += limiter.wait("a") == 0
    assert allowed == pytest.approx(10 * 10 + 20, abs=2)
    assert limiter.wait("b") == 0
    assert all(RateLimiter(0, clock).wait("a") == 0 for _ in range(100))
    slow = RateLimiter(0.5, clock)
    assert slow.wait("a") == 0
    assert slow.wait("a") == pytest.approx(2)


def test_the_service_asks_for_a_key(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key, slow = add_key(path, "team"), add_key(path, "slow")
    path.write_text(path.read_text().rstrip() + " 0.4\n")
    with running(tiny_bundle, keys=KeyFile(path)) as server:
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {key}"}, {"X-Api-Key": "é"}):
            answer = server.post("/v1/annotate", {"text": "no gout"}, **headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
        for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": f"bearer {key}"}, {"X-Api-Key": key}):
            assert server.post("/v1/annotate", {"text": "no gout"}, **headers).status == 200
        for place, status in (("/metrics", 401), ("/v1/openapi.json", 401), ("/", 200), ("/healthz", 200)):
            assert server.get(place).status == status
        assert [server.get("/v1/models", X_Api_Key=slow).status for _ in range(2)] == [200, 429]
        answer = server.get("/v1/models", X_Api_Key=slow)
        assert 1 <= int(answer.headers["retry-after"]) <= 3
        path.write_text(path.read_text().replace("team ", "# team "))
        time.sleep(1.1)
        assert server.get("/v1/models", X_Api_Key=key).status == 401

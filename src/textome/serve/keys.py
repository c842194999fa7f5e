"""API keys: several, hashed at rest, compared in constant time, read again when their file changes.

The file has a line for each key, `NAME HASH [requests per second]`, for instance

    curation-team sha256:6f2c...e1 20

and lines that begin with # are comments. A key is 32 random bytes, so a plain SHA-256 of it cannot be reversed by trying.
A key whose line is taken away is refused within a second, without a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textome.errors import InputError
from textome.formats.reading.sources import atomic_file

_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.@-]{0,63})\s+sha256:(?P<hash>[0-9a-f]{64})(?:\s+(?P<rate>\d{1,6}(?:\.\d+)?))?"
)
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True, slots=True)
class Key:
    """`rate` is in requests a second; None is the service's own default."""

    name: str
    digest: bytes
    rate: float | None = None


class KeyFile:
    """The keys of a file as it is now.

    Raises InputError where the file cannot be read when the service starts. Later an unreadable file lets nobody in, as
    its keys may have been revoked; `problem` then says why.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.problem = ""
        self._clock = clock
        self._looked = clock()
        self._state = self._stat()
        self._keys = read_keys(path)

    def find(self, token: str) -> Key | None:
        """The key that `token` is, if any. All keys are compared, each in constant time."""
        self._refresh()
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        match = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                match = key
        return match

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        if (state := self._stat()) == self._state and not self.problem:
            return
        self._state = state
        try:
            self._keys = read_keys(self.path)
            self.problem = ""
        except InputError as error:
            self._keys = []
            self.problem = str(error)

    def _stat(self) -> tuple[int, ...]:
        try:
            status = self.path.stat()
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_size, status.st_ino


def read_keys(path: Path) -> list[Key]:
    """The keys of a file. Raises InputError that names the line which is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: the keys cannot be read ({error}); make one with: textome serve --keys {path} --add-key NAME"
        ) from error
    keys: list[Key] = []
    for number, line in enumerate(lines, 1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        if (match := _LINE.fullmatch(line)) is None:
            raise InputError(f"{path}, line {number}: expected NAME sha256:HASH [RATE]; see docs/guides/serve.md")
        if match["name"] in {key.name for key in keys}:
            raise InputError(f"{path}, line {number}: the name {match['name']!r} is given twice")
        rate = float(match["rate"]) if match["rate"] else None
        keys.append(Key(match["name"], bytes.fromhex(match["hash"]), rate))
    return keys


def add_key(path: Path, name: str) -> str:
    """Make a key, append its hash to the file, and return the key itself, which is kept nowhere."""
    known = (
        path.read_text(encoding="utf-8") if path.exists() else "# API keys of `textome serve`: docs/guides/serve.md\n"
    )
    if path.exists() and name in {key.name for key in read_keys(path)}:
        raise InputError(f"{path}: there is a key {name!r} already; take its line away first, or choose another name")
    token = f"tx-{secrets.token_urlsafe(32)}"
    line = f"{name} sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    if _LINE.fullmatch(line) is None:
        raise InputError(f"--add-key {name}: a name has letters, digits, and . _ @ - (at most 64)")
    with atomic_file(path) as stream:
        stream.write(f"{known.rstrip()}\n{line}\n".encode())
    path.chmod(0o600)
    return token


class RateLimiter:
    """A token bucket for each name: `rate` requests a second on the long run, and a burst of two seconds' worth."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, rate: float | None = None) -> float:
        """0 where a request of `name` may go on, otherwise in how many seconds the next may."""
        rate = self._rate if rate is None else rate
        if rate <= 0:
            return 0.0
        burst = max(1.0, 2 * rate)
        now = self._clock()
        tokens, last = self._buckets.get(name, (burst, now))
        tokens = min(burst, tokens + (now - last) * rate)
        allowed = tokens >= 1
        self._buckets[name] = (tokens - 1 if allowed else tokens, now)
        return 0.0 if allowed else (1 - tokens) / rate

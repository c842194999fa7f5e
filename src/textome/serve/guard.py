"""Around every request: who may come in, the headers of every answer, errors as problems, and one line of log."""

from __future__ import annotations

import base64
import logging
import math
import time
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any

from textome.serve.keys import KeyFile, RateLimiter
from textome.serve.logs import HEADER, id_of, request_id
from textome.serve.metrics import Metrics
from textome.serve.problems import MEDIA_TYPE, Problem, bad_request, internal

log = logging.getLogger("textome.serve")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Nothing but what this service itself serves: no inline script or style, no other host, no frame, no form.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
# What needs no key: the page asks for one, and probes have none.
_OPEN = ("/healthz", "/readyz")
_PROTECTED = ("/v1/", "/metrics")


class Guard:
    """ASGI middleware.

    keys            who may use the service; None lets everybody in
    allowed_hosts   names that a request's Host may be, against pages elsewhere that point their own name here (DNS
                    rebinding); empty allows all
    """

    def __init__(
        self,
        app: App,
        *,
        metrics: Metrics,
        keys: KeyFile | None,
        limiter: RateLimiter,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self._app = app
        self.metrics = metrics
        self._keys = keys
        self._limiter = limiter
        self._allowed_hosts = {name.lower() for name in allowed_hosts}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        name = ""
        headers = {key: value.decode("latin-1") for key, value in reversed(scope["headers"])}
        id = id_of(headers.get(HEADER, ""))
        request_id.set(id)
        two_lengths = b"content-length" in headers and b"transfer-encoding" in headers

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER, id.encode())]
                names = {key for key, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(item for item in HEADERS if item[0] not in names)]
                if b"cache-control" not in names:
                    message["headers"].append((b"cache-control", b"no-store"))
                if status == 408 or two_lengths:  # where the body ends is not known, or it may never come
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            name = self._admit(scope["path"], headers)
            await self._app(scope, receive, answer)
        except Problem as problem:
            await send_problem(problem, answer)
        except Exception as error:
            # Not the error's own text: it may hold a document's. The places in the code are enough to find it.
            frames = " < ".join(
                f"{item.name}:{item.lineno}" for item in reversed(traceback.extract_tb(error.__traceback__))
            )
            log.error("%s in %s", type(error).__name__, frames)
            if not status:
                await send_problem(internal(), answer)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD", "OPTIONS") else "other"
            self.metrics.requests.labels(route, method, str(status or 499)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            if route not in _OPEN:
                milliseconds = round(1000 * seconds, 1)
                fields = {"method": method, "route": route, "status": status or 499, "milliseconds": milliseconds}
                log.info(
                    "%s %s %d %.1f ms%s",
                    *fields.values(),
                    f" {name}" if name else "",
                    extra={"fields": fields | ({"key": name} if name else {})},
                )

    def _admit(self, path: str, headers: Mapping[bytes, str]) -> str:
        """The name of the request's key. Raises Problem where it may not come in."""
        if b"content-length" in headers and b"transfer-encoding" in headers:
            # A proxy in front may believe the other one, and take the rest of the body for another client's request.
            raise bad_request("the request has both Content-Length and Transfer-Encoding; send one of them")
        if path in _OPEN:
            return ""
        if self._allowed_hosts and _host(headers.get(b"host", "")) not in self._allowed_hosts:
            raise Problem(
                421,
                "wrong-host",
                "This service has another name",
                "the request's Host is none that this service answers to; start it with --allowed-host NAME to add one",
            )
        if not path.startswith(_PROTECTED):
            return ""
        if self._is_foreign(headers):
            raise Problem(
                403,
                "cross-site",
                "Not from another site",
                "pages of other sites may not use this service from a browser",
            )
        name, rate = "", None
        if self._keys is not None:
            key = self._keys.find(_token(headers))
            if key is None:
                if self._keys.problem:
                    log.error("no key is accepted: %s", self._keys.problem)
                raise Problem(
                    401,
                    "no-key",
                    "An API key is needed",
                    "send a key of this service, as the header Authorization: Bearer KEY",
                    {"WWW-Authenticate": 'Bearer realm="textome"'},
                )
            name, rate = key.name, key.rate
        if (wait := self._limiter.wait(name, rate)) > 0:
            seconds = math.ceil(wait)
            raise Problem(
                429,
                "too-many-requests",
                "Too many requests",
                f"this key has used up its requests; try again in {seconds} s, or send more documents in one request",
                {"Retry-After": str(seconds)},
                retry_after=seconds,
            )
        return name

    def _is_foreign(self, headers: Mapping[bytes, str]) -> bool:
        """Does a page of another site ask? Browsers say so; programs send neither of these headers."""
        if site := headers.get(b"sec-fetch-site", ""):
            return site not in ("same-origin", "none")
        if not (origin := headers.get(b"origin", "")):
            return False
        scheme, _, address = origin.lower().strip().partition("://")
        port = {"http": ":80", "https": ":443"}.get(scheme, "")
        own = headers.get(b"host", "").strip().lower()
        return not address or address.removesuffix(port) != own.removesuffix(port)


async def send_problem(problem: Problem, send: Send) -> None:
    """Answer with a problem document."""
    body = problem.body()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((key.lower().encode(), value.encode()) for key, value in problem.headers.items()),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _token(headers: Mapping[bytes, str]) -> str:
    """A request's key: a bearer token, the password of basic authentication (as Label Studio sends it), or X-Api-Key."""
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(token.strip(), validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return token.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "")


def _host(value: str) -> str:
    """The name in a Host header, without its port."""
    value = value.strip().lower()
    if value.startswith("["):
        return value.partition("]")[0] + "]"
    return value.rpartition(":")[0] if ":" in value else value

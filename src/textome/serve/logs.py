"""The log: a line on standard error for each request, as text or JSON, with its id and without any text of documents."""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime

HEADER = b"x-request-id"
# The id of the request in work; empty outside requests. Tasks and threads of a request inherit it.
request_id: ContextVar[str] = ContextVar("request_id", default="")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOGGERS = ("textome.serve", "uvicorn")


def id_of(header: str) -> str:
    """The id that a client or a proxy gives a request; a new one where it gives none, or one that is not a safe word."""
    return header if _ID.fullmatch(header) else uuid.uuid4().hex


class _Ids(logging.Filter):
    """Gives every record the id of the request that it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        request = getattr(record, "request_id", "")
        return f"{line} [{request}]" if request else line


class JsonFormatter(logging.Formatter):
    """A JSON object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, `request_id` where there is one, and the
    members of `fields` that a record brings: of a request its `method`, `route`, `status`, `milliseconds` and `key`."""

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if id := getattr(record, "request_id", ""):
            members["request_id"] = id
        members |= getattr(record, "fields", {})
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=True)


def log_to_stderr(quiet: bool, format: str = "text") -> None:
    """Log to standard error; `quiet` leaves out those of requests. `format` is text or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Ids())
    handler.setFormatter(JsonFormatter() if format == "json" else _Text("%(asctime)s %(levelname)s %(message)s"))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.WARNING if quiet or name == "uvicorn" else logging.INFO)
        logger.propagate = False


def announce(message: str) -> None:
    """A line about the service itself, also where it is quiet."""
    logger = logging.getLogger(_LOGGERS[0])
    logger.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, message, (), None))

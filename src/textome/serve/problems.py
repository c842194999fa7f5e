"""Errors as RFC 9457 problem documents that say what to do, and never repeat a document's text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from textome.errors import TextomeError

MEDIA_TYPE = "application/problem+json"
# Quoted words of our own messages that are not part of a document.
_KNOWN = (
    "abstract|annotations|arguments|attributes|bioc|confidence|curie|documents|entities|flat|format|id|identifiers|infons|"
    "label|labels|length|locations|metadata|min_confidence|model|name|nodes|offset|passages|relations|replace|score|scores|"
    "section|sentences|span|spans|task|text|title|type|types"
)
_KNOWN_QUOTED = re.compile(rf"(['\"])({_KNOWN})\1")
# A string as Python shows it; an apostrophe inside a word begins none.
_QUOTED = re.compile(r"(?<!\w)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", re.DOTALL)
_LEFT_OVER = re.compile(r"['\"].*['\"]|\".*|(?<!\w)'.*", re.DOTALL)
# Characters of a message in which quoted text is looked for.
_MAX_CHARACTERS = 2100


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An answer other than 2xx.

    kind     what went wrong, as the last part of the problem's type: `urn:textome:problem:queue-full`
    detail   one sentence: what, where, what to do
    """

    def __init__(
        self, status: int, kind: str, title: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def document(self) -> dict[str, Any]:
        """The members of the problem document."""
        return {
            "type": f"urn:textome:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        } | self.members

    def body(self) -> bytes:
        # A detail may quote half of a surrogate pair, for a byte that was not UTF-8.
        return json.dumps(self.document(), ensure_ascii=False).encode("utf-8", errors="replace")


def bad_request(detail: str, **members: Any) -> Problem:
    return Problem(400, "bad-request", "The request is not understood", detail, **members)


def inconsistent(detail: str, **members: Any) -> Problem:
    return Problem(422, "inconsistent-document", "A document contradicts itself", detail, **members)


def too_large(detail: str) -> Problem:
    return Problem(413, "too-large", "The request is too large", detail)


def unsupported(detail: str, **members: Any) -> Problem:
    return Problem(415, "unsupported-content", "The content is not of a kind that is read here", detail, **members)


def overloaded(seconds: int, detail: str) -> Problem:
    headers = {"Retry-After": str(seconds)}
    return Problem(503, "queue-full", "The service is busy", detail, headers, retry_after=seconds)


def too_slow(seconds: float) -> Problem:
    detail = f"not done within {seconds:g} s; send fewer documents, or try when it is calmer"
    return Problem(504, "deadline", "The request took too long", detail)


def internal() -> Problem:
    return Problem(
        500,
        "internal",
        "Something went wrong here",
        "the service made a mistake, which is in its log; the same request may work later",
    )


def without_text(error: TextomeError) -> str:
    """The sentence of an error about a document, without what it quotes of it.

    Errors of the formats show in quotation marks what they found; that goes, but for the names of members. Where the
    quotation marks do not pair, all from the first of them goes.
    """
    text = _KNOWN_QUOTED.sub(r"`\2`", str(error)[:_MAX_CHARACTERS])
    return _LEFT_OVER.sub("…", _QUOTED.sub("…", text))[:500]

"""What a request may be at most, and reading its body and its JSON within that: in bounded time and memory."""

from __future__ import annotations

import asyncio
import bz2
import lzma
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from textome.errors import InputError
from textome.formats.reading.json_values import parse_json
from textome.serve.problems import Problem, bad_request, overloaded, too_large, too_slow, unsupported, without_text
from textome.serve.processes.memory import LARGE, Trimming

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"?')
_SLICE = 1 << 20
_BRACKET = re.compile(rb"[\[\]{}]")
# What each document of an XML file ends with: readers free one before they read the next.
_RECORD_ENDS = {
    "pubmed-xml": b"</PubmedArticle>",
    "jats": b"</article>",
    "bioc-xml": b"</document>",
    "ddi-xml": b"</document>",
}
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request.

    body_bytes       of the body as sent, and of it unpacked; a streamed upload has `stream_bytes`, unpacked
    memory_bytes     of the bodies of all requests in work
    values           of JSON, of which a fourth may be objects; tags of a document in XML; lines of other formats, and
                     fewer where a line takes more memory
    sentences        ends of sentences and lines in all documents: each sentence takes memory, however short
    documents        of one request, and `characters` of all of them with the gaps between passages
    annotations      entities and relations of one request; the entities that they have and name, each from its beginning
                     to its end, have at most `characters`, too
    nesting          levels of JSON
    body_seconds     for the whole body to arrive; a streamed upload: from one piece to the next
    request_seconds  from the body's arrival to the answer, whatever the request is made of; a streamed upload: for each
                     group of documents
    """

    body_bytes: int = 16 * _MEBIBYTE
    memory_bytes: int = 256 * _MEBIBYTE
    stream_bytes: int = 2048 * _MEBIBYTE
    values: int = 300_000
    sentences: int = 100_000
    documents: int = 5000
    characters: int = 1_000_000
    annotations: int = 30_000
    nesting: int = 32
    body_seconds: float = 30.0
    request_seconds: float = 60.0


class Incoming(Protocol):
    """What is needed of a request here; Starlette's `Request` is one."""

    @property
    def headers(self) -> Any: ...
    def stream(self) -> AsyncIterator[bytes]: ...


class Memory:
    """The bytes of all bodies in work, bounded. One for a service; used from its event loop only."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._trimming = Trimming()

    def take(self, size: int) -> None:
        if self.used + size > self.limit:
            raise overloaded(1, "the requests in work fill the memory that is set aside for them; try again in 1 s")
        self.used += size

    def give(self, size: int) -> None:
        self.used -= size
        if size >= LARGE:
            self._trimming.plan()


class Body:
    """A request's body, whole and unpacked, while it is in use: `async with Body(...) as data`.

    What is done with it there has `request_seconds`; then the answer is a problem (504), whatever a thread still does.
    """

    def __init__(self, request: Incoming, limits: Limits, memory: Memory) -> None:
        self._request = request
        self._limits = limits
        self._memory = memory
        self._reserved = 0
        self._deadline = asyncio.timeout(None)

    async def __aenter__(self) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                data = await self._read()
        except TimeoutError:
            self._release()
            raise Problem(
                408,
                "slow-upload",
                "The body did not arrive in time",
                f"the body did not arrive within {self._limits.body_seconds:g} s; send it in one go",
            ) from None
        except BaseException:
            self._release()
            raise
        self._deadline = asyncio.timeout(self._limits.request_seconds)
        await self._deadline.__aenter__()
        return data

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()
        try:
            await self._deadline.__aexit__(kind, error, trace)
        except TimeoutError:
            raise too_slow(self._limits.request_seconds) from None

    def _release(self) -> None:
        self._memory.give(self._reserved)
        self._reserved = 0

    def _take(self, size: int) -> None:
        self._memory.take(size)
        self._reserved += size

    async def _read(self) -> bytes:
        limit = self._limits.body_bytes
        packed = content_encoding(self._request) == "gzip"
        if (length := self._request.headers.get("content-length", "")).isdecimal() and int(length[:20]) > limit:
            raise _too_large(limit)
        pieces: list[bytes] = []
        size = 0
        async for piece in self._request.stream():
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            self._take(len(piece))
            pieces.append(piece)
        data = b"".join(pieces)
        if not packed:
            return data
        unpacked = await asyncio.to_thread(unpack, data, limit)
        self._take(len(unpacked))
        return unpacked


def content_encoding(request: Incoming) -> str:
    """ "gzip" or "": how the body is packed. Raises Problem (415) for any other encoding."""
    encoding: str = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise unsupported("the body's Content-Encoding is not read here; send it plain or as gzip")
    return encoding.removeprefix("identity")


_UNPACKERS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(memlimit=128 * _MEBIBYTE),
}


def is_packed(data: bytes) -> bool:
    """Is this gzip, bzip2 or xz, by its first bytes?"""
    return data.startswith(tuple(_UNPACKERS))


def unpack(data: bytes, limit: int) -> bytes:
    """The content of gzip, bzip2 or xz (told by the first bytes) of one or several members.

    Raises Problem where it is damaged, packed again inside, or larger than `limit`; no more than that is ever unpacked.
    """
    make = next((make for magic, make in _UNPACKERS.items() if data.startswith(magic)), None)
    if make is None:
        raise bad_request("the body says that it is packed, but is neither gzip, bzip2 nor xz; send it plain")
    pieces: list[bytes] = []
    size = 0
    while data:
        unpacker = make()
        try:
            while not unpacker.eof:
                piece = unpacker.decompress(data, limit - size + 1)
                data = unpacker.unconsumed_tail if hasattr(unpacker, "unconsumed_tail") else b""
                size += len(piece)
                pieces.append(piece)
                if size > limit:
                    raise _too_large(limit)
                if not piece and not data and not unpacker.eof:
                    raise bad_request("the packed body is cut short; send it again")
        except (zlib.error, OSError, EOFError, lzma.LZMAError) as error:
            raise bad_request("the packed body is damaged; send it again, or plain") from error
        data = unpacker.unused_data.lstrip(b"\x00")
    whole = b"".join(pieces)
    if is_packed(whole):
        raise unsupported("the body is packed twice; pack it once, or send it plain")
    return whole


def strict_json(data: bytes, limits: Limits) -> Any:
    """Parse JSON: UTF-8, no NaN, no number beyond what a float holds, no member twice, bounded nesting and values.

    Raises Problem (400, 413) that says where.
    """
    check_json(data, limits)
    try:
        return parse_json(data)
    except InputError as error:
        raise bad_request(f"the body is not what it should be: {without_text(error)}") from error


def check_json(data: bytes, limits: Limits) -> None:
    """Raises Problem where JSON is nested too deeply or has too many values; in time linear to the data, and in little
    memory."""
    brackets, objects = data.count(b"[") + data.count(b"{"), limits.values // 4
    if brackets <= limits.nesting and data.count(b",") + brackets <= limits.values:
        return
    values = num_objects = depth = 0
    for bare in _without_strings(data):
        values += bare.count(b",") + bare.count(b"[")
        num_objects += bare.count(b"{")
        if values > limits.values or num_objects > objects:
            raise too_large(
                f"the JSON has more than {limits.values:,} values or {objects:,} objects; send fewer documents at a time"
            )
        for match in _BRACKET.finditer(bare):
            depth += 1 if match[0] in b"[{" else -1
            if depth > limits.nesting:
                raise bad_request(f"the JSON is nested deeper than {limits.nesting} levels; no request needs that")


def _without_strings(data: bytes) -> Iterator[bytes]:
    """JSON without its strings, a slice after another: the strings of all at once would take memory for each."""
    start, quote = 0, b""
    while start < len(data):
        end = start + _SLICE
        while data[end - 1 : end] == b"\\":  # never between a backslash and what it escapes
            end += 1
        piece = quote + _ESCAPE.sub(b"", data[start:end])
        quote = b'"' if piece.count(b'"') % 2 else b""  # it ends in a string
        yield _STRING.sub(b"", piece)
        start = end


def check_file(data: bytes, format: str, limits: Limits) -> None:
    """Raises Problem where a file of `format` has more than can be read in bounded time and memory."""
    if format in ("bioc-json", "jsonl"):
        check_json(data, limits)
    elif end := _RECORD_ENDS.get(format):
        if max(record.count(b"<") for record in data.split(end)) > limits.values:
            raise too_large(f"a document has more than {limits.values:,} tags; leave it out")
    else:
        lines = {"pubtator": limits.annotations + 3 * limits.documents, "conll": limits.values * 2 // 3}
        most = min(limits.values, lines.get(format, limits.values))
        if data.count(b"\n") + data.count(b"\r") > most:
            raise too_large(f"the file has more than {most:,} lines; send fewer documents at a time")


def _too_large(limit: int) -> Problem:
    return too_large(f"the body is larger than {limit:,} bytes, unpacked; send fewer documents at a time")

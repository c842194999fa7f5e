"""A large upload read as it comes and answered as it is computed, in flat memory.

The XML is parsed by a thread that pulls the upload piece by piece; groups of its documents go to the engine, a few at a
time, and their lines go back in the order of the upload. What a client does not read yet waits in a temporary file, so
that one which sends all before it reads anything cannot stand still.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tempfile
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import Future as ThreadFuture
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine, Source, read_documents
from textome.formats.jsonl import document_to
from textome.serve.engine import PIECE_CHARACTERS
from textome.serve.limits import Limits, content_encoding
from textome.serve.problems import Problem, bad_request, inconsistent, too_large, unsupported, without_text

MEDIA_TYPE = "application/x-ndjson"
# Groups of documents of one upload that the engine has at once.
GROUPS = 4
_SPOOL_IN_MEMORY = 1 << 20
_SEND = 1 << 16


class Annotate(Protocol):
    async def __call__(self, documents: Sequence[Document]) -> list[Document]: ...


class LinesResponse(Response):
    """Reads PubMed XML from the request and answers with a JSON line for each document.

    An error before the first line is a problem; after it, the last line is `{"problem": {...}}`. A record that cannot be
    read is a line `{"quarantined": {"position": ..., "reason": ...}}`.
    """

    def __init__(self, annotate: Annotate, limits: Limits, leave: Callable[[], None]) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._annotate = annotate
        self._limits = limits
        self._leave = leave

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_IN_MEMORY) as file:
            spool = _Spool(cast(BinaryIO, file))
            producing = asyncio.create_task(self._produce(request, spool))
            sending = asyncio.create_task(self._send(spool, send))
            try:
                await asyncio.gather(producing, sending)
            except ClientDisconnect:
                pass
            finally:
                for task in (producing, sending):
                    task.cancel()
                await asyncio.gather(producing, sending, return_exceptions=True)
                self._leave()

    async def _produce(self, request: Request, spool: _Spool) -> None:
        upload = _Upload(request, self._limits)
        try:
            async for line in _lines(upload, self._annotate):
                spool.write(line)
            if not spool.written:
                raise inconsistent("the upload holds no citations; send a PubMed XML file")
        except Problem as problem:
            if not spool.written:
                raise
            spool.write(_line({"problem": problem.document()}))
        finally:
            upload.close()
        spool.end()

    async def _send(self, spool: _Spool, send: Any) -> None:
        started = False
        while piece := await spool.read():
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                started = True
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Spool:
    """Bytes written at one end and read at the other, on the event loop."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.written = 0
        self._position = 0
        self._ended = False
        self._change = asyncio.Event()

    def write(self, data: bytes) -> None:
        self._file.seek(self.written)
        self._file.write(data)
        self.written += len(data)
        self._change.set()

    def end(self) -> None:
        self._ended = True
        self._change.set()

    async def read(self) -> bytes:
        """What there is, at least a byte; nothing at the end."""
        while self._position == self.written:
            if self._ended:
                return b""
            self._change.clear()
            await self._change.wait()
        self._file.seek(self._position)
        piece = self._file.read(min(_SEND, self.written - self._position))
        self._position += len(piece)
        return piece


class _Upload(io.RawIOBase):
    """The request's body as a file that a thread reads; each read asks the event loop for the next piece."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self.packed = content_encoding(request) == "gzip"
        self.limits = limits
        self._request = request
        self._stream = request.stream().__aiter__()
        self._loop = asyncio.get_running_loop()
        self._rest = memoryview(b"")
        self._asked: ThreadFuture[bytes] | None = None
        self._left = False
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def fail(self, error: Exception) -> Exception:
        """An error of the upload and not of its content: a reader may take it for one, so that it is kept here, too."""
        self.failure = error
        return error

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            if self._left:
                raise self.fail(ClientDisconnect())
            self._asked = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            try:
                self._rest = memoryview(self._asked.result())
            except CancelledError as error:
                raise self.fail(ClientDisconnect()) from error
            except Problem as problem:
                raise self.fail(problem) from None
        view = memoryview(buffer)
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    async def _next(self) -> bytes:
        """The next piece that is not empty; nothing at the end."""
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                async for piece in self._stream:
                    if piece:
                        return piece
                return b""
        except TimeoutError as error:
            raise Problem(
                408,
                "slow-upload",
                "The upload stands still",
                f"nothing came for {self.limits.body_seconds:g} s; send the rest again",
            ) from error

    async def gone(self) -> None:
        """Returns when the client has left; to be called after the whole upload was read."""
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    def close(self) -> None:
        self._left = True
        if self._asked is not None:
            self._asked.cancel()
        super().close()


class _Counted:
    """The unpacked upload: no more of it than the limit is read, and no more of one citation than of a whole body.

    citations   how many came so far, good and bad ones
    """

    def __init__(self, stream: Any, upload: _Upload, citations: Callable[[], int]) -> None:
        self._stream = stream
        self._upload = upload
        self._citations = citations
        self._seen = 0
        self._size = self._of_one = self._tags = 0

    def read1(self, size: int) -> bytes:
        data: bytes = self._stream.read1(size)
        if (seen := self._citations()) != self._seen:
            self._seen, self._of_one, self._tags = seen, 0, 0
        self._size += len(data)
        self._of_one += len(data)
        self._tags += data.count(b"<")
        limits = self._upload.limits
        if self._size > limits.stream_bytes:
            problem = too_large(f"the upload is larger than {limits.stream_bytes:,} bytes, unpacked; send it in parts")
            raise self._upload.fail(problem)
        if self._of_one > limits.body_bytes or self._tags > limits.values:
            problem = too_large(f"a citation is larger than {limits.body_bytes:,} bytes; take it out of the upload")
            raise self._upload.fail(problem)
        return data


@dataclass(frozen=True)
class _UploadSource(Source):
    upload: _Upload | None = field(default=None, kw_only=True)
    citations: Callable[[], int] = field(default=lambda: 0, kw_only=True)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        assert self.upload is not None
        buffered = io.BufferedReader(self.upload, 1 << 16)
        stream: Any = buffered
        if self.upload.packed or buffered.peek(2)[:2] == b"\x1f\x8b":
            stream = gzip.GzipFile(fileobj=buffered, mode="rb")
        yield cast(BinaryIO, _Counted(stream, self.upload, self.citations))


@dataclass(slots=True)
class _Group:
    documents: list[Document]
    quarantined: list[dict[str, str]]


async def _lines(upload: _Upload, annotate: Annotate) -> AsyncIterator[bytes]:
    """The lines of an upload in its order."""
    loop = asyncio.get_running_loop()
    # One thread makes, feeds and frees the parser: libxml2 keeps the names of a tree in a table of the thread, and a tree
    # whose parts come from several threads ends the process when it is freed.
    executor = ThreadPoolExecutor(1, thread_name_prefix="textome-upload")
    groups = _groups(upload)
    pending: deque[asyncio.Task[bytes]] = deque()
    reading: asyncio.Task[_Group | None] | None = None
    gone: asyncio.Task[None] | None = None

    async def next_group() -> _Group | None:
        return await loop.run_in_executor(executor, next, groups, None)

    async def annotated(group: _Group) -> bytes:
        documents = await annotate(group.documents) if group.documents else []
        lines = [_line(document_to(document)) for document in documents]
        lines += [_line({"quarantined": item}) for item in group.quarantined]
        return b"".join(lines)

    try:
        reading = asyncio.create_task(next_group())
        while reading or pending:
            waited = {task for task in (reading, gone, *list(pending)[:1]) if task is not None}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if gone is not None and gone.done():
                raise ClientDisconnect
            while pending and pending[0].done():
                yield pending.popleft().result()
            if reading is not None and reading.done():
                group = reading.result()
                if group is not None:
                    pending.append(asyncio.create_task(annotated(group)))
                    reading = None
                else:
                    reading, gone = None, asyncio.create_task(upload.gone())
            if reading is None and gone is None and len(pending) < GROUPS:
                reading = asyncio.create_task(next_group())
    finally:
        upload.close()
        left = [task for task in (reading, gone, *pending) if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await loop.run_in_executor(executor, groups.close)
        executor.shutdown(wait=False)


def _groups(upload: _Upload) -> Generator[_Group, None, None]:
    """Documents of the upload in groups of about the size that the engine cuts at a time. Runs in a thread."""
    quarantine = Quarantine(keep=10_000)
    group = _Group([], [])
    size = reported = good = 0
    source = _UploadSource("upload", upload=upload, citations=lambda: good + quarantine.count)
    try:
        for document in read_documents(source, "pubmed-xml", quarantine):
            good += 1
            group.documents.append(document)
            size += len(document.text) + 1
            if len(document.text) > upload.limits.characters:
                raise too_large(f"a citation has more than {upload.limits.characters:,} characters")
            if size >= PIECE_CHARACTERS:
                group.quarantined, reported = _new(quarantine, reported)
                yield group
                group, size = _Group([], []), 0
    except (InputError, zlib.error, EOFError) as error:
        reason = without_text(error) if isinstance(error, InputError) else "it is cut short or damaged"
        raise bad_request(f"the upload cannot be read: {reason}") from error
    if upload.failure is not None:
        raise upload.failure
    group.quarantined, reported = _new(quarantine, reported)
    if not group.documents and group.quarantined and reported == len(group.quarantined):
        first = group.quarantined[0]
        raise unsupported(f"no citation could be read ({first['reason']}); send a PubMed XML file")
    if group.documents or group.quarantined:
        yield group


def _new(quarantine: Quarantine, reported: int) -> tuple[list[dict[str, str]], int]:
    records = quarantine.records[reported:]
    lines = [{"position": item.position, "reason": without_text(InputError(item.reason))} for item in records]
    return lines, reported + len(records)


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"

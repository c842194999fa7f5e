"""What all routes share: work off the event loop, answers in the formats there are, and how routes are described."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from textome.documents import Document
from textome.serve import problems
from textome.serve.limits import Body, is_packed
from textome.serve.outputs import MEDIA_TYPES, OutputFormat, render
from textome.serve.requested import validated
from textome.serve.service import SMALL, Service

T = TypeVar("T")
Message = TypeVar("Message", bound=BaseModel)
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, text in {
        400: "The request is not understood",
        401: "A key is needed",
        403: "A page of another site asks",
        404: "There is no such model or task",
        408: "The body did not arrive in time",
        413: "Larger than this service takes",
        415: "Content that is not read here",
        421: "The service has another name",
        422: "A document contradicts itself or cannot be read by the task, or a type is unknown",
        429: "The key has used up its requests",
        500: "A mistake of the service",
        503: "Busy, or shutting down; Retry-After says when to come again",
        504: "Not done in time",
    }.items()
}
# Records that a header names; more are counted.
_IN_A_HEADER = 10
_ANSWERS: dict[str, Any] = {
    media: {"schema": {"type": "object" if media.endswith("+json") else "string"}}
    for media, _ in MEDIA_TYPES.values()
    if not media.startswith("application/json")
}


@asynccontextmanager
async def received(request: Request, service: Service, kind: type[Message]) -> AsyncIterator[Message]:
    """A request's body as a checked message, while it is in use; see `Body` for the bounds, `validated` for the checks."""
    async with Body(request, service.limits, service.memory) as data:
        message, _ = await off_loop(data, validated, data, kind, service.limits)
        yield message


async def off_loop(data: bytes, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread where the request is so large that it would hold up the others."""
    if len(data) <= SMALL and not is_packed(data):
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client leaves."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, leaving = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for item in (task, leaving):
            item.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)


def rendered(
    documents: list[Document], format: OutputFormat, model: str, members: dict[str, Any] | None = None
) -> Response:
    media, ending = MEDIA_TYPES[format]
    body = render(documents, format, model=model, **(members or {}))
    headers = {} if format == "json" else {"Content-Disposition": f'attachment; filename="textome{ending}"'}
    if format != "json" and (bad := (members or {}).get("quarantined")):
        # A file of this format has no room for them; a header is ASCII, and of a size that proxies let pass.
        headers["Textome-Quarantined"] = json.dumps(bad[:_IN_A_HEADER])
        headers["Textome-Quarantined-Count"] = str(len(bad))
    if format != "json" and (passed_over := (members or {}).get("passed_over")):
        headers["Textome-Passed-Over"] = json.dumps(passed_over)
    return Response(body, media_type=media, headers=headers)


def general_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: row for status, row in PROBLEMS.items() if status in (401, 403, 421, 429, *statuses)}


def text_answer(description: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}
    } | general_problems()


def documents_answer(description: str) -> dict[str, Any]:
    """Documents in any format; `json` and `bioc-json` have the same media type."""
    shapes = [{"$ref": f"#/components/schemas/{name}"} for name in ("AnnotateResponse", "BiocCollection")]
    return {"description": description, "content": {"application/json": {"schema": {"anyOf": shapes}}} | _ANSWERS}


def json_body(name: str, examples: dict[str, Any] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    if examples:
        content["examples"] = examples
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def binary_body() -> dict[str, Any]:
    schema = {"type": "string", "format": "binary"}
    return {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": schema}}}}

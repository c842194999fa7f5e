"""The routes. A task's routes are there where one of the loaded models has the task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

import textome.serve
from textome.documents import Document
from textome.errors import TextomeError
from textome.runtime.bundle import ENTITIES
from textome.serve import problems, schemas
from textome.serve.guard import Guard
from textome.serve.keys import KeyFile, RateLimiter
from textome.serve.label_studio.project import PredictRequest, SetupRequest, WebhookRequest
from textome.serve.label_studio.routes import Backend, label_studio_routes
from textome.serve.limits import Body
from textome.serve.metrics import Metrics
from textome.serve.outputs import MEDIA_TYPES, OutputFormat, render
from textome.serve.problems import Problem, bad_request, overloaded, without_text
from textome.serve.pubmed import fetch
from textome.serve.requested import (
    InputFormat,
    checked_documents,
    invalid,
    uploaded_documents,
    validated,
    with_documents,
)
from textome.serve.routes.curation import CompareRequest, curation_routes
from textome.serve.routes.linking import LinkRequest, linking_routes
from textome.serve.routes.shared import (
    PROBLEMS,
    binary_body,
    documents_answer,
    general_problems,
    json_body,
    off_loop,
    rendered,
    text_answer,
    while_connected,
)
from textome.serve.routes.tasks import answer_routes, classify_routes, embed_routes, relation_routes
from textome.serve.service import Service
from textome.serve.streaming import LinesResponse
from textome.serve.writing.routes import GenerateRequest, generation_routes

PAGE = Path(textome.serve.__file__).parent / "page"
# Uploads that are streamed at once: each has a thread.
STREAMS = 8
Model = Annotated[str, Query(max_length=200, description="A name that GET /v1/models gives; by default the first.")]
Types = Annotated[str, Query(max_length=2000, description="Entity types, as A,B; by default the model's own.")]
Flat = Annotated[bool, Query(description="Of entities that overlap, keep the most probable.")]
MinConfidence = Annotated[
    float | None,
    Query(
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Leave out entities below it; by default what the model says for each type.",
    ),
]


def create_app(
    service: Service,
    *,
    keys: KeyFile | None = None,
    rate: float = 0.0,
    allowed_hosts: Collection[str] = (),
    label_studio: Path | None = None,
) -> Guard:
    """The service as an ASGI application. It starts the engines, and finishes them when it ends.

    rate            requests a second of each key, or of everybody together where there are no keys; 0 is not a bound
    allowed_hosts   what a request's Host may be; empty allows all
    label_studio    the folder of corrections from Label Studio, where the service is its backend
    """
    backend = Backend(service, label_studio) if label_studio else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        if backend is not None:
            await backend.close()
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="Textome",
        version=textome.__version__,
        summary="Entities in biomedical text",
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its page fetches scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    metrics = Metrics(service)
    app.include_router(_general_routes(service, metrics))
    for routes in dict.fromkeys(routes for task, routes in _TASK_ROUTES.items() if task in service.tasks):
        app.include_router(routes(service))
    app.include_router(embed_routes(service))  # where no model can, it says what to do
    app.include_router(generation_routes(service))  # as above
    app.include_router(linking_routes(service))
    app.include_router(curation_routes(service))
    if backend is not None:
        app.include_router(label_studio_routes(service, backend))
    if service.pubmed is not None:
        app.include_router(_pubmed_routes(service, service.pubmed))
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(TextomeError, _answer_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, _answer_mistake)  # the guard logs it
    _add_page(app)
    app.openapi = lambda: _openapi(app, keys is not None)  # type: ignore[method-assign]
    return Guard(app, metrics=metrics, keys=keys, limiter=RateLimiter(rate), allowed_hosts=allowed_hosts)


def _add_page(app: FastAPI) -> None:
    """The page's files, each at its own address, so that every other address is a problem and not a missing file."""
    for file in sorted(PAGE.iterdir()):

        async def answer(_: Request, path: Path = file) -> Response:
            return FileResponse(path, headers={"Cache-Control": "no-cache"})

        for path in ("/", f"/{file.name}") if file.name == "index.html" else (f"/{file.name}",):
            app.add_route(path, answer, include_in_schema=False)


def _general_routes(service: Service, metrics: Metrics) -> APIRouter:
    router = APIRouter()

    @router.get(
        "/v1/models", summary="The loaded models", response_model=schemas.Models, responses=general_problems(400)
    )
    async def models() -> schemas.Models:
        return service.info()

    @router.get("/healthz", summary="Is the process alive?", response_class=Response, responses=text_answer("ok"))
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @router.get(
        "/readyz",
        summary="Can it take requests?",
        response_class=Response,
        responses=text_answer("ready") | {503: PROBLEMS[503]},
    )
    async def readyz() -> Response:
        if not service.ready:
            raise overloaded(5, "the service is starting or shutting down; try again in 5 s")
        return Response("ready\n", media_type="text/plain")

    @router.get("/metrics", summary="For Prometheus", response_class=Response, responses=text_answer("metrics"))
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=metrics.media_type)

    @router.post(
        "/v1/convert",
        summary="Write annotated documents in another format",
        response_class=Response,
        responses=PROBLEMS | {200: documents_answer("The documents, in the format asked for")},
        openapi_extra=json_body("ConvertRequest", None),
    )
    async def convert(request: Request) -> Response:
        async with Body(request, service.limits, service.memory) as data:
            return await off_loop(data, _converted, data, service)

    return router


def _entity_routes(service: Service) -> APIRouter:
    router = APIRouter()
    streaming = 0
    answer = documents_answer("The documents with their entities, in the format asked for")

    @router.post(
        "/v1/annotate",
        summary="Find entities in a text, documents, or a BioC collection",
        response_class=Response,
        responses=PROBLEMS | {200: answer},
        openapi_extra=json_body("AnnotateRequest", schemas.EXAMPLES),
    )
    async def annotate(request: Request) -> Response:
        async with Body(request, service.limits, service.memory) as data:
            body, documents = await off_loop(data, with_documents, data, schemas.AnnotateRequest, service.limits)
            model = service.model(body.model, ENTITIES)
            annotator = service.chosen(
                model,
                body.types,
                min_confidence=body.min_confidence,
                flat=body.flat,
                question=body.question or None,
            )
            annotated = await while_connected(request, service.annotate(model, documents, annotator, body.replace))
            return await off_loop(data, rendered, annotated, body.format, model.name)

    @router.post(
        "/v1/annotate/file",
        summary="Find entities in a file of any format that is read here",
        description="The body is the file: PubMed XML, BioC XML or JSON, PubTator, CoNLL, JSON lines or plain text, "
        "also packed with gzip, bzip2 or xz.",
        response_class=Response,
        responses=PROBLEMS | {200: answer},
        openapi_extra=binary_body(),
    )
    async def annotate_file(
        request: Request,
        model: Model = "",
        types: Types = "",
        min_confidence: MinConfidence = None,
        flat: Flat = False,
        format: Annotated[OutputFormat, Query(description="How the answer is written.")] = "json",
        from_: Annotated[
            InputFormat | None, Query(alias="from", description="The file's format; by default its content tells.")
        ] = None,
        name: Annotated[str, Query(max_length=500, description="The file's name, whose ending tells too.")] = "",
        replace: Annotated[bool, Query(description="Drop the annotations that the file has already.")] = False,
    ) -> Response:
        chosen = service.model(model, ENTITIES)
        annotator = service.chosen(chosen, _listed(types), min_confidence=min_confidence, flat=flat)
        async with Body(request, service.limits, service.memory) as data:
            uploaded = await off_loop(data, uploaded_documents, data, from_, service.limits, name)
            annotated = await while_connected(request, service.annotate(chosen, uploaded.documents, annotator, replace))
            return await off_loop(data, rendered, annotated, format, chosen.name, uploaded.members)

    @router.post(
        "/v1/annotate/pubmed-xml",
        summary="Find entities in PubMed XML of any size, streamed both ways",
        description="The body is a citation set, plain or gzip. Each citation comes back as a JSON line as soon as it "
        "is done, in order. A record that cannot be read is a line with `quarantined`; where the upload breaks after "
        "the first line, the last line has `problem`.",
        response_class=Response,
        responses=PROBLEMS | {200: {"description": "JSON lines", "content": {"application/x-ndjson": {}}}},
        openapi_extra=binary_body(),
    )
    async def annotate_pubmed_xml(
        request: Request,
        model: Model = "",
        types: Types = "",
        min_confidence: MinConfidence = None,
        flat: Flat = False,
    ) -> Response:
        nonlocal streaming
        chosen = service.model(model, ENTITIES)
        annotator = service.chosen(chosen, _listed(types), min_confidence=min_confidence, flat=flat)
        if service.draining or streaming >= STREAMS:
            raise overloaded(10, f"{streaming} uploads are being streamed already; try again in 10 s")

        async def compute(documents: Any) -> list[Document]:
            for _ in range(300):
                try:
                    return await service.annotate(chosen, documents, annotator, False)
                except Problem as problem:
                    if problem.kind != "queue-full" or service.draining:
                        raise
                await asyncio.sleep(0.2)
            raise overloaded(60, "the queue stayed full for a minute; send the rest again in 60 s")

        def leave() -> None:
            nonlocal streaming
            streaming -= 1

        streaming += 1
        return LinesResponse(compute, service.limits, leave)

    return router


def _pubmed_routes(service: Service, address: str) -> APIRouter:
    router = APIRouter()
    answers = PROBLEMS | {
        200: documents_answer("The citation with its entities, in the format asked for"),
        502: PROBLEMS[500] | {"description": "PubMed did not give the citation"},
    }

    @router.get(
        "/v1/annotate/pmid/{pmid}",
        summary="Find entities in the citation that PubMed has under a PMID",
        response_class=Response,
        responses=answers,
    )
    async def annotate_pmid(
        request: Request,
        pmid: Annotated[str, PathParameter(pattern="^[1-9][0-9]{0,8}$", description="A PubMed identifier.")],
        model: Model = "",
        types: Types = "",
        min_confidence: MinConfidence = None,
        flat: Flat = False,
    ) -> Response:
        chosen = service.model(model, ENTITIES)
        annotator = service.chosen(chosen, _listed(types), min_confidence=min_confidence, flat=flat)
        data = await asyncio.to_thread(fetch, pmid, address, service.limits.body_bytes)
        uploaded = await asyncio.to_thread(uploaded_documents, data, "pubmed-xml", service.limits, f"PMID {pmid}")
        annotated = await while_connected(request, service.annotate(chosen, uploaded.documents, annotator, False))
        return rendered(annotated, "json", chosen.name)

    return router


# The routes of each task. Another task's are a function like the ones above, and a line here.
_TASK_ROUTES: dict[str, Callable[[Service], APIRouter]] = {
    ENTITIES: _entity_routes,
    "classification": classify_routes,
    "sentence_classification": classify_routes,
    "relations": relation_routes,
    "question_answering": answer_routes,
}


def _converted(data: bytes, service: Service) -> Response:
    body, _ = validated(data, schemas.ConvertRequest, service.limits)
    documents = checked_documents(body.documents, service.limits)
    media, ending = MEDIA_TYPES[body.format]
    headers = {"Content-Disposition": f'attachment; filename="textome{ending}"'}
    return Response(render(documents, body.format), media_type=media, headers=headers)


def _listed(types: str) -> list[str]:
    return [name.strip() for name in types.split(",") if name.strip()]


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return Response(error.body(), error.status, headers=error.headers, media_type=problems.MEDIA_TYPE)


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _answer_problem(request, invalid(error.errors()))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    other_method = error.status_code == 405
    problem = Problem(
        error.status_code,
        "wrong-method" if other_method else "not-found" if error.status_code == 404 else "refused",
        "Another method is needed" if other_method else "There is nothing here",
        "the methods of this address are in the Allow header"
        if other_method
        else "see /v1/openapi.json for what there is",
        dict(error.headers or {}),
    )
    return await _answer_problem(request, problem)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TextomeError)
    return await _answer_problem(request, bad_request(without_text(error)))


async def _answer_mistake(request: Request, _: Exception) -> Response:
    return await _answer_problem(request, problems.internal())


async def _answer_nobody(_: Request, __: Exception) -> Response:
    return Response(status_code=499)


def _openapi(app: FastAPI, with_keys: bool) -> dict[str, Any]:
    """The OpenAPI document, with the schemas of bodies that the routes read themselves."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    kinds = (
        schemas.AnnotateRequest,
        schemas.ConvertRequest,
        schemas.AnnotateResponse,
        schemas.Models,
        schemas.ClassifyRequest,
        schemas.RelationsRequest,
        schemas.AnswerRequest,
        schemas.EmbedRequest,
        GenerateRequest,
        LinkRequest,
        CompareRequest,
        PredictRequest,
        SetupRequest,
        WebhookRequest,
        schemas.EmbedResponse,
    )
    _, definitions = models_json_schema(
        [(kind, "validation") for kind in kinds], ref_template="#/components/schemas/{model}"
    )
    components = document.setdefault("components", {})
    known = components.setdefault("schemas", {})
    known |= definitions["$defs"] | {"Problem": schemas.ProblemModel.model_json_schema()}
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    if with_keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    app.openapi_schema = document
    return document

"""Concepts of names, and look-up of concepts by what is typed: `/v1/link` and `/v1/lookup`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import takewhile
from threading import Event, Lock
from typing import Annotated, Any, Self, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from textome.documents import Document
from textome.formats.jsonl import document_to
from textome.serve.limits import Body
from textome.serve.problems import overloaded
from textome.serve.requested import checked_documents, validated
from textome.serve.routes.shared import PROBLEMS, general_problems, json_body, off_loop, while_connected
from textome.serve.schemas import DocumentModel, IdentifierModel, Items, whole
from textome.serve.service import Service
from textome.steps.linker import MAX_NAME, MIN_PREFIX, Linker

T = TypeVar("T")
_AT_ONCE = 8  # requests that are worked on, each in a thread; others are told to come again
_MAX_NAMES = 1000
_MAX_CONCEPTS = 50
_MAX_TYPED = 200
LINK_EXAMPLES: dict[str, Any] = {
    "names": {"summary": "Names of diseases", "value": {"names": ["kidney failure", "gout"], "type": "Disease"}},
    "documents": {
        "summary": "The entities of a document",
        "value": {
            "documents": [
                {"text": "BRCA1 in mice.", "entities": [{"type": "Gene", "spans": [[0, 5]], "text": "BRCA1"}]}
            ],
            "candidates": 3,
        },
    },
}


class LinkRequest(BaseModel):
    """Names of one type of entity, or documents whose entities are linked."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "oneOf": [
                {"required": ["names", "type"], "properties": {"type": {"minLength": 1}}},
                {"required": ["documents"]},
            ],
            "not": {"required": ["names", "documents"]},
        },
    )

    names: list[Annotated[str, Field(min_length=1, max_length=MAX_NAME)]] = Field([], max_length=_MAX_NAMES)
    type: str = Field("", max_length=100, description="Of entities that have these names, as Disease.")
    documents: Items[DocumentModel] = Field([], description="Documents with entities, each read in its document.")
    replace: bool = Field(False, description="Link also entities of documents that have identifiers, and drop those.")
    candidates: Annotated[int, Field(ge=1, le=_MAX_CONCEPTS), BeforeValidator(whole)] = Field(
        1, description="How many concepts an ambiguous name gets."
    )

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if len(self.model_fields_set & {"names", "documents"}) != 1:
            raise ValueError("give exactly one of names and documents")
        if "names" in self.model_fields_set and not self.type:
            raise ValueError("names need a type, for instance Disease")
        return self


class LinkedName(BaseModel):
    """A name and its concepts, the likeliest first; none where no vocabulary has the name."""

    name: str
    identifiers: list[IdentifierModel]


class LinkResponse(BaseModel):
    """The names, or the documents, in the order of the request."""

    results: list[LinkedName] = []
    documents: list[DocumentModel] = []


class ConceptModel(BaseModel):
    """A concept: CURIE, preferred name, type, next broader concepts, and the same concept in other terminologies."""

    curie: str
    label: str
    type: str
    parents: list[str]
    xrefs: list[str]


class LookupResponse(BaseModel):
    """The concepts, the likeliest first."""

    concepts: list[ConceptModel]


class _Work:
    """The linker of a service, opened when it is first asked, and the requests that it works on."""

    def __init__(self, service: Service) -> None:
        self._service, self._lock, self._running = service, Lock(), 0
        self._linker: Linker | None = None

    async def do(self, function: Callable[[Linker], T]) -> T:
        """Call a function with the linker in a thread. Problems: 503 where too many are at work, 504 where time is up."""
        if self._service.draining or self._running >= _AT_ONCE:
            raise overloaded(1, f"{self._running} names are being looked up already; try again in 1 s")
        self._running += 1

        def call() -> T:
            try:
                with self._lock:
                    self._linker = self._linker or Linker.of(self._service.steps.steps)
                return function(self._linker)
            finally:
                self._running -= 1

        return await self._service.in_time(asyncio.to_thread(call))


def linking_routes(service: Service) -> APIRouter:
    router, work = APIRouter(), _Work(service)

    @router.post(
        "/v1/link",
        summary="Give names, or the entities of documents, the concepts that they stand for",
        response_model=LinkResponse,
        response_model_exclude_unset=True,
        responses=PROBLEMS,
        openapi_extra=json_body("LinkRequest", LINK_EXAMPLES),
    )
    async def link(request: Request) -> LinkResponse:
        async with Body(request, service.limits, service.memory) as data:
            body, _ = await off_loop(data, validated, data, LinkRequest, service.limits)
            documents = await off_loop(data, checked_documents, body.documents, service.limits)
            left = Event()
            try:
                return await while_connected(request, work.do(lambda linker: _linked(linker, body, documents, left)))
            finally:
                left.set()

    @router.get(
        "/v1/lookup",
        summary="The concepts that a typed text may mean",
        response_model=LookupResponse,
        responses=general_problems(400, 422, 503, 504),
    )
    async def lookup(
        q: Annotated[
            str,
            Query(min_length=MIN_PREFIX, max_length=_MAX_TYPED, description="A CURIE, or the beginning of a name."),
        ],
        type: Annotated[str, Query(max_length=100, description="Of entities that name it; by default any.")] = "",
        limit: Annotated[int, Query(ge=1, le=_MAX_CONCEPTS, description="How many concepts at most.")] = 10,
    ) -> LookupResponse:
        if len(" ".join(q.split())) < MIN_PREFIX:  # of white space
            return LookupResponse(concepts=[])
        concepts = await work.do(lambda linker: linker.look_up(q, type or None, limit))
        return LookupResponse(concepts=[ConceptModel.model_validate(asdict(concept)) for concept in concepts])

    return router


def _linked(linker: Linker, body: LinkRequest, documents: Iterable[Document], left: Event) -> LinkResponse:
    """The concepts of each name, or of the entities of each document; the rest is left where the client has gone or time is
    up."""
    if "documents" in body.model_fields_set:
        linked = linker.annotate(
            takewhile(lambda _: not left.is_set(), documents), replace=body.replace, candidates=body.candidates
        )
        return LinkResponse(documents=[DocumentModel.model_validate(document_to(document)) for document in linked])
    results = []
    for name in body.names:
        if left.is_set():
            break
        answers = linker.link(name, body.type, candidates=body.candidates)
        identifiers = [IdentifierModel.model_validate(asdict(item)) for item in answers]
        results.append(LinkedName(name=name, identifiers=identifiers))
    return LinkResponse(results=results)

"""What curators need besides annotations: files read as they are, and two annotators compared."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from textome.errors import InputError
from textome.metrics.agreement import Agreement, agreement
from textome.metrics.entities import PRF
from textome.serve.limits import Body
from textome.serve.outputs import OutputFormat
from textome.serve.problems import inconsistent, without_text
from textome.serve.requested import InputFormat, checked_documents, uploaded_documents, validated
from textome.serve.routes.shared import PROBLEMS, binary_body, documents_answer, json_body, off_loop, rendered
from textome.serve.schemas import DocumentModel, Items, SpanModel
from textome.serve.service import Service

_MAX_DISAGREEMENTS = 2000


class CompareRequest(BaseModel):
    """Documents as two annotators have them; those with the same id are compared."""

    model_config = ConfigDict(strict=True, extra="forbid")

    first: Items[DocumentModel]
    second: Items[DocumentModel]


class PairScores(BaseModel):
    """How many mentions both annotators have, and each alone; F1 is the share of the agreed ones."""

    both: int
    first_only: int
    second_only: int
    f1: float


class DisagreementModel(BaseModel):
    """A mention that one annotator alone has; or both, with the types that one alone gives it. Empty is not a mention."""

    document: str
    spans: list[SpanModel]
    text: str
    first: str
    second: str


class CompareResponse(BaseModel):
    """Agreement of two annotators: F1 of mentions (spans and type the same), Cohen's kappa of all words, and of the words
    that at least one of them labels; null where kappa is undefined."""

    documents: int
    missing: list[str]
    mentions: PairScores
    types: dict[str, PairScores]
    kappa: float | None
    annotated_kappa: float | None
    disagreements: list[DisagreementModel]
    more_disagreements: int


def curation_routes(service: Service) -> APIRouter:
    router = APIRouter()
    answer = documents_answer("The documents, in the format asked for")

    @router.post(
        "/v1/convert/file",
        summary="Read a file of any format that is read here, with the annotations that it has",
        response_class=Response,
        responses=PROBLEMS | {200: answer},
        openapi_extra=binary_body(),
    )
    async def convert_file(
        request: Request,
        format: Annotated[OutputFormat, Query(description="How the answer is written.")] = "json",
        from_: Annotated[
            InputFormat | None, Query(alias="from", description="The file's format; by default its content tells.")
        ] = None,
        name: Annotated[str, Query(max_length=500, description="The file's name, whose ending tells too.")] = "",
    ) -> Response:
        async with Body(request, service.limits, service.memory) as data:
            uploaded = await off_loop(data, uploaded_documents, data, from_, service.limits, name)
            return await off_loop(data, rendered, uploaded.documents, format, "", uploaded.members)

    @router.post(
        "/v1/compare",
        summary="How far two annotators agree, and where they differ",
        response_model=CompareResponse,
        responses=PROBLEMS,
        openapi_extra=json_body("CompareRequest", None),
    )
    async def compare(request: Request) -> CompareResponse:
        async with Body(request, service.limits, service.memory) as data:
            return await asyncio.to_thread(_compared, data, service)

    return router


def _compared(data: bytes, service: Service) -> CompareResponse:
    request, _ = validated(data, CompareRequest, service.limits)
    first, second = (checked_documents(items, service.limits) for items in (request.first, request.second))
    try:
        result = agreement(first, second)
    except InputError as error:
        raise inconsistent(without_text(error)) from error
    return _response(result)


def _response(result: Agreement) -> CompareResponse:
    shown = result.disagreements[:_MAX_DISAGREEMENTS]
    return CompareResponse(
        documents=len(result.documents),
        missing=list(result.missing),
        mentions=_scores(result.mentions),
        types={type: _scores(counts) for type, counts in result.types.items()},
        kappa=result.kappa,
        annotated_kappa=result.annotated_kappa,
        disagreements=[
            DisagreementModel.model_validate(asdict(item) | {"spans": [list(span) for span in item.spans]})
            for item in shown
        ],
        more_disagreements=len(result.disagreements) - len(shown),
    )


def _scores(counts: PRF) -> PairScores:
    return PairScores(both=counts.tp, first_only=counts.fn, second_only=counts.fp, f1=counts.f1)

"""The routes of tasks other than entities; each is there where one of the loaded models has such a task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from textome.datasets.labelled import LabelledSentences, LabelledText
from textome.documents import Document
from textome.runtime.answerer import asked, located
from textome.runtime.bundle import ENTITIES
from textome.serve import schemas
from textome.serve.limits import Body, Limits
from textome.serve.problems import Problem, too_large
from textome.serve.requested import validated, with_documents
from textome.serve.routes.shared import (
    PROBLEMS,
    documents_answer,
    json_body,
    off_loop,
    received,
    rendered,
    while_connected,
)
from textome.serve.service import LoadedModel, Service
from textome.tasks import SomeTask
from textome.tasks.examples import Floats
from textome.tasks.labels import Classified
from textome.tasks.vectors import normalised
from textome.text.sentences import split_sentences

# Pairs grow with the square of the entities: a document beyond this, and a request with more pairs, is refused.
ENTITIES_OF_A_DOCUMENT = 500
PAIRS = 5000


def classify_routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/classify",
        summary="Give labels to texts, pairs of texts, or the sentences of texts",
        response_model=schemas.ClassifyResponse,
        responses=PROBLEMS,
        openapi_extra=json_body("ClassifyRequest", schemas.CLASSIFY_EXAMPLES),
    )
    async def classify(request: Request) -> schemas.ClassifyResponse:
        async with received(request, service, schemas.ClassifyRequest) as body:
            model, name = service.part(body.model, body.task, ("classification", "sentence_classification"))
            texts = body.texts or [text for pair in body.pairs for text in pair]
            characters = _counted(texts, max(len(body.texts), len(body.pairs)), service.limits)
            by_sentence = model.bundle.tasks[name].kind == "sentence_classification"
            _check_pairs(model, name, bool(body.pairs))
            make = _sentences if by_sentence else _texts
            work = service.predict(model, name, lambda _: make(body), characters)
            items, predictions = await while_connected(request, work)
            results = [
                _by_sentence(text, item, labels) if by_sentence else _classified(labels)
                for text, item, labels in zip(body.texts or body.pairs, items, predictions, strict=True)
            ]
            return schemas.ClassifyResponse(model=model.name, task=name, results=results)

    return router


def relation_routes(service: Service) -> APIRouter:
    router = APIRouter()
    answer = documents_answer("The documents with their relations, in the format asked for")

    @router.post(
        "/v1/relations",
        summary="Find relations between the entities of documents",
        response_class=Response,
        responses=PROBLEMS | {200: answer},
        openapi_extra=json_body("RelationsRequest", schemas.RELATIONS_EXAMPLES),
    )
    async def relations(request: Request) -> Response:
        async with Body(request, service.limits, service.memory) as data:
            body, documents = await off_loop(data, with_documents, data, schemas.RelationsRequest, service.limits)
            model, name = service.part(body.model, body.task, ("relations",))

            chosen = service.chosen(model, [], tasks=(name,), min_confidence=body.min_confidence)

            async def find() -> list[Document]:
                annotated_before = documents
                if body.entities or not any(document.entities for document in documents):
                    annotated_before = await _with_entities(service, body.entities, documents)
                await off_loop(data, _check_number_of_pairs, annotated_before, chosen.task(name))
                return await service.annotate(model, annotated_before, chosen, body.replace, steps=False)

            related = await while_connected(request, find())
            return await off_loop(data, rendered, related, body.format, model.name)

    return router


def answer_routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/answer",
        summary="Answer a question from texts or documents",
        response_model=schemas.AnswerResponse,
        responses=PROBLEMS,
        openapi_extra=json_body("AnswerRequest", schemas.ANSWER_EXAMPLES),
    )
    async def answer(request: Request) -> schemas.AnswerResponse:
        async with Body(request, service.limits, service.memory) as data:
            body, documents = await off_loop(data, with_documents, data, schemas.AnswerRequest, service.limits)
            model, name = service.part(body.model, body.task, ("question_answering",))
            passages: list[Any] = []

            def make(_: Any) -> Sequence[Any]:
                item, read = asked(body.question, documents)
                passages.extend(read)
                return [item]

            characters = sum(len(document.text) for document in documents)
            _, (answers,) = await while_connected(request, service.predict(model, name, make, characters))
            answers_at = [schemas.AnswerModel(**asdict(item)) for item in located(answers[: body.number], passages)]
            return schemas.AnswerResponse(model=model.name, task=name, answers=answers_at)

    return router


def embed_routes(service: Service) -> APIRouter:
    router = APIRouter()
    schema = {"schema": {"$ref": "#/components/schemas/EmbedResponse"}}

    @router.post(
        "/v1/embed",
        summary="Give each text as a vector, from the hidden states of a model's encoder",
        response_class=Response,
        responses=PROBLEMS | {200: {"description": "The vectors", "content": {"application/json": schema}}},
        openapi_extra=json_body("EmbedRequest", schemas.EMBED_EXAMPLES),
    )
    async def embed(request: Request) -> Response:
        async with Body(request, service.limits, service.memory) as data:
            body, _ = await off_loop(data, validated, data, schemas.EmbedRequest, service.limits)
            model = service.embedder(body.model)
            pooling = body.pooling or (model.bundle.embeddings.pooling if model.bundle.embeddings else "mean")
            _counted(body.texts, len(body.texts), service.limits)
            vectors = await while_connected(request, service.embed(model, body.texts, pooling))
            content = await off_loop(data, _vectors, model, pooling, vectors, body.normalise)
            return Response(content, media_type="application/json")

    return router


async def _with_entities(service: Service, name: str, documents: Sequence[Document]) -> list[Document]:
    """The documents after the entities of the named model, or of the first that finds any, were added."""
    if ENTITIES not in service.tasks:
        raise Problem(
            422,
            "no-entities",
            "There is nothing to relate",
            "the documents have no entities, and no model of this service finds them; send documents with entities",
        )
    model = service.model(name, ENTITIES)
    return await service.annotate(
        model, documents, service.chosen(model, [], tasks=(ENTITIES,), min_confidence=0.0), False
    )


def _check_number_of_pairs(documents: Sequence[Document], task: SomeTask) -> None:
    """Raises Problem (413) beyond the bounds."""
    total = 0
    for document in documents:
        if len(document.entities) > ENTITIES_OF_A_DOCUMENT:
            raise too_large(f"a document has more than {ENTITIES_OF_A_DOCUMENT} entities; send it in parts")
        total += len(task.records(task.ready(document)))
        if total > PAIRS:
            raise too_large(f"more than {PAIRS:,} pairs of entities; send fewer documents at a time")


def _check_pairs(model: LoadedModel, name: str, has_pairs: bool) -> None:
    expected = model.bundle.tasks[name].reads_pairs
    if expected != has_pairs:
        body = "pairs of texts" if expected else "single texts"
        raise Problem(422, "unreadable", "The task cannot read this", f"the task {name} reads {body}; see /v1/models")


def _counted(texts: Sequence[str], records: int, limits: Limits) -> int:
    characters = sum(map(len, texts))
    if records > limits.documents:
        raise too_large(f"more than {limits.documents:,} texts; send fewer at a time")
    if characters > limits.characters:
        raise too_large(f"more than {limits.characters:,} characters; send fewer texts at a time")
    return characters


def _texts(body: schemas.ClassifyRequest) -> list[LabelledText]:
    pairs: list[tuple[str, str | None]] = [(text, None) for text in body.texts] or [(a, b) for a, b in body.pairs]
    return [LabelledText(str(number), text, pair) for number, (text, pair) in enumerate(pairs, 1)]


def _sentences(body: schemas.ClassifyRequest) -> list[LabelledSentences]:
    return [
        LabelledSentences.unlabelled(str(number), (text[start:end] for start, end in split_sentences(text)))
        for number, text in enumerate(body.texts, 1)
    ]


def _classified(prediction: Classified) -> schemas.ClassifiedText:
    return schemas.ClassifiedText(labels=list(prediction.labels), scores=_rounded(prediction))


def _by_sentence(text: Any, _: LabelledSentences, predictions: Sequence[Classified]) -> schemas.ClassifiedText:
    return schemas.ClassifiedText(
        sentences=[
            schemas.ClassifiedSentence(
                start=start, end=end, text=text[start:end], labels=list(item.labels), scores=_rounded(item)
            )
            for (start, end), item in zip(split_sentences(text), predictions, strict=True)
        ]
    )


def _vectors(model: LoadedModel, pooling: str, vectors: Sequence[Floats], normalise: bool) -> bytes:
    size = int(model.bundle.config["hidden_size"])
    rows = np.stack(vectors) if vectors else np.zeros((0, size), np.float32)
    if normalise:
        rows = normalised(rows)
    answer = {"model": model.name, "pooling": pooling, "dimensions": size}
    # Seven digits are what float32 holds; more would only make the answer longer.
    return json.dumps(answer | {"embeddings": rows.astype(np.float64).round(7).tolist()}).encode()


def _rounded(prediction: Classified) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in prediction.scores.items()}

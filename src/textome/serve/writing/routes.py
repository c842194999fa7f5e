"""Texts that a model writes: `/v1/generate`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from textome.errors import InputError
from textome.runtime.generation.decoding import EndedBy
from textome.runtime.generation.settings import GenerationSettings
from textome.serve.problems import Problem, too_large
from textome.serve.routes.shared import PROBLEMS, json_body, received, while_connected
from textome.serve.schemas import Items, whole
from textome.serve.service import Service

MAX_PROMPTS = 64
MAX_NEW_TOKENS = 1024
# Of a beam, of samples, and of strings that stop a text.
_MAX_WIDTH = 8
_MAX_NO_REPEAT = 16
_MAX_STOP = 100
GENERATE_EXAMPLES: dict[str, Any] = {
    "prompts": {
        "summary": "Two texts for each prompt",
        "value": {
            "prompts": ["Patients were randomised to"],
            "max_new_tokens": 40,
            "temperature": 0.8,
            "top_p": 0.95,
            "samples": 2,
            "seed": 1,
        },
    },
}
Width = Annotated[int, Field(ge=1, le=_MAX_WIDTH), BeforeValidator(whole)]


class GenerateRequest(BaseModel):
    """Prompts to write on from. Without `temperature`, `top_k`, `top_p` and `beam` the most probable token is taken."""

    model_config = ConfigDict(strict=True, extra="forbid")

    prompts: Items[str] = Field(
        min_length=1,
        max_length=MAX_PROMPTS,
        description="What to write on from; of a text-to-text model sources with the prefix of a task in front.",
    )
    model: str = Field("", description="A name that GET /v1/models gives; by default the first that writes.")
    max_new_tokens: Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS), BeforeValidator(whole)] = Field(
        64, description="Tokens of a text at most."
    )
    temperature: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = Field(
        None, description="Tokens are drawn, the more freely the higher."
    )
    top_k: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(whole)] | None = Field(
        None, description="Draw from the k most probable tokens only."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Draw from the most probable tokens that first add up to p."
    )
    beam: Width = Field(1, description="Follow so many texts at once, and give the most probable.")
    length_penalty: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = Field(
        1.0, description="Of a beam: above 0 favours long texts, below 0 short ones."
    )
    no_repeat: Annotated[int, Field(ge=0, le=_MAX_NO_REPEAT), BeforeValidator(whole)] = Field(
        0, description="No run of so many tokens occurs twice; 0: any may."
    )
    stop: Items[Annotated[str, Field(min_length=1, max_length=_MAX_STOP)]] = Field(
        [], max_length=_MAX_WIDTH, description="A text ends before the first of these."
    )
    seed: Annotated[int, Field(ge=0, le=2**53), BeforeValidator(whole)] = Field(
        0, description="Of what is drawn: the same request with the same seed gives the same texts."
    )
    samples: Width = Field(1, description="Texts for each prompt: several draws, or the best of a beam.")

    def settings(self) -> GenerationSettings:
        """Raises InputError where they contradict each other."""
        return GenerationSettings.of(self.model_dump(exclude={"prompts", "model", "stop"}) | {"stop": tuple(self.stop)})


class WrittenText(BaseModel):
    """A text behind its prompt; the natural logarithm of its probability; and whether the model's end, a string of `stop`
    or the most tokens ended it."""

    text: str
    num_tokens: int
    log_probability: float
    ended_by: EndedBy


class GenerateResponse(BaseModel):
    """The texts of each prompt, in the order of the request; those of a beam the best first."""

    model: str
    results: list[list[WrittenText]]


def generation_routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/generate",
        summary="Write on from prompts, or write the answers of a text-to-text model",
        response_model=GenerateResponse,
        responses=PROBLEMS,
        openapi_extra=json_body("GenerateRequest", GENERATE_EXAMPLES),
    )
    async def generate(request: Request) -> GenerateResponse:
        async with received(request, service, GenerateRequest) as body:
            model = service.writer(body.model)
            try:
                settings = body.settings()
            except InputError as error:
                raise Problem(422, "contradictory-choices", "Choices exclude each other", str(error)) from error
            if sum(map(len, body.prompts)) > (most := service.limits.characters):
                raise too_large(f"more than {most:,} characters; send fewer prompts at a time")
            texts = await while_connected(request, service.generate(model, body.prompts, settings))
            return GenerateResponse(
                model=model.name, results=[[WrittenText(**asdict(text)) for text in own] for own in texts]
            )

    return router

"""The routes of Label Studio's machine learning backend, at `/v1/label-studio`; see `project`."""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from textome.documents import Document, replace_lone_surrogates
from textome.errors import InputError, ModelError
from textome.runtime.bundle import ENTITIES
from textome.runtime.step import ModelSettings
from textome.serve.label_studio.project import LabelConfig, PredictRequest, Project, SetupRequest, WebhookRequest
from textome.serve.problems import Problem, inconsistent, overloaded, without_text
from textome.serve.queueing import Settings
from textome.serve.requested import bounded
from textome.serve.routes.shared import PROBLEMS, general_problems, json_body, received, while_connected
from textome.serve.service import LoadedModel, Service

log = logging.getLogger("textome.serve")
_KEPT = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED")
_MAX_SECONDS = 12 * 3600  # of one training
_PREFIX = "/v1/label-studio"


class Backend:
    """The models of projects, and the one training that may run."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service, self._folder = service, folder
        self._models: dict[int, LoadedModel] = {}
        self._opening = asyncio.Lock()
        self._training: asyncio.Task[None] | None = None
        self.state: dict[str, str | int] = {"state": "none"}

    def project(self, number: int) -> Project:
        return Project(self._folder, number)

    async def model(self, number: int | None) -> LoadedModel:
        """The model trained on a project's corrections; the service's own where there is none."""
        if number is None:
            return self._service.model("", ENTITIES)
        async with self._opening:
            path = self.project(number).bundle()
            name = f"project-{number}-{path.parent.name}" if path else ""
            loaded = self._models.get(number)
            if path is None or (loaded is not None and loaded.name == name):
                return loaded or self._service.model("", ENTITIES)
            try:
                settings = ModelSettings(model=str(path))
                model = await asyncio.to_thread(LoadedModel.load, name, settings, Settings(), 1)
            except ModelError as error:
                log.error("a model trained for Label Studio cannot be loaded: %s", error)
                return loaded or self._service.model("", ENTITIES)
            for engine in model.engines:
                engine.start()
            self._models[number] = model
            if loaded is not None:
                await asyncio.to_thread(_close, loaded)
            return model

    async def train(self, number: int) -> None:
        """Start training on a project's corrections. Problems: 503 where one runs, 422 where there is too little data."""
        if self.state["state"] == "running":
            raise overloaded(60, "a training is running already; try again when it has ended")
        if find_spec("torch") is None:
            raise inconsistent(
                "training needs PyTorch where the service runs; install it with pip install 'textome[train]'"
            )
        before, self.state = self.state, {"state": "running", "project": number}
        try:
            project = self.project(number)
            base = self._service.model("", ENTITIES).bundle.directory
            run = await asyncio.to_thread(project.new_run, base)
        except BaseException:
            self.state = before
            raise
        self._training = asyncio.create_task(self._run(project, run))

    async def _run(self, project: Project, run: Path) -> None:
        process, code = None, 1
        try:
            for command in project.commands(run):
                process = await asyncio.to_thread(project.start, command)
                if code := await asyncio.to_thread(process.wait, _MAX_SECONDS):
                    break
            else:
                (run / "ready").touch()
        finally:
            if process is not None and process.poll() is None:
                process.kill()
            self.state = {"state": "failed" if code else "completed", "project": project.number}
            log.info("training for project %d ended with %d", project.number, code)

    async def close(self) -> None:
        """End a training that runs, and the models of projects."""
        if self._training is not None:
            self._training.cancel()
            await asyncio.gather(self._training, return_exceptions=True)
        for model in self._models.values():
            await asyncio.to_thread(_close, model)


def _close(model: LoadedModel) -> None:
    for engine in model.engines:
        engine.close()


def label_studio_routes(service: Service, backend: Backend) -> APIRouter:
    router = APIRouter(prefix=_PREFIX)

    @router.get("/health", summary="Label Studio: is the backend there?", responses=general_problems())
    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "Textome"}

    @router.get("/training", summary="Label Studio: how the training goes", responses=general_problems())
    async def training() -> dict[str, str | int]:
        return backend.state

    @router.post(
        "/setup",
        summary="Label Studio: connect a project",
        responses=PROBLEMS,
        openapi_extra=json_body("SetupRequest", None),
    )
    async def setup(request: Request) -> dict[str, str]:
        async with received(request, service, SetupRequest) as message:
            _read(LabelConfig.of, message.schema_)
            return {"model_version": (await backend.model(_number(message.project))).name}

    @router.post(
        "/predict",
        summary="Label Studio: entities of tasks, with the labels of the project",
        responses=PROBLEMS,
        openapi_extra=json_body("PredictRequest", None),
    )
    async def predict(request: Request) -> dict[str, Any]:
        async with received(request, service, PredictRequest) as message:
            config: LabelConfig = _read(LabelConfig.of, message.label_config)
            texts = [_read(config.text_of, task) for task in message.tasks]
            documents = [
                Document.from_text(replace_lone_surrogates(text), id=str(task.id))
                for text, task in zip(texts, message.tasks, strict=True)
            ]
            bounded(documents, service.limits)
            model = await backend.model(_number(message.project))
            labels = config.types([*model.model.types, *service.steps.added_types])
            if not labels:
                raise inconsistent(
                    f"the model knows {', '.join(model.model.types)}, and the project has none of these labels"
                )
            chosen = service.chosen(model, list(labels))
            annotated = await while_connected(request, service.annotate(model, documents, chosen, False))
            return {
                "results": [config.prediction(item, labels, model.name) for item in annotated],
                "model_version": model.name,
            }

    @router.post(
        "/webhook",
        summary="Label Studio: a correction was submitted, or training is asked for",
        status_code=201,
        responses=PROBLEMS,
        openapi_extra=json_body("WebhookRequest", None),
    )
    async def webhook(request: Request) -> Response:
        async with received(request, service, WebhookRequest) as message:
            try:
                handled = await asyncio.to_thread(_kept, backend, message)
                if message.action == "START_TRAINING":
                    await backend.train(message.project.id)
                    handled = True
            except InputError as error:
                raise inconsistent(without_text(error)) from error
            if not handled:
                return JSONResponse({"status": "ignored"})
            return JSONResponse({"status": "ok", "result": {}}, 201)

    return router


def _kept(backend: Backend, message: WebhookRequest) -> bool:
    """Keep or forget what an annotator did; returns whether the message was about that."""
    if message.action == "ANNOTATION_DELETED" and message.task is not None:
        backend.project(message.project.id).forget(message.task)
        return True
    if message.action not in _KEPT:
        return False
    if message.task is None or message.annotation is None:
        raise InputError("the message has no task or no annotation; send the payload of the webhook")
    if not message.annotation.was_cancelled:
        config = LabelConfig.of(message.project.label_config)
        backend.project(message.project.id).keep(message.task, message.annotation, config)
    return True


def _read(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except InputError as error:
        raise inconsistent(without_text(error)) from error


def _number(project: str | int | None) -> int | None:
    """The number of a project, which Label Studio sends as `id.timestamp`. Raises Problem (422) for anything else."""
    if project is None or project == "":
        return None
    head = str(project).partition(".")[0]
    if not (head.isascii() and head.isdigit() and len(head) < 19):
        raise Problem(
            422, "inconsistent", "A project without a number", "project: expected a number, as 7 or 7.1650000000"
        )
    return int(head)

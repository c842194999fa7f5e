"""The job of a run that trains a T5 on tasks as texts: one model, and a prefix for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from textome.datasets.labelled import LabelledText
from textome.encoders.encoder_decoder import EncoderDecoder
from textome.runtime.generation.targets import settings_of, write_targets
from textome.tasks.text_to_text import TextToText
from textome.text.tokenization import Tokenizer
from textome.training.bundles import lineage
from textome.training.job import Described, Job
from textome.training.losses import LOSSES, LossOptions
from textome.training.models import TextToTextModel
from textome.training.parallel.processes import Processes
from textome.training.preparation import prepare_encoder
from textome.training.recipe import Recipe
from textome.training.run import Report
from textome.training.text.data import TaskData, load_task
from textome.training.text_to_text.model import build_t5
from textome.training.translation.packing import TargetTask
from textome.training.translation.translator import SourceDecoder

# Validation records of a task that are written for after each epoch, greedily.
VALIDATED = 200


class TextToTextTask(TargetTask):
    """A task as texts; of long sources the first window."""

    def __init__(
        self, recipe: Recipe[TextToTextModel], data: TaskData, tokenizer: Tokenizer, device: torch.device
    ) -> None:
        self.data, self.name, self.weight = data, data.table.name, data.table.weight
        self.quarantine, self.hashes, self.leaks = data.quarantine, data.hashes, data.leaks
        self.loss, self.options = LOSSES["tokens"], LossOptions(recipe.training.label_smoothing)
        self._model, self._tokenizer, self._device = recipe.model, tokenizer, device
        self.start_id = tokenizer.start_id
        self.pairs = [
            (example.input_ids.tolist(), target.tolist())
            for example, target in zip(data.examples, data.targets, strict=True)
            if example.start == 0
        ]
        self.too_long = len({example.record for example in data.examples if example.start})
        self.lengths = [len(source) + len(target) for source, target in self.pairs]

    @property
    def task(self) -> TextToText:  # type: ignore[override]
        task: object = self.data.task
        assert isinstance(task, TextToText)
        return task

    def score(self, model: EncoderDecoder) -> tuple[dict[str, float], int]:
        """The main metric of what is written, greedily, for the first validation records."""
        scores, tokens = {}, 0
        for name, records in self.data.validation.items():
            chosen = cast("list[LabelledText]", records[:VALIDATED])
            examples = self.task.examples(chosen, self._tokenizer, self._model.window, self._model.overlap)
            tokens += sum(len(example.input_ids) for example in examples)
            settings = settings_of(self.task.model_copy(update={"beam": 1}))
            with torch.no_grad():
                written = write_targets(partial(SourceDecoder, model), examples, self._tokenizer, settings)
            predicted = self.task.decode(chosen, examples, written)
            scores[name] = self.task.score(chosen, predicted)[self.task.main_metric]
        return scores, tokens

    def counts(self) -> dict[str, Any]:
        return {
            "train_records": len(self.pairs),
            "train_records_longer_than_the_window": self.too_long,
            "train_tokens": sum(self.lengths),
            "validation_records": sum(map(len, self.data.validation.values())),
        }


class TextToTextJob(Job):
    """Trains a T5 on all tasks of a recipe together."""

    tasks: Sequence[TextToTextTask]
    _described: tuple[Mapping[str, Any], Path]

    @classmethod
    def of(cls, recipe: Recipe[TextToTextModel], folder: Path, processes: Processes, report: Report) -> TextToTextJob:
        """The job of a recipe, its data read and its model built."""
        model, tokenizer, base = build_t5(recipe)
        data = [load_task(recipe, table, tokenizer) for table in recipe.tasks]  # type: ignore[arg-type]
        if "rouge" in {table.task.metric for table in recipe.tasks}:
            data[0].task.score([], [])
        finish = prepare_encoder(model, recipe.training)
        model.to(processes.device)
        tasks = [TextToTextTask(recipe, item, tokenizer, processes.device) for item in data]
        job = cls(recipe, model, tasks, processes.device, finish=finish)
        job._described = model.config.to_dict(), base
        return job

    def described(self) -> Described:
        """Of a bundle that `transformers` loads as T5ForConditionalGeneration."""
        recipe, (config, base) = self.recipe, self._described
        lines = [f"- `{task.name}`: prefix {task.task.prefix!r}, {task.task.main_metric}" for task in self.tasks]
        lines += ["", f"Trained from `{recipe.model.base or recipe.model.tokenizer}`.", ""]
        own = {"kind": "text", "window": recipe.model.window, "overlap": recipe.model.overlap}

        return Described(config, base, own, lines, lineage(base), "text2text-generation")

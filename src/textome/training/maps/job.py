"""The job of a run over the pixels of images: a model that gives maps, and the task that reads masks or boxes off them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textome.encoders.transunet.model import TransUNet, TransUNetConfig
from textome.errors import InputError
from textome.inputs.pixels.pixels import PATCH, Pixels
from textome.inputs.pixels.regions import Picture
from textome.inputs.records import Floats
from textome.tasks.pixels.maps import MapTask
from textome.training.job import Batch, Described, Job, TrainingTask
from textome.training.losses import LOSSES, LossOptions
from textome.training.modality.data import ModalityRecords, load_records
from textome.training.models import MapEncoder
from textome.training.parallel.processes import Processes
from textome.training.preparation import prepare_encoder
from textome.training.recipe import Recipe
from textome.training.run import Report

# Validation images whose maps are kept to choose thresholds by.
MAX_CALIBRATION = 100


@dataclass(frozen=True)
class PackedTiles:
    """Tiles (B, channels, tile, tile), and what their maps should be, (B, planes, tile / stride, tile / stride)."""

    images: Tensor
    targets: Tensor
    sizes: list[int]
    num_tokens: int


class MapTrainingTask(TrainingTask[PackedTiles]):
    """Tiles drawn from images anew in every epoch; whole images are validated, in tiles that are merged."""

    task: MapTask[Any]

    def __init__(self, recipe: Recipe[MapEncoder], data: ModalityRecords, device: torch.device) -> None:
        assert isinstance(data.target, MapTask)
        assert isinstance(data.modality, Pixels)
        self.data, self.task, self.name = data, data.target, recipe.tasks[0].name
        self.pixels = data.modality
        self.quarantine, self.hashes, self.leaks = data.quarantine, data.hashes, data.leaks
        self._device, self._seed = device, recipe.training.seed
        self._train = self._usable(data.train)
        self._validation, self._test = self._usable(data.validation), self._usable(data.test)
        if not self._train:
            raise InputError(f"recipe {recipe.name}: no training image has labels of the model{data.quarantine.first}")
        self._examples = [
            number for number, record in enumerate(self._train) for _ in range(self.pixels.num_crops(record.content))
        ]
        self.lengths = [(self.pixels.tile // PATCH) ** 2] * len(self._examples)
        self.loss, self.options = LOSSES[self.task.loss], LossOptions()

    def packed(self, batch: Batch) -> PackedTiles:
        images, targets = [], []
        for index in batch.indices:
            generator = np.random.default_rng([self._seed, batch.epoch, index])
            tile, regions = self.pixels.drawn(self._train[self._examples[index]], generator)
            images.append(self.pixels.standardised(tile))
            targets.append(self.task.planes(regions, self.pixels.tile))
        some, expected = (torch.from_numpy(np.stack(values)).to(self._device) for values in (images, targets))
        some = some.to(memory_format=torch.channels_last)
        return PackedTiles(some, expected, [1] * len(images), sum(self.lengths[index] for index in batch.indices))

    def logits(self, model: TransUNet, packed: PackedTiles) -> tuple[Tensor, Tensor]:
        logits = model(packed.images).float()
        return logits, logits

    def count(self, indices: Sequence[int]) -> int:
        return len(indices)

    def score(self, model: TransUNet) -> tuple[dict[str, float], int]:
        if not self._validation:
            return {}, 0
        return {"validation": self.scores(model, self._validation)[self.task.main_metric]}, 0

    def calibrate(self, model: TransUNet) -> None:
        """Fit the task's thresholds to the validation data."""
        if some := self._validation[:MAX_CALIBRATION]:
            self.task = self.task.with_thresholds(some, list(self._maps(model, some)), self.pixels.scale)

    def test(self, model: TransUNet) -> dict[str, Any]:
        return {"records": len(self._test)} | self.scores(model, self._test) if self._test else {}

    def scores(self, model: TransUNet, records: Sequence[Picture]) -> dict[str, float]:
        """All scores of a model on images."""
        read = [
            self.task.read_off(maps, record.content.shape[0], record.content.shape[1], self.pixels.scale)
            for maps, record in zip(self._maps(model, records), records, strict=True)
        ]
        return self.task.score(records, read)

    def counts(self) -> dict[str, Any]:
        kinds = {"train": self._train, "validation": self._validation, "test": self._test}
        return {f"{name}_records": len(some) for name, some in kinds.items()} | {"train_tiles": len(self._examples)}

    def _usable(self, records: Sequence[Any]) -> list[Picture]:
        """The images that the task can learn from or be scored on; the others are quarantined."""
        usable = []
        for record in records:
            try:
                self.task.check_labels(record)
            except InputError as error:
                self.quarantine.add("", "", error)
            else:
                usable.append(record)
        return usable

    def _maps(self, model: TransUNet, records: Sequence[Picture]) -> Iterator[Floats]:
        """The maps of each image, activated."""

        def run(tile: Floats) -> Floats:
            with torch.no_grad():
                scores = model(torch.from_numpy(tile)[None].to(self._device)).float().cpu().numpy()[0]
            return self.task.activated(scores)

        for record in records:
            yield self.pixels.maps(record.content, self.task.stride, run)


class MapJob(Job):
    """Trains a model that gives maps."""

    bare: TransUNet
    tasks: Sequence[MapTrainingTask]

    @classmethod
    def of(cls, recipe: Recipe[MapEncoder], folder: Path, processes: Processes, report: Report) -> MapJob:
        """The job of a recipe, its data read and its model built. Raises InputError for another input than pixels."""
        if not isinstance(recipe.input, Pixels):
            raise InputError(f"recipe {recipe.name}: masks and boxes need modality.kind = 'pixels'")
        task = MapTrainingTask(recipe, load_records(recipe, recipe.input), processes.device)
        settings = recipe.model
        config = TransUNetConfig(
            vocab_size=1,
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.encoder_layers,
            num_attention_heads=settings.num_attention_heads,
            intermediate_size=settings.intermediate_size,
            max_position_embeddings=1,
            type_vocab_size=1,
            hidden_dropout_prob=settings.hidden_dropout,
            attention_probs_dropout_prob=settings.attention_dropout,
            initializer_range=settings.hidden_size**-0.5,
            channels=recipe.input.channels,
            tile=recipe.input.tile,
            widths=settings.widths,
            stride=task.task.stride,
            num_maps=len(task.task.biases),
        )
        model = TransUNet(config, task.task.biases)
        finish = prepare_encoder(model.encoder, recipe.training)
        model.to(processes.device)
        return cls(recipe, model, [task], processes.device, finish=finish)

    def described(self) -> Described:
        (task,) = self.tasks
        config = {"model_type": self.bare.config.model_type, "architectures": ["TransUNet"]} | asdict(self.bare.config)
        lines = [f"Reads: images in tiles of {task.pixels.tile} pixels. Answers: {task.task.kind}", ""]
        lines += [f"Labels: {', '.join(task.task.labels)}", ""]
        return Described(config, Path(), task.pixels.model_dump(mode="json"), lines)

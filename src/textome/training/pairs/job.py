"""The job of a run over pairs of two things, as molecules and proteins: two towers, and a number for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textome.encoders.towers import MODEL_TYPE, TowersConfig
from textome.encoders.towers.model import PairModel
from textome.errors import InputError
from textome.inputs.records import Floats, Modality, Record
from textome.metrics.outputs import score_outputs
from textome.tasks.affinity import Affinity
from textome.training.batches import cut_in_order
from textome.training.job import Batch, Described, Job, TrainingTask
from textome.training.losses import LOSSES, target_options
from textome.training.modality.data import ModalityRecords, load_records
from textome.training.models import PairEncoder
from textome.training.parallel.processes import Processes
from textome.training.preparation import prepare_encoder
from textome.training.recipe import Recipe
from textome.training.run import Report

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class PackedPairs:
    """Distinct things (A, F) and (B, G), and which of them the N pairs are of; targets (N, num_labels)."""

    first: Tensor
    second: Tensor
    first_index: Tensor
    second_index: Tensor
    targets: Tensor
    sizes: list[int]

    @property
    def num_tokens(self) -> int:
        return len(self.targets)


class Things:
    """The distinct things on one side of all pairs, as vectors."""

    def __init__(self, modality: Modality, name: str) -> None:
        self._modality, self._name = modality, name
        self._numbers: dict[Any, int] = {}
        self._vectors: list[Floats] = []

    def numbers(self, records: Sequence[Record]) -> Numbers:
        """(N,) the number of each record's thing."""
        return np.array([self._number(record.content[self._name]) for record in records], np.int64)

    def vectors(self) -> Floats:
        """(A, F) the vector of each number."""
        return np.stack(self._vectors)

    def _number(self, content: Any) -> int:
        if content not in self._numbers:
            self._numbers[content] = len(self._vectors)
            self._vectors.append(self._modality.features({self._name: content})[self._name].values[0])
        return self._numbers[content]


class PairTask(TrainingTask[PackedPairs]):
    """Numbers of pairs. What is read together are all training pairs of a first thing, so that few things pass a tower."""

    task: Affinity

    def __init__(self, recipe: Recipe[PairEncoder], data: ModalityRecords, device: torch.device) -> None:
        assert isinstance(data.target, Affinity)
        self.data, self.task, self.name = data, data.target, recipe.tasks[0].name
        self.quarantine, self.hashes, self.leaks = data.quarantine, data.hashes, data.leaks
        self._device = device
        self._sides = [Things(data.modality, name) for name in data.modality.shapes()]
        self._train, self._targets = self._numbers(data.train), self._rows(data.train)
        self._validation, self._test = self._numbers(data.validation), self._numbers(data.test)
        self._vectors = [torch.from_numpy(side.vectors()).to(device) for side in self._sides]
        order = np.argsort(self._train[0], kind="stable")
        self._groups = np.split(order, np.flatnonzero(np.diff(self._train[0][order])) + 1)
        self.lengths = [len(group) for group in self._groups]
        self.loss, self.options = LOSSES[self.task.loss], target_options(self.task, self._targets, 0.0, device)

    def packed(self, batch: Batch) -> PackedPairs:
        rows = np.concatenate([self._groups[index] for index in batch.indices])
        targets = torch.from_numpy(self._targets[rows]).to(self._device)
        sizes = [self.lengths[index] for index in batch.indices]
        first, second, first_index, second_index = self._things(self._train[:, rows])
        return PackedPairs(first, second, first_index, second_index, targets, sizes)

    def logits(self, model: PairModel, packed: PackedPairs) -> tuple[Tensor, Tensor]:
        logits = model(packed.first, packed.second, packed.first_index, packed.second_index).float()
        return logits, logits

    def count(self, indices: Sequence[int]) -> int:
        return int(sum(np.isfinite(self._targets[self._groups[index]]).sum() for index in indices))

    def score(self, model: PairModel) -> tuple[dict[str, float], int]:
        if not self.data.validation:
            return {}, 0
        value = self.scores(model, self.data.validation, self._validation)[self.task.main_metric]
        return {"validation": self.task.comparable(self.task.main_metric, value)}, 0

    def calibrate(self, model: PairModel) -> None:
        """Fit the widths of intervals to the validation pairs."""
        if self.data.validation:
            rows = self._rows(self.data.validation)
            self.task = self.task.with_intervals(rows, self._outputs(model, self._validation))

    def test(self, model: PairModel) -> dict[str, Any]:
        records = self.data.test
        return {"records": len(records)} | self.scores(model, records, self._test) if records else {}

    def scores(self, model: PairModel, records: Sequence[Record], numbers: Numbers) -> dict[str, float]:
        """All scores of a model on records whose things have these numbers (2, N)."""
        return score_outputs(self.task.kind, self._rows(records), self.task.answers(self._outputs(model, numbers)))

    def counts(self) -> dict[str, Any]:
        data = self.data
        records = {"train_pairs": data.train, "validation_pairs": data.validation, "test_pairs": data.test}
        things = dict(zip(data.modality.shapes(), map(len, self._vectors), strict=True))
        return {name: len(some) for name, some in records.items()} | {"things": things}

    def _numbers(self, records: Sequence[Record]) -> Numbers:
        """(2, N) the numbers of the things of each pair."""
        return np.stack([side.numbers(records) for side in self._sides])

    def _rows(self, records: Sequence[Record]) -> Floats:
        return np.stack([self.task.encode(record) for record in records])

    def _things(self, numbers: Numbers) -> list[Tensor]:
        """The first four fields of `PackedPairs`, of pairs of these things (2, N)."""
        distinct, index = zip(*(np.unique(row, return_inverse=True) for row in numbers), strict=True)
        things = [vectors[torch.from_numpy(rows)] for vectors, rows in zip(self._vectors, distinct, strict=True)]
        return [*things, *(torch.from_numpy(rows).to(self._device) for rows in index)]

    def _outputs(self, model: PairModel, numbers: Numbers, pairs: int = 20000) -> Floats:
        """(N, 2 num_labels) of pairs of these things (2, N)."""
        with torch.no_grad():
            outputs = [
                model(*self._things(numbers[:, start : start + pairs])).float().cpu().numpy()
                for start in range(0, numbers.shape[1], pairs)
            ]
        return np.concatenate(outputs)


class PairJob(Job):
    """Trains a model of pairs."""

    bare: PairModel
    tasks: Sequence[PairTask]

    @classmethod
    def of(cls, recipe: Recipe[PairEncoder], folder: Path, processes: Processes, report: Report) -> PairJob:
        """The job of a recipe, its data read, its model built. Raises InputError where a thing is not a single vector."""
        assert recipe.input is not None
        shapes = recipe.input.shapes()
        if len(shapes) != 2 or any(shape.kind != "vectors" or shape.axes != (1,) for shape in shapes.values()):
            raise InputError(
                f"recipe {recipe.name}: a model of pairs needs modality.kind = 'pairs' with two parts that are one vector "
                "each, as molecules with scheme = 'fingerprint' and proteins with scheme = 'kmers'"
            )
        data, settings = load_records(recipe, recipe.input), recipe.model
        config = TowersConfig(
            tuple(shape.size for shape in shapes.values()),
            settings.intermediate_size,
            settings.hidden_size,
            settings.joint_size,
            len(data.target.output_names),
            settings.hidden_dropout,
        )
        model = PairModel(config)
        finish = prepare_encoder(model.encoder, recipe.training)
        model.to(processes.device)
        return cls(recipe, model, [PairTask(recipe, data, processes.device)], processes.device, finish=finish)

    def plan(self, epoch: int) -> list[Batch]:
        (task,), settings = self.tasks, self.recipe.training
        generator = np.random.default_rng([settings.seed, epoch])
        # Nothing is padded, and batches of things sorted by size would leave small ones.
        batches = cut_in_order(generator.permutation(len(task.lengths)), np.array(task.lengths), settings.token_budget)
        return [Batch(0, batch, epoch) for batch in batches]

    def described(self) -> Described:
        (task,) = self.tasks
        config = {"model_type": MODEL_TYPE, "architectures": ["PairModel"]} | asdict(self.bare.config)
        names = " and ".join(task.data.modality.shapes())
        lines = [f"Reads: pairs of {names}. Answers: {', '.join(task.task.answer_names)}", ""]
        return Described(config, Path(), task.data.modality.model_dump(mode="json"), lines)

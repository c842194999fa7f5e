"""The job of a run with tasks: one encoder, a head for each task, batches of one task each; see `loop.Job`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from textome.encoders.heads import TaskModel
from textome.encoders.layers.packing import Layout
from textome.evaluation.task_scores import main_metric
from textome.tasks.inputs import Floats, Unit
from textome.training.batches import cut, plan
from textome.training.divergence import divergence_of
from textome.training.losses import contrastive, counted, loss_of
from textome.training.privacy import Each
from textome.training.task_data import PartData
from textome.training.task_recipe import TaskRecipe

Batch = tuple[int, list[int]]


class Weighted(nn.Module):
    """A task model with one learnt log variance for each task's loss (Kendall et al. 2018, equation 10).

    The variances are only of use while training, and no part of the checkpoint.
    """

    def __init__(self, model: TaskModel) -> None:
        super().__init__()
        self.encoder, self.heads = model.encoder, model.heads
        self.log_variances = nn.Parameter(torch.zeros(len(model.heads)))


class TaskJob:
    """Trains the heads of `parts` together; each validates by the metric of its recipe."""

    metric = "score"

    def __init__(self, recipe: TaskRecipe, model: TaskModel, parts: Sequence[PartData], device: torch.device) -> None:
        learnt = recipe.mixing.loss == "uncertainty"
        self.model: nn.Module = Weighted(model).to(device) if learnt else model
        self.parts = parts
        self._tasks, self._recipe, self._device = model, recipe, device
        self._lengths = [[len(unit.input_ids) for unit in part.units] for part in parts]
        self._losses = [loss_of(part, recipe.training.label_smoothing, device) for part in parts]
        self._divergences = [divergence_of(part) for part in parts]
        self.tokens = sum(map(sum, self._lengths))
        owned: dict[int, list[int]] = {}
        for index, owner in enumerate(parts[0].owners):
            owned.setdefault(owner, []).append(index)
        self.records = list(owned.values())

    def plan(self, epoch: int) -> list[Batch]:
        """Batches of all tasks, shuffled. The number of batches is that of all units once; with a temperature above 1
        the small tasks have more of them, read again, and the large ones fewer."""
        settings = self._recipe.training
        generator = np.random.default_rng([settings.seed, epoch])
        batches = [plan(lengths, settings.token_budget, generator) for lengths in self._lengths]
        if len(batches) == 1:
            return [(0, batch) for batch in batches[0]]
        total = sum(map(len, batches))
        shares = np.array([sum(lengths) for lengths in self._lengths], float) ** (1 / self._recipe.mixing.temperature)
        wanted = np.maximum(1, np.rint(total * shares / shares.sum()).astype(int))
        chosen: list[Batch] = []
        for number, count in enumerate(wanted.tolist()):
            while len(batches[number]) < count:
                batches[number] += plan(self._lengths[number], settings.token_budget, generator)
            chosen += [(number, batch) for batch in batches[number][:count]]
        return [chosen[index] for index in generator.permutation(len(chosen))]

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        number, indices = batch
        part = self.parts[number]
        indices = sorted(indices, key=lambda index: self._lengths[number][index])
        logits, pooled, tokens = self._pass(part, [part.units[index] for index in indices])
        targets = torch.from_numpy(np.concatenate([part.targets[index] for index in indices])).to(self._device)
        sizes = [len(part.targets[index]) for index in indices]
        value = self._losses[number](logits.float(), targets, sizes)
        if weight := self._recipe.training.r_drop:
            other, _, _ = self._pass(part, [part.units[index] for index in indices])
            again = self._losses[number](other.float(), targets, sizes)
            apart = self._divergences[number](logits.float(), other.float(), targets, sizes)
            value = (value + again + weight * apart) / 2
        if share := getattr(part.part, "contrastive", 0.0):
            value = (1 - share) * value + share * contrastive(pooled.float(), targets.view(-1))
        value = part.part.weight * value
        if isinstance(self.model, Weighted):
            spread = self.model.log_variances[number]
            value = torch.exp(-spread) * value + spread / 2
        return value, tokens

    def each(self, records: Sequence[Sequence[int]]) -> Each:
        """The losses of records of the first task, each the mean over its units; see privacy.py."""
        part, lengths = self.parts[0], self._lengths[0]
        members = [(lengths[index], at, index) for at, some in enumerate(records) for index in some]
        members.sort(key=lambda member: member[0])
        units, owner = [part.units[index] for _, _, index in members], torch.tensor([at for _, at, _ in members])
        logits, _, _ = self._pass(part, units)
        sizes = [len(unit.places) for unit in units]
        losses = torch.stack(
            [
                self._losses[0](rows.float(), torch.from_numpy(part.targets[index]).to(self._device), [len(rows)])
                for rows, (_, _, index) in zip(torch.split(logits, sizes), members, strict=True)
            ]
        )
        owned = owner.to(self._device)
        means = losses.new_zeros(len(records)).index_add(0, owned, losses)
        means = means / torch.bincount(owned, minlength=len(records))
        tokens, rows = (
            owner.repeat_interleave(torch.tensor(counts)).to(self._device)
            for counts in ([len(unit.input_ids) for unit in units], sizes)
        )
        return Each(means, tokens, rows)

    def length(self, record: Sequence[int]) -> int:
        return sum(self._lengths[0][index] for index in record)

    def size(self, batch: Batch) -> tuple[int, int]:
        number, indices = batch
        part = self.parts[number]
        tokens = sum(self._lengths[number][index] for index in indices)
        return tokens, counted(part, [part.targets[index] for index in indices])

    def cut(self, batch: Batch, budget: int) -> list[Batch]:
        number, indices = batch
        return [(number, some) for some in cut(indices, self._lengths[number], budget)]

    def validate(self) -> dict[str, float]:
        """The main metric of each task with validation data, between 0 and 1."""
        scores = {}
        for part in self.parts:
            if part.validation:
                units = part.task.units(part.validation)
                predicted: Any = part.task.predictions(part.validation, units, self.scores(part, units))
                scores[part.part.name] = main_metric(part.part, part.task, part.validation, predicted)
        return scores

    def scores(self, part: PartData, units: Sequence[Unit], token_budget: int = 8192) -> list[Floats]:
        """The scores (m, num_labels) of each unit, by the model as it is."""
        found: list[Floats] = [np.empty(0, np.float32)] * len(units)
        for indices in plan([len(unit.input_ids) for unit in units], token_budget, None):
            indices = sorted(indices, key=lambda index: len(units[index].input_ids))
            with torch.no_grad():
                logits, _, _ = self._pass(part, [units[index] for index in indices])
            rows = iter(logits.float().cpu().numpy())
            for index in indices:
                found[index] = np.stack([next(rows) for _ in range(len(units[index].places))])
        return found

    def _pass(self, part: PartData, units: Sequence[Unit]) -> tuple[Tensor, Tensor, int]:
        """The scores of units that are sorted by length, one after another, what they are scored from, and the tokens."""
        lengths = [len(unit.input_ids) for unit in units]
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        places = np.concatenate([unit.places + start for unit, start in zip(units, starts, strict=True)])
        layout = Layout.of(lengths, self._device)
        ids, types, where = (
            torch.from_numpy(array.astype(np.int64)).to(self._device)
            for array in (
                np.concatenate([unit.input_ids for unit in units]),
                np.concatenate([unit.token_type_ids for unit in units]),
                places,
            )
        )
        return *self._tasks.with_pooled(part.part.name, ids, layout, where, types), layout.num_tokens

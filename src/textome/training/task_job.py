"""The job of a run with tasks: one encoder, a head for each task, batches of one task each; see `loop.Job`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from textome.encoders.heads import TaskModel
from textome.encoders.layers.packing import Layout
from textome.tasks.examples import Example, Floats
from textome.text.tokenization import Tokenizer
from textome.training.batches import cut, plan
from textome.training.losses import LOSSES, contrastive, options_of
from textome.training.privacy import Each
from textome.training.task_data import TaskData
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
    """Trains the heads of tasks together; each validates by its metric."""

    metric = "score"

    def __init__(
        self,
        recipe: TaskRecipe,
        model: TaskModel,
        tasks: Sequence[TaskData],
        tokenizer: Tokenizer,
        device: torch.device,
    ) -> None:
        learnt = recipe.mixing.loss == "uncertainty"
        self.model: nn.Module = Weighted(model).to(device) if learnt else model
        self.tasks, self._tokenizer = tasks, tokenizer
        self._model, self._recipe, self._device = model, recipe, device
        self._lengths = [[len(example.input_ids) for example in data.examples] for data in tasks]
        self._losses = [LOSSES[data.task.loss] for data in tasks]
        self._options = [options_of(data.task, data.targets, recipe.training.label_smoothing, device) for data in tasks]
        self.tokens = sum(map(sum, self._lengths))
        owned: dict[int, list[int]] = {}
        for index, owner in enumerate(tasks[0].owners):
            owned.setdefault(owner, []).append(index)
        self.records = list(owned.values())

    def plan(self, epoch: int) -> list[Batch]:
        """Batches of all tasks, shuffled. The number of batches is that of all examples once; with a temperature above 1
        the small tasks have more of them, read again, and the large ones fewer."""
        settings = self._recipe.training
        generator = np.random.default_rng([settings.seed, epoch])
        batches = [plan(lengths, settings.token_budget, generator) for lengths in self._lengths]
        if len(batches) == 1:
            return [(0, batch) for batch in batches[0]]
        total = sum(map(len, batches))
        shares = np.array([sum(lengths) for lengths in self._lengths], float) ** (1 / self._recipe.mixing.temperature)
        counts = np.maximum(1, np.rint(total * shares / shares.sum()).astype(int))
        chosen: list[Batch] = []
        for number, count in enumerate(counts.tolist()):
            while len(batches[number]) < count:
                batches[number] += plan(self._lengths[number], settings.token_budget, generator)
            chosen += [(number, batch) for batch in batches[number][:count]]
        return [chosen[index] for index in generator.permutation(len(chosen))]

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        number, indices = batch
        data, loss = self.tasks[number], self._losses[number]
        indices = sorted(indices, key=lambda index: self._lengths[number][index])
        logits, pooled, tokens = self._pass(data, [data.examples[index] for index in indices])
        targets = torch.from_numpy(np.concatenate([data.targets[index] for index in indices])).to(self._device)
        sizes = [len(data.targets[index]) for index in indices]
        value = loss.value(logits.float(), targets, sizes, self._options[number])
        if weight := self._recipe.training.r_drop:
            other, _, _ = self._pass(data, [data.examples[index] for index in indices])
            again = loss.value(other.float(), targets, sizes, self._options[number])
            divergence = loss.divergence(logits.float(), other.float(), targets, sizes)
            value = (value + again + weight * divergence) / 2
        if share := getattr(data.task, "contrastive", 0.0):
            value = (1 - share) * value + share * contrastive(pooled.float(), targets.view(-1))
        value = data.table.weight * value
        if isinstance(self.model, Weighted):
            spread = self.model.log_variances[number]
            value = torch.exp(-spread) * value + spread / 2
        return value, tokens

    def each(self, records: Sequence[Sequence[int]]) -> Each:
        """The losses of records of the first task, each the mean over its examples; see privacy.py."""
        data, lengths = self.tasks[0], self._lengths[0]
        members = [(lengths[index], at, index) for at, some in enumerate(records) for index in some]
        members.sort(key=lambda member: member[0])
        examples, owner = [data.examples[index] for _, _, index in members], torch.tensor([at for _, at, _ in members])
        logits, _, _ = self._pass(data, examples)
        sizes = [len(example.positions) for example in examples]
        losses = torch.stack(
            [
                self._losses[0].value(
                    rows.float(), torch.from_numpy(data.targets[index]).to(self._device), [len(rows)], self._options[0]
                )
                for rows, (_, _, index) in zip(torch.split(logits, sizes), members, strict=True)
            ]
        )
        owned = owner.to(self._device)
        means = losses.new_zeros(len(records)).index_add(0, owned, losses)
        means = means / torch.bincount(owned, minlength=len(records))
        tokens, rows = (
            owner.repeat_interleave(torch.tensor(counts)).to(self._device)
            for counts in ([len(example.input_ids) for example in examples], sizes)
        )
        return Each(means, tokens, rows)

    def length(self, record: Sequence[int]) -> int:
        return sum(self._lengths[0][index] for index in record)

    def size(self, batch: Batch) -> tuple[int, int]:
        number, indices = batch
        data = self.tasks[number]
        tokens = sum(self._lengths[number][index] for index in indices)
        return tokens, self._losses[number].count([data.targets[index] for index in indices])

    def cut(self, batch: Batch, budget: int) -> list[Batch]:
        number, indices = batch
        return [(number, some) for some in cut(indices, self._lengths[number], budget)]

    def validate(self) -> dict[str, float]:
        """The main metric of each task with validation data, between 0 and 1."""
        scores = {}
        for data in self.tasks:
            if data.validation:
                examples = self.examples(data, data.validation)
                predicted = data.task.decode(data.validation, examples, self.scores(data, examples))
                scores[data.table.name] = data.task.score(data.validation, predicted)[data.task.metric]
        return scores

    def examples(self, data: TaskData, records: Sequence[Any]) -> list[Example]:
        """The model's inputs for records of a task."""
        return data.task.examples(records, self._tokenizer, self._recipe.model.window, self._recipe.model.overlap)

    def scores(self, data: TaskData, examples: Sequence[Example], token_budget: int = 8192) -> list[Floats]:
        """The scores (m, num_labels) of each example, by the model as it is."""
        found: list[Floats] = [np.empty(0, np.float32)] * len(examples)
        for indices in plan([len(example.input_ids) for example in examples], token_budget, None):
            indices = sorted(indices, key=lambda index: len(examples[index].input_ids))
            with torch.no_grad():
                logits, _, _ = self._pass(data, [examples[index] for index in indices])
            ends = np.cumsum([len(examples[index].positions) for index in indices])[:-1]
            for index, rows in zip(indices, np.split(logits.float().cpu().numpy(), ends), strict=True):
                found[index] = rows
        return found

    def _pass(self, data: TaskData, examples: Sequence[Example]) -> tuple[Tensor, Tensor, int]:
        """The scores of examples in order of length, end to end, what they are scored from, and the number of tokens."""
        lengths = [len(example.input_ids) for example in examples]
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        layout = Layout.of(lengths, self._device)
        ids = self._packed([example.input_ids for example in examples])
        types = [example.token_type_ids for example in examples if example.token_type_ids is not None]
        positions = self._packed([example.positions + at for example, at in zip(examples, starts, strict=True)])
        packed_types = self._packed(types) if types else None
        return *self._model.with_pooled(data.table.name, ids, layout, positions, packed_types), layout.num_tokens

    def _packed(self, arrays: Sequence[NDArray[np.int32]]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays).astype(np.int64)).to(self._device)

"""The job of a run over text: one encoder, a head for each task, batches of one task each; see `loop.Job`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
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
from textome.training.recipe import Recipe
from textome.training.task_data import TaskData
from textome.training.techniques.distillation import Teacher, hidden_state_distance, watched_states
from textome.training.techniques.privacy import Each
from textome.training.techniques.token_masking import mask_tokens
from textome.training.techniques.word_mixing import mixed

Batch = tuple[int, list[int]]


class TrainedModel(nn.Module):
    """A task model with what is only of use while training, and no part of the checkpoint.

    log_variances  one learnt for each task's loss (Kendall et al. 2018, equation 10)
    widen          makes its hidden states as wide as a teacher's, where they are not
    """

    def __init__(self, model: TaskModel, uncertainty: bool, teacher: Teacher | None) -> None:
        super().__init__()
        self.encoder, self.heads = model.encoder, model.heads
        self.log_variances = nn.Parameter(torch.zeros(len(model.heads))) if uncertainty else None
        self.widen: nn.Module = nn.Identity()
        if teacher is not None:
            narrow, wide = (int(item.encoder.config.hidden_size) for item in (model, teacher.model))
            self.widen = nn.Identity() if narrow == wide else nn.Linear(narrow, wide)


@dataclass(frozen=True)
class PackedExamples:
    """Examples of one task end to end, sorted by length.

    ids, types  (T,) int64; no types of a task that reads single texts
    positions   (M,) or (M, num_pooled_positions) int64 in the packed batch
    targets     (M, ...)
    sizes       how many of the M rows each example has
    """

    ids: Tensor
    types: Tensor | None
    layout: Layout
    positions: Tensor
    targets: Tensor
    sizes: list[int]


class TextJob:
    """Trains the heads of tasks together; each validates by its metric."""

    def __init__(
        self,
        recipe: Recipe,
        model: TaskModel,
        tasks: Sequence[TaskData],
        tokenizer: Tokenizer,
        device: torch.device,
        teacher: Teacher | None = None,
    ) -> None:
        uncertainty = recipe.mixing.loss == "uncertainty"
        self.model: nn.Module = model
        if uncertainty or teacher is not None:
            self.model = TrainedModel(model, uncertainty, teacher).to(device)
        self.tasks, self.teacher, self.tokenizer = tasks, teacher, tokenizer
        self.metric = tasks[0].task.metric if len(tasks) == 1 else "score"
        self._model, self._recipe, self._device = model, recipe, device
        self._lengths = [[len(example.input_ids) for example in data.examples] for data in tasks]
        self._losses = [LOSSES[data.task.loss] for data in tasks]
        smoothing = recipe.training.label_smoothing
        self._options = [options_of(data.task, data.targets, smoothing, device) for data in tasks]
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
        packed = self._packed(number, indices)
        value = self._labelled_loss(number, packed) if self.teacher is None else self._distilled_loss(number, packed)
        value = self.tasks[number].table.weight * value
        if isinstance(self.model, TrainedModel) and self.model.log_variances is not None:
            spread = self.model.log_variances[number]
            value = torch.exp(-spread) * value + spread / 2
        return value, packed.layout.num_tokens

    def _labelled_loss(self, number: int, packed: PackedExamples) -> Tensor:
        settings, loss, options = self._recipe.training, self._losses[number], self._options[number]
        packed = self._masked(packed)
        logits, pooled = self._pass(number, packed)
        value = loss.value(logits, packed.targets, packed.sizes, options)
        if settings.r_drop:
            other, _ = self._pass(number, packed)
            again = loss.value(other, packed.targets, packed.sizes, options)
            divergence = loss.divergence(logits, other, packed.targets, packed.sizes)
            value = (value + again + settings.r_drop * divergence) / 2
        if share := getattr(self.tasks[number].task, "contrastive", 0.0):
            value = (1 - share) * value + share * contrastive(pooled, packed.targets.view(-1))
        return value

    def _distilled_loss(self, number: int, packed: PackedExamples) -> Tensor:
        """Of labels, and of what the teacher says of the same texts; see distillation.py."""
        assert self.teacher is not None
        assert self._recipe.distillation is not None
        assert isinstance(self.model, TrainedModel)
        settings, loss = self._recipe.distillation, self._losses[number]
        name = self.tasks[number].table.name
        teacher_logits, teacher_states = self.teacher.read(
            name, packed.ids, packed.layout, packed.positions, packed.types
        )
        with watched_states(self._model.encoder, packed.positions) as student_states:
            logits, _ = self._pass(number, self._masked(packed))
        value = (1 - settings.scores) * loss.value(logits, packed.targets, packed.sizes, self._options[number])
        distillation_loss = loss.distillation(logits, teacher_logits.float(), packed.sizes, settings.temperature)
        value = value + settings.scores * distillation_loss
        distance = hidden_state_distance(student_states.values, teacher_states, self.model.widen)
        return value + settings.states * distance

    def each(self, records: Sequence[Sequence[int]]) -> Each:
        """The losses of records of the first task, see privacy.py."""
        lengths = self._lengths[0]
        members = [(lengths[index], at, index) for at, some in enumerate(records) for index in some]
        members.sort(key=lambda member: member[0])  # stable, as `_packed` sorts
        packed = self._masked(self._packed(0, [index for _, _, index in members]))
        if packed.types is None:  # so that their table is read as a layer, whose gradients are known for each record
            packed = replace(packed, types=torch.zeros_like(packed.ids))
        logits, _ = self._pass(0, packed)
        owner = torch.tensor([at for _, at, _ in members], device=self._device)
        tokens, rows = (
            owner.repeat_interleave(torch.tensor(counts, device=self._device))
            for counts in ([length for length, _, _ in members], packed.sizes)
        )
        losses = self._losses[0].each(logits, packed.targets, packed.sizes, self._options[0], owner, rows, len(records))
        return Each(losses, tokens, rows)

    def length(self, record: Sequence[int]) -> int:
        return sum(self._lengths[0][index] for index in record)

    def size(self, batch: Batch) -> tuple[int, int]:
        number, indices = batch
        targets = [self.tasks[number].targets[index] for index in indices]
        return sum(self._lengths[number][index] for index in indices), self._losses[number].count(targets)

    def cut(self, batch: Batch, budget: int) -> list[Batch]:
        number, indices = batch
        return [(number, some) for some in cut(indices, self._lengths[number], budget)]

    def validate(self) -> dict[str, float]:
        """The metric of each task with validation data, between 0 and 1: of several corpora their mean, or, where there is
        only one task, that on each of them."""
        return self.score(self._model)[0]

    def score(self, model: TaskModel) -> tuple[dict[str, float], int]:
        """What `validate` returns, of any model of these tasks, and how many tokens it read."""
        scores: dict[str, float] = {}
        tokens = 0
        for data in self.tasks:
            found = {}
            for name, records in data.validation.items():
                examples = self.examples(data, records)
                tokens += sum(len(example.input_ids) for example in examples)
                predicted = data.task.decode(records, examples, self.scores(data, examples, model))
                found[name] = data.task.score(records, predicted)[data.task.metric]
            if len(self.tasks) > 1 and found:
                found = {data.table.name: sum(found.values()) / len(found)}
            scores |= found
        return scores, tokens

    def examples(self, data: TaskData, records: Sequence[Any]) -> list[Example]:
        """The model's inputs for records of a task."""
        return data.task.examples(records, self.tokenizer, self._recipe.model.window, self._recipe.model.overlap)

    def scores(self, data: TaskData, examples: Sequence[Example], model: TaskModel | None = None) -> list[Floats]:
        """The scores (m, num_labels) of each example, by the model as it is, or another one."""
        found: list[Floats] = [np.empty(0, np.float32)] * len(examples)
        for indices in plan([len(example.input_ids) for example in examples], 8192, None):
            indices = sorted(indices, key=lambda index: len(examples[index].input_ids))
            some = [examples[index] for index in indices]
            ids, types, layout, positions = self._inputs(some)
            with torch.no_grad():
                logits, _ = (model or self._model).with_pooled(data.table.name, ids, layout, positions, types)
            ends = np.cumsum([len(example.positions) for example in some])[:-1]
            for index, rows in zip(indices, np.split(logits.float().cpu().numpy(), ends), strict=True):
                found[index] = rows
        return found

    def _packed(self, number: int, indices: Sequence[int]) -> PackedExamples:
        """Examples of a task, sorted by length so that equally long ones are neighbours."""
        data = self.tasks[number]
        indices = sorted(indices, key=lambda index: self._lengths[number][index])
        ids, types, layout, positions = self._inputs([data.examples[index] for index in indices])
        rows = [data.targets[index] for index in indices]
        targets = torch.from_numpy(np.concatenate(rows))
        targets = targets if targets.is_floating_point() else targets.long()
        return PackedExamples(ids, types, layout, positions, targets.to(self._device), [len(item) for item in rows])

    def _inputs(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor | None, Layout, Tensor]:
        """Ids, token types, layout and positions of examples in the packed batch that they make."""
        lengths = [len(example.input_ids) for example in examples]
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        types = [example.token_type_ids for example in examples if example.token_type_ids is not None]
        return (
            self._tensor([example.input_ids for example in examples]),
            self._tensor(types) if types else None,
            Layout.of(lengths, self._device),
            self._tensor([example.positions + at for example, at in zip(examples, starts, strict=True)]),
        )

    def _tensor(self, arrays: Sequence[NDArray[Any]]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays).astype(np.int64)).to(self._device)

    def _masked(self, packed: PackedExamples) -> PackedExamples:
        share = self._recipe.training.token_masking
        if not share:
            return packed
        return replace(packed, ids=mask_tokens(packed.ids, packed.layout, share, self.tokenizer.mask_id))

    def _pass(self, number: int, packed: PackedExamples) -> tuple[Tensor, Tensor]:
        """The scores (M, num_labels), and what they are taken from (M, hidden_size), in fp32."""
        alpha = self._recipe.training.word_mixing
        mixing: AbstractContextManager[None] = nullcontext()
        if alpha:
            mixing = mixed(self._model.encoder, packed.positions, packed.targets.cpu(), alpha)
        with mixing:
            logits, pooled = self._model.with_pooled(
                self.tasks[number].table.name, packed.ids, packed.layout, packed.positions, packed.types
            )
        return logits.float(), pooled.float()

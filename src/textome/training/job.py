"""The job of a run: tasks that a model learns, in batches of one task each; see `loop.Job`.

A `TrainingTask` knows the data of one task: how examples are packed, and how a model reads them. What is done with the
scores, whatever they are of, is here: losses, their weights, and the techniques that add to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.tasks import Task
from textome.training.batches import cut, plan
from textome.training.bundles import card, environment, write_folder
from textome.training.losses import Loss, LossOptions, classes_of, contrastive
from textome.training.recipe import Recipe
from textome.training.recipe_files import provenance_of
from textome.training.techniques.distillation import Teacher, hidden_state_distance, watched_hidden_states
from textome.training.techniques.early_exit import ExitGate


class Batch(NamedTuple):
    """Examples of one task, both by their numbers, as they are read in an epoch."""

    task: int
    indices: list[int]
    epoch: int = 0


class Packed(Protocol):
    """Examples of one task end to end.

    targets   (M, ...)
    sizes     how many of the M rows each example has
    """

    @property
    def num_tokens(self) -> int: ...
    @property
    def targets(self) -> Tensor: ...
    @property
    def sizes(self) -> Sequence[int]: ...


PackedKind = TypeVar("PackedKind", bound=Packed)


class TrainingTask(ABC, Generic[PackedKind]):
    """A task with what it trains on.

    task      with what it has learnt from the training records
    lengths   tokens of each example
    hashes    sha256 of each file that was read
    leaks     how many training records were left out, since a test file holds them
    weight    of its loss beside those of other tasks
    """

    name: str
    task: Task[Any, Any]  # each class of training tasks names its own
    lengths: Sequence[int]
    loss: Loss
    options: LossOptions
    quarantine: Quarantine
    hashes: Mapping[str, str]
    leaks: int = 0
    weight: float = 1.0

    @abstractmethod
    def packed(self, batch: Batch) -> PackedKind:
        """Examples as they are read, the same whenever they are asked for."""

    def hidden(self, packed: PackedKind) -> PackedKind:
        """The same with some of its tokens hidden, where the recipe asks for it."""
        return packed

    @abstractmethod
    def logits(self, model: Any, packed: PackedKind) -> tuple[Tensor, Tensor]:
        """The scores (M, num_labels) of a model, and what they are taken from, in fp32."""

    def further_loss(self, pooled: Tensor, packed: PackedKind) -> Tensor | None:
        """What is added to the loss, of what `logits` gives beside the scores."""
        return None

    @abstractmethod
    def count(self, indices: Sequence[int]) -> int:
        """Over how many things the loss of examples is a mean."""

    @abstractmethod
    def score(self, model: Any) -> tuple[dict[str, float], int]:
        """The metric on each validation set by its name, between 0 and 1, more is better; and how many tokens were read."""

    def calibrate(self, model: Any) -> None:
        """Fit what the task says of its confidence to the validation data."""

    def test(self, model: Any) -> dict[str, Any]:
        """How many `records` of test data there are, and all scores on them; empty if there are none."""
        return {}

    @abstractmethod
    def counts(self) -> dict[str, Any]:
        """How much was read, by what it is."""

    def report(self) -> dict[str, Any]:
        """What was read, for data.json."""
        return self.counts() | {
            "left_out_as_leaks": self.leaks,
            "quarantined": self.quarantine.count,
            "first_problems": [str(record) for record in self.quarantine.records[:20]],
            "sha256": dict(self.hashes),
        }


@dataclass(frozen=True)
class Described:
    """What a bundle says of a model.

    config    its `config.json`
    base      the folder whose tokenizer files it takes
    input     how it reads, as `textome.json` has it
    lines     what the model does and what it was trained on, for its card
    lineage   what is recorded of the making of what it started from
    """

    config: Mapping[str, Any]
    base: Path
    input: Mapping[str, Any]
    lines: Sequence[str]
    lineage: dict[str, Any] = field(default_factory=dict)
    pipeline_tag: str = ""


class TrainedModel(nn.Module):
    """A model with what is only of use while training, and no part of the bundle.

    log_variances  one learnt for each task's loss (Kendall et al. 2018, equation 10)
    widen          makes its hidden states as wide as a teacher's, where they are not
    exit_gate      says which tokens leave its encoder early, behind layer `early_exit`
    """

    def __init__(self, model: nn.Module, uncertain: int, teacher: Teacher | None, early_exit: int = 0) -> None:
        super().__init__()
        for name, parameter in model.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, child in model.named_children():
            self.add_module(name, child)
        self.log_variances = nn.Parameter(torch.zeros(uncertain)) if uncertain else None
        self.widen: nn.Module = nn.Identity()
        if teacher is not None:
            narrow, wide = (_width(item) for item in (model, teacher.model))
            self.widen = nn.Identity() if narrow == wide else nn.Linear(narrow, wide)
        self.exit_gate: ExitGate | None = None
        if early_exit:
            if early_exit >= (layers := _num_layers(model)):
                raise InputError(
                    f"training.early_exit is {early_exit}, but the model has {layers} layers: take a lower one"
                )
            self.exit_gate = ExitGate(_width(model), early_exit)


def _width(model: Any) -> int:
    return int(model.encoder.config.hidden_size)


def _num_layers(model: nn.Module) -> int:
    return sum(1 for _ in model.get_submodule("encoder.layers").children())


class Job(ABC):
    """Trains tasks together; each validates by its metric.

    bare      the model that a bundle holds; `model` is the one that is trained, with what is of use for that alone
    finish    makes the bare model a plain one again, after training
    output    the folder of what a run leaves
    """

    output: ClassVar[str] = "bundle"

    def __init__(
        self,
        recipe: Recipe[Any],
        model: nn.Module,
        tasks: Sequence[TrainingTask[Any]],
        device: torch.device,
        teacher: Teacher | None = None,
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        self.recipe, self.bare, self.tasks, self.device = recipe, model, tasks, device
        self.teacher, self.finish = teacher, finish
        uncertain = len(tasks) if recipe.mixing.loss == "uncertainty" else 0
        self.model = model
        if uncertain or teacher is not None or recipe.training.early_exit:
            self.model = TrainedModel(model, uncertain, teacher, recipe.training.early_exit).to(device)
        self.metric = tasks[0].task.main_metric if len(tasks) == 1 else "score"
        self.tokens = sum(sum(task.lengths) for task in tasks)

    @property
    def root(self) -> nn.Module:
        """What is called by itself, and whose layers may be spread over processes."""
        return self.bare.get_submodule("encoder")

    @property
    def log_values(self) -> dict[str, Any]:
        """What the log says of the job at the start."""
        return {"tokens_per_epoch": self.tokens}

    def measured(self, seconds: float) -> Mapping[str, float]:
        """What the log says of the last steps, which took so many seconds."""
        return {}

    def plan(self, epoch: int) -> list[Batch]:
        """Batches of all tasks, shuffled. The number of batches is that of all examples once; with a temperature above 1
        the small tasks have more of them, read again, and the large ones fewer."""
        settings = self.recipe.training
        generator = np.random.default_rng([settings.seed, epoch])
        batches = [plan(task.lengths, settings.token_budget, generator) for task in self.tasks]
        for task, own in zip(self.tasks, batches, strict=True):
            if not own:
                raise InputError(f"task {task.name!r}: no training record is left{task.quarantine.first}")
        if len(batches) == 1:
            return [Batch(0, batch, epoch) for batch in batches[0]]
        total = sum(map(len, batches))
        shares = np.array([sum(task.lengths) for task in self.tasks], float) ** (1 / self.recipe.mixing.temperature)
        counts = np.maximum(1, np.rint(total * shares / shares.sum()).astype(int))
        chosen: list[Batch] = []
        for number, count in enumerate(counts.tolist()):
            while len(batches[number]) < count:
                batches[number] += plan(self.tasks[number].lengths, settings.token_budget, generator)
            chosen += [Batch(number, batch, epoch) for batch in batches[number][:count]]
        return [chosen[index] for index in generator.permutation(len(chosen))]

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        task = self.tasks[batch.task]
        packed = task.packed(batch)
        value = self._labelled_loss(task, packed) if self.teacher is None else self._distilled_loss(task, packed)
        value = task.weight * value
        if isinstance(self.model, TrainedModel) and self.model.log_variances is not None:
            spread = self.model.log_variances[batch.task]
            value = torch.exp(-spread) * value + spread / 2
        return value, packed.num_tokens

    def _labelled_loss(self, task: TrainingTask[Any], packed: Any) -> Tensor:
        weight, loss = self.recipe.training.r_drop, task.loss
        packed = task.hidden(packed)
        gate = self.model.exit_gate if isinstance(self.model, TrainedModel) else None
        if gate is not None:
            return self._loss_with_exits(gate, task, packed)
        logits, pooled = task.logits(self.bare, packed)
        value = self._value(task, logits, pooled, packed)
        if weight:
            other, further = task.logits(self.bare, packed)
            again = self._value(task, other, further, packed)
            divergence = loss.divergence(logits, other, packed.targets, packed.sizes)
            value = (value + again + weight * divergence) / 2
        if share := getattr(task.task, "contrastive", 0.0):
            value = (1 - share) * value + share * contrastive(pooled, classes_of(packed.targets))
        return value

    def _loss_with_exits(self, gate: ExitGate, task: TrainingTask[Any], packed: Any) -> Tensor:
        """Of a batch whose tokens leave early, or of one whose tokens all stay, from which the gate learns."""
        threshold = gate.draw()
        with gate.leaving(self.bare.get_submodule("encoder"), threshold) as seen:
            logits, pooled = task.logits(self.bare, packed)
        value = self._value(task, logits, pooled, packed)
        if threshold is not None:
            return value
        return value + gate.loss(seen, logits, packed.targets, packed.sizes, packed.positions, packed.layout)

    @staticmethod
    def _value(task: TrainingTask[Any], logits: Tensor, pooled: Tensor, packed: Any) -> Tensor:
        value = task.loss.value(logits, packed.targets, packed.sizes, task.options)
        further = task.further_loss(pooled, packed)
        return value if further is None else value + further

    def _distilled_loss(self, task: TrainingTask[Any], packed: Any) -> Tensor:
        """Of labels, and of what the teacher says of the same examples; see distillation.py."""
        assert self.teacher is not None
        assert self.recipe.distillation is not None
        assert isinstance(self.model, TrainedModel)
        settings, loss, positions = self.recipe.distillation, task.loss, packed.positions
        teacher_logits, teacher_hidden = self.teacher.read(lambda model: task.logits(model, packed)[0], positions)
        with watched_hidden_states(self.bare.get_submodule("encoder"), positions) as student_hidden:
            logits, _ = task.logits(self.bare, task.hidden(packed))
        value = (1 - settings.scores) * loss.value(logits, packed.targets, packed.sizes, task.options)
        assert loss.distillation is not None
        distillation_loss = loss.distillation(logits, teacher_logits, packed.sizes, settings.temperature)
        value = value + settings.scores * distillation_loss
        distance = hidden_state_distance(student_hidden.values, teacher_hidden, self.model.widen)
        return value + settings.hidden_states * distance

    def size(self, batch: Batch) -> tuple[int, int]:
        task = self.tasks[batch.task]
        return sum(task.lengths[index] for index in batch.indices), task.count(batch.indices)

    def cut(self, batch: Batch, budget: int) -> list[Batch]:
        parts = cut(batch.indices, self.tasks[batch.task].lengths, budget)
        return [batch._replace(indices=indices) for indices in parts]

    def validate(self) -> dict[str, float]:
        """The metric of each task with validation data, between 0 and 1: of several sets their mean, or, where there is
        only one task, that on each of them."""
        return self.score(self.bare)[0]

    def score(self, model: nn.Module) -> tuple[dict[str, float], int]:
        """What `validate` returns, of any model of these tasks, and how many tokens it read."""
        scores: dict[str, float] = {}
        tokens = 0
        for task in self.tasks:
            every_score, used = task.score(model)
            # A score that there is not, as concordance without any pair, is NaN; nothing can be chosen by it.
            task_scores = {name: value for name, value in every_score.items() if value == value}
            tokens += used
            if len(self.tasks) > 1 and task_scores:
                task_scores = {task.name: sum(task_scores.values()) / len(task_scores)}
            scores |= task_scores
        return scores, tokens

    def calibrate(self) -> None:
        """Fit what the tasks say of their confidence to the validation data."""
        for task in self.tasks:
            task.calibrate(self.bare)

    def report(self) -> dict[str, Any]:
        """What was read, for data.json."""
        return {task.name: task.report() for task in self.tasks}

    @property
    def quarantines(self) -> Iterable[Quarantine]:
        return (task.quarantine for task in self.tasks)

    @abstractmethod
    def described(self) -> Described:
        """What a bundle says of the model, beside its tasks and their making."""

    def write(self, folder: Path, model: Any, progress: Mapping[str, Any], more: dict[str, Any]) -> Path:
        """Write the bundle, which appears whole or not at all.

        model   `bare` with all its weights
        more    what else the bundle tells of its making: "test", "privacy"
        """
        recipe, own = self.recipe, self.described()
        provenance = {
            "recipe": provenance_of(recipe),
            "data": {task.name: task.hashes for task in self.tasks},
            "left_out_as_leaks": {task.name: task.leaks for task in self.tasks},
            "validation": progress["scores"],
            "best_epoch": progress["best_epoch"],
            "environment": environment(self.device),
        }
        description = {
            "format_version": 2,
            "name": recipe.name,
            "input": own.input,
            "tasks": {task.name: task.task.model_dump(mode="json") for task in self.tasks},
            "provenance": provenance | own.lineage | more,
        }
        metrics = {task.name: task.task.main_metric for task in self.tasks}
        text = card(recipe, own.lines, metrics, progress, more, own.pipeline_tag)
        return write_folder(folder, model, own.config, own.base, description, text)

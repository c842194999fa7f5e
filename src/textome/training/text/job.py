"""The job of a run over text: one encoder, and a head for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textome.encoders import encoder_of
from textome.encoders.build import read_encoder_config
from textome.encoders.heads import TaskModel
from textome.encoders.layers.packing import Layout
from textome.tasks import SomeTask
from textome.tasks.examples import Example, Floats
from textome.text.tokenization import Tokenizer
from textome.training.batches import plan
from textome.training.bundles import architecture, base_directory, lineage
from textome.training.job import Batch, Described, Job, TrainingTask
from textome.training.losses import LOSSES, options_of
from textome.training.parallel.processes import Processes
from textome.training.preparation import prepare_encoder, read_base
from textome.training.recipe import Recipe
from textome.training.run import Report
from textome.training.techniques.distillation import Teacher
from textome.training.techniques.kept_heads import continuing, load_base
from textome.training.techniques.privacy import Each
from textome.training.techniques.token_masking import mask_tokens
from textome.training.techniques.word_mixing import mixed
from textome.training.text.data import TaskData, load_task


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

    @property
    def num_tokens(self) -> int:
        return self.layout.num_tokens


class TextTask(TrainingTask[PackedExamples]):
    """A task over text: its examples stay the same in each epoch."""

    def __init__(self, recipe: Recipe, data: TaskData, tokenizer: Tokenizer, device: torch.device) -> None:
        self.data, self.name, self.weight = data, data.table.name, data.table.weight
        self.quarantine, self.hashes, self.leaks = data.quarantine, data.hashes, data.leaks
        self._recipe, self._tokenizer, self._device = recipe, tokenizer, device
        self.lengths = [len(example.input_ids) for example in data.examples]
        self.loss = LOSSES[data.task.loss]
        self.options = options_of(data.task, data.targets, recipe.training.label_smoothing, device)

    @property
    def task(self) -> SomeTask:  # type: ignore[override]
        return self.data.task

    def packed(self, batch: Batch) -> PackedExamples:
        indices = sorted(batch.indices, key=lambda index: self.lengths[index])
        ids, types, layout, positions = self._inputs([self.data.examples[index] for index in indices])
        rows = [self.data.targets[index] for index in indices]
        targets = torch.from_numpy(np.concatenate(rows))
        targets = targets if targets.is_floating_point() else targets.long()
        return PackedExamples(ids, types, layout, positions, targets.to(self._device), [len(item) for item in rows])

    def hidden(self, packed: PackedExamples) -> PackedExamples:
        share = self._recipe.training.token_masking
        if not share:
            return packed
        return replace(packed, ids=mask_tokens(packed.ids, packed.layout, share, self._tokenizer.mask_id))

    def logits(self, model: TaskModel, packed: PackedExamples) -> tuple[Tensor, Tensor]:
        alpha = self._recipe.training.word_mixing
        mixing: AbstractContextManager[None] = nullcontext()
        if alpha:
            mixing = mixed(model.encoder, packed.positions, packed.targets.cpu(), alpha)
        with mixing:
            logits, pooled = model.with_pooled(self.name, packed.ids, packed.layout, packed.positions, packed.types)
        return logits.float(), pooled.float()

    def count(self, indices: Sequence[int]) -> int:
        return self.loss.count([self.data.targets[index] for index in indices])

    def each(self, model: TaskModel, records: Sequence[Sequence[int]]) -> Each:
        """The losses of records, given as the numbers of their examples; see privacy.py."""
        members = [(self.lengths[index], at, index) for at, some in enumerate(records) for index in some]
        members.sort(key=lambda member: member[0])  # stable, as `packed` sorts
        packed = self.hidden(self.packed(Batch(0, [index for _, _, index in members])))
        if packed.types is None:  # so that their table is read as a layer, whose gradients are known for each record
            packed = replace(packed, types=torch.zeros_like(packed.ids))
        logits, _ = self.logits(model, packed)
        owner = torch.tensor([at for _, at, _ in members], device=self._device)
        tokens, rows = (
            owner.repeat_interleave(torch.tensor(counts, device=self._device))
            for counts in ([length for length, _, _ in members], packed.sizes)
        )
        losses = self.loss.each(logits, packed.targets, packed.sizes, self.options, owner, rows, len(records))
        return Each(losses, tokens, rows)

    def score(self, model: TaskModel) -> tuple[dict[str, float], int]:
        task, scores, tokens = self.task, {}, 0
        for name, records in self.data.validation.items():
            examples = self.examples(records)
            tokens += sum(len(example.input_ids) for example in examples)
            predicted = task.decode(records, examples, self.scores(model, examples))
            scores[name] = task.score(records, predicted)[task.metric]
        return scores, tokens

    def calibrate(self, model: TaskModel) -> None:
        """Give the task the temperature and threshold that fit it best."""
        records = [record for some in self.data.validation.values() for record in some]
        if records and self.task.has_calibration:
            examples = self.examples(records)
            self.data.task = self.task.calibrated(records, examples, self.scores(model, examples))

    def examples(self, records: Sequence[Any]) -> list[Example]:
        """The model's inputs for records."""
        return self.task.examples(records, self._tokenizer, self._recipe.model.window, self._recipe.model.overlap)

    def scores(self, model: TaskModel, examples: Sequence[Example]) -> list[Floats]:
        """The scores (m, num_labels) of each example."""
        scores: list[Floats] = [np.empty(0, np.float32)] * len(examples)
        for indices in plan([len(example.input_ids) for example in examples], 8192, None):
            indices = sorted(indices, key=lambda index: len(examples[index].input_ids))
            some = [examples[index] for index in indices]
            ids, types, layout, positions = self._inputs(some)
            with torch.no_grad():
                logits, _ = model.with_pooled(self.name, ids, layout, positions, types)
            ends = np.cumsum([len(example.positions) for example in some])[:-1]
            for index, rows in zip(indices, np.split(logits.float().cpu().numpy(), ends), strict=True):
                scores[index] = rows
        return scores

    def counts(self) -> dict[str, Any]:
        data = self.data
        counts = {
            "train_records": data.num_records,
            "train_inputs": len(data.examples),
            "train_tokens": sum(self.lengths),
            "validation_records": sum(map(len, data.validation.values())),
        }
        return counts | ({"corpora": data.report} if data.report else {})

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


class TextJob(Job):
    """Trains the heads of tasks together.

    records   of the first task, as the numbers of their examples; see privacy.py
    """

    bare: TaskModel
    tasks: Sequence[TextTask]
    _base: Path
    _config: Mapping[str, Any]

    def __init__(
        self,
        recipe: Recipe,
        model: TaskModel,
        tasks: Sequence[TaskData],
        tokenizer: Tokenizer,
        device: torch.device,
        teacher: Teacher | None = None,
        **more: Any,
    ) -> None:
        trained = [TextTask(recipe, data, tokenizer, device) for data in tasks]
        super().__init__(recipe, model, trained, device, teacher, **more)
        owned: dict[int, list[int]] = {}
        for index, owner in enumerate(tasks[0].owners):
            owned.setdefault(owner, []).append(index)
        self.records = list(owned.values())

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, processes: Processes, report: Report) -> TextJob:
        """The job of a recipe, its data read and its model built."""
        base, device = base_directory(recipe.model.base), processes.device
        recipe, tokenizer = continuing(recipe, base), Tokenizer.load(base)
        tasks = [load_task(recipe, table, tokenizer, folder, report) for table in recipe.tasks]
        by_name = {data.table.name: data.task for data in tasks}
        model, config = build_model(recipe, base, by_name, report)
        finish = prepare_encoder(model.encoder, recipe.training)
        model.to(device)
        teacher = None
        if recipe.distillation is not None and not recipe.distillation.once:
            teacher = Teacher(recipe.distillation, by_name, tokenizer, recipe.model.window, device)
        job = cls(recipe, model, tasks, tokenizer, device, teacher, finish=finish)
        job._base, job._config = base, config
        return job

    def each(self, records: Sequence[Sequence[int]]) -> Each:
        """The losses of records of the first task; see privacy.py."""
        return self.tasks[0].each(self.bare, records)

    def length(self, record: Sequence[int]) -> int:
        return sum(self.tasks[0].lengths[index] for index in record)

    def described(self) -> Described:
        """Of a bundle that with one task `transformers` loads too."""
        recipe, config, tasks = self.recipe, self._config, self.tasks
        described = {key: value for key, value in config.items() if key not in ("id2label", "label2id")}
        described["architectures"] = [architecture(config, "Model")]
        described |= encoder_of(config).config
        if len(tasks) == 1 and (joined := tasks[0].task.head_shape.num_pooled_positions) <= 1:
            labels = tasks[0].task.checkpoint_labels
            described["architectures"] = [
                architecture(config, "ForSequenceClassification" if joined else "ForTokenClassification")
            ]
            described["id2label"] = {str(number): name for number, name in enumerate(labels)}
            described["label2id"] = {name: number for number, name in enumerate(labels)}
        lines = [f"- `{task.name}` ({task.task.kind}): {', '.join(task.task.label_names)}" for task in tasks]
        if caveats := [task.task.checkpoint_caveat for task in tasks if task.task.checkpoint_caveat]:
            described["textome"] = " ".join(caveats)
            lines += ["", *caveats]
        sources = ", ".join(corpus.name for task in tasks for corpus in task.data.table.corpora)
        lines += ["", f"Trained from `{recipe.model.base}`" + (f" on {sources}." if sources else "."), ""]
        own = {"kind": "text", "window": recipe.model.window, "overlap": recipe.model.overlap}
        return Described(described, self._base, own, lines, lineage(self._base))


def build_model(
    recipe: Recipe, base: Path, tasks: Mapping[str, SomeTask], report: Report = lambda event: None
) -> tuple[TaskModel, dict[str, Any]]:
    """The model of a recipe before it is trained, and its `config.json`."""
    values, tensors = read_base(recipe.model, base)
    model = TaskModel(read_encoder_config(values), {name: task.head_shape for name, task in tasks.items()})
    kept, new = load_base(model, tasks, base, values, tensors, recipe.model.heads == "fresh")
    report({"event": "heads", "base": recipe.model.base, "kept": kept, "new": new})
    return model, values

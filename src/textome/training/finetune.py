"""Fine-tuning for entities: read top to bottom, this is the whole run; `loop` goes through its batches.

A run's folder holds `recipe.json` (resolved), `environment.json`, `data.json` (hashes and counts), what the loop writes,
and at the end the bundle in `bundle/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TokenClassifier
from textome.metrics.entities import score_entities
from textome.tasks.iob import LABELS, Example, decode, log_probabilities
from textome.text.tokenization import Tokenizer
from textome.training.batches import PackedBatch, cut, hidden, pack, plan
from textome.training.bundles import base_directory, environment, write_bundle
from textome.training.data import CorpusData, encode, encode_each, load_corpora
from textome.training.distillation import Student, Teacher, compared, states, states_apart, taught
from textome.training.divergence import entity_divergence
from textome.training.kept_heads import keep_heads
from textome.training.loop import train
from textome.training.losses import entities, entities_each
from textome.training.parallel import Processes, running
from textome.training.preparation import prepare_encoder, read_base
from textome.training.privacy import Each, train_privately
from textome.training.recipe import Recipe
from textome.training.run import Report, write_json
from textome.training.sharding import make_whole
from textome.training.word_mixing import mixed


def finetune(recipe: Recipe, folder: Path, resume: bool = False, report: Report = lambda event: None) -> Path:
    """Train by a recipe and return the folder of the finished bundle.

    report   is called with each metrics record as it is written, for a progress bar or plain lines

    Raises InputError where the folder holds another run, data are missing, or the loss is no number.
    """
    with running(recipe, folder, resume) as processes:
        return _finetune(recipe, folder, resume, report if processes.first else lambda event: None, processes)


def _finetune(recipe: Recipe, folder: Path, resume: bool, report: Report, processes: Processes) -> Path:
    device = processes.device
    base = base_directory(recipe.model.base)
    tokenizer = Tokenizer.load(base)
    model, config = _build(recipe, base, report)
    finish = prepare_encoder(model.encoder, recipe.training)
    model.to(device)
    corpora = load_corpora(recipe)
    if recipe.distillation is None:
        job, teacher = EntityJob(recipe, model, corpora, tokenizer, device), None
    else:
        teacher = Teacher(recipe.distillation, recipe.entities.types, tokenizer, recipe.model.window, device)
        job = TaughtJob(recipe, model, corpora, tokenizer, device, teacher)
    if processes.first:
        write_json(folder / "data.json", _data_report(corpora, job))
        write_json(folder / "environment.json", environment(device))
    twin = processes.sharded(model, model.encoder, recipe.training.sharding)
    spent, settings = None, recipe.training
    facts: dict[str, Any] = {"processes": processes, "tokens_per_epoch": sum(job.lengths)}
    if recipe.privacy is None:
        progress = train(job, settings, folder, device, resume, report, **facts)
    else:
        progress, spent = train_privately(job, recipe.privacy, settings, folder, device, resume, report, **facts)
    finish()
    make_whole(twin, model)
    if teacher is not None:
        measured = compared({"teacher": teacher.model, "student": model}, job.score)
        write_json(folder / "distillation.json", measured)
        report({"event": "distilled", "metric": job.metric} | measured)
    if processes.first:
        write_bundle(folder / "bundle", twin, config, base, recipe, corpora, vars(progress), spent)
    processes.wait()
    return folder / "bundle"


class EntityJob:
    """Heads for entity types over one encoder, trained on corpora that each annotate some of them; see `loop.Job`."""

    metric = "F1"

    def __init__(
        self,
        recipe: Recipe,
        model: TokenClassifier,
        corpora: Sequence[CorpusData],
        tokenizer: Tokenizer,
        device: torch.device,
    ) -> None:
        self.model: nn.Module = model
        self.training: list[Example] = []
        records: dict[tuple[str, int], list[int]] = {}
        for corpus in corpora:
            for sentence, made in zip(corpus.train, encode_each(corpus.train, tokenizer, recipe, True), strict=True):
                numbers = range(len(self.training), len(self.training) + len(made))
                records.setdefault((corpus.name, sentence.document), []).extend(numbers)
                self.training += made
        self.records = [numbers for numbers in records.values() if numbers]
        self.lengths = [len(example.input_ids) for example in self.training]
        self._model, self._recipe, self._device, self._tokenizer = model, recipe, device, tokenizer
        self._validation = {corpus.name: encode(corpus.validation, tokenizer, recipe, False) for corpus in corpora}

    def plan(self, epoch: int) -> list[list[int]]:
        generator = np.random.default_rng([self._recipe.training.seed, epoch])
        return plan(self.lengths, self._recipe.training.token_budget, generator)

    def loss(self, batch: list[int]) -> tuple[Tensor, int]:
        packed = self._hidden(pack([self.training[index] for index in batch]))
        settings, targets = self._recipe.training, packed.targets.to(self._device)
        logits = self._logits(packed)
        value = entities(logits, targets, settings.label_smoothing)
        if settings.r_drop:
            other = self._logits(packed)
            again = entities(other, targets, settings.label_smoothing)
            value = (value + again + settings.r_drop * entity_divergence(logits, other, targets)) / 2
        return value, packed.layout.num_tokens

    def each(self, records: Sequence[Sequence[int]]) -> Each:
        """The losses of records, see privacy.py."""
        members = [
            (len(self.training[index].input_ids), at, index) for at, some in enumerate(records) for index in some
        ]
        members.sort(key=lambda member: member[0])  # stable, as `pack` sorts
        examples = [self.training[index] for _, _, index in members]
        packed, owner = self._hidden(pack(examples)), torch.tensor([at for _, at, _ in members])
        tokens = owner.repeat_interleave(packed.layout.lengths).to(self._device)
        rows = owner.repeat_interleave(torch.tensor([len(item.first) for item in examples])).to(self._device)
        # Token types are given, so that their table is read as a layer and not beside it.
        logits = _word_logits(self._model, packed, self._device, torch.zeros_like(packed.input_ids)).float()
        targets, smoothing = packed.targets.to(self._device), self._recipe.training.label_smoothing
        return Each(entities_each(logits, targets, smoothing, rows, len(records)), tokens, rows)

    def length(self, record: Sequence[int]) -> int:
        return sum(self.lengths[index] for index in record)

    def _logits(self, batch: PackedBatch) -> Tensor:
        alpha = self._recipe.training.word_mixing
        places = batch.first.to(self._device)
        with mixed(self._model.encoder, places, batch.targets, alpha) if alpha else nullcontext():
            return _word_logits(self._model, batch, self._device).float()

    def _hidden(self, batch: PackedBatch) -> PackedBatch:
        share = self._recipe.training.token_masking
        return hidden(batch, share, self._tokenizer.mask_id) if share else batch

    def size(self, batch: list[int]) -> tuple[int, int]:
        return sum(self.lengths[index] for index in batch), sum(len(self.training[index].first) for index in batch)

    def cut(self, batch: list[int], budget: int) -> list[list[int]]:
        return cut(batch, self.lengths, budget)

    def validate(self) -> dict[str, float]:
        """Entity-level micro F1 of each corpus over the types that it annotates."""
        return self.score(self._model)[0]

    def score(self, model: TokenClassifier) -> tuple[dict[str, float], int]:
        """What `validate` returns, of any model of these types, and how many tokens it read."""
        types = {corpus.name: corpus.types for corpus in self._recipe.corpora}
        scores, tokens = {}, 0
        for name, examples in self._validation.items():
            if examples:
                annotated = {self._recipe.entities.types.index(kind) for kind in types[name].values()}
                predicted = [
                    {item for item in found if item[2] in annotated} for found in predict(model, examples, self._device)
                ]
                tokens += sum(len(example.input_ids) for example in examples)
                scores[name] = score_entities([gold(example) for example in examples], predicted).micro.f1
        return scores, tokens


class TaughtJob(EntityJob):
    """The same with a teacher, whose scores and hidden states join the labels; see distillation.py."""

    def __init__(
        self,
        recipe: Recipe,
        model: TokenClassifier,
        corpora: Sequence[CorpusData],
        tokenizer: Tokenizer,
        device: torch.device,
        teacher: Teacher,
    ) -> None:
        super().__init__(recipe, model, corpora, tokenizer, device)
        self._teacher, self._student = teacher, Student(model, teacher.model).to(device)
        self.model = self._student

    def loss(self, batch: list[int]) -> tuple[Tensor, int]:
        assert self._recipe.distillation is not None
        settings, device = self._recipe.distillation, self._device
        packed = pack([self.training[index] for index in batch])
        places, targets = packed.first.to(device), packed.targets.to(device)
        scores, its = self._teacher.read(lambda model: _word_logits(model, packed, device), places)
        with states(self._model.encoder, places) as mine:
            logits = _word_logits(self._model, self._hidden(packed), device).float()
        value = (1 - settings.scores) * entities(logits, targets, self._recipe.training.label_smoothing)
        value = value + settings.scores * taught(logits, scores.float(), settings.temperature)
        value = value + settings.states * states_apart(mine.values, its, self._student.widen)
        return value, packed.layout.num_tokens


def predict(
    model: TokenClassifier, examples: Sequence[Example], device: torch.device, token_budget: int = 8192
) -> list[set[tuple[int, int, int]]]:
    """The predicted entities of each example as (first word, last word, head), by a model in evaluation mode."""
    found: list[set[tuple[int, int, int]]] = [set() for _ in examples]
    for indices in plan([len(example.input_ids) for example in examples], token_budget, None):
        # `pack` sorts by length and sorting is stable, so this is the order of its words.
        indices = sorted(indices, key=lambda index: len(examples[index].input_ids))
        batch = pack([examples[index] for index in indices])
        with torch.no_grad():
            logits = _word_logits(model, batch, device)
        scores = log_probabilities(logits.float().cpu().numpy().reshape(len(logits), -1, len(LABELS)))
        start = 0
        for index in indices:
            end = start + len(examples[index].first)
            found[index] = {(item.first, item.last, item.head) for item in decode(scores[start:end])}
            start = end
    return found


def gold(example: Example) -> set[tuple[int, int, int]]:
    """The entities that an example's targets describe, as (first word, last word, head)."""
    certain = np.full((*example.targets.shape, len(LABELS)), -np.inf, np.float32)
    np.put_along_axis(certain, np.maximum(example.targets, 0)[..., None].astype(np.int64), 0.0, axis=-1)
    return {(item.first, item.last, item.head) for item in decode(certain)}


def _build(recipe: Recipe, base: Path, report: Report = lambda event: None) -> tuple[TokenClassifier, dict[str, Any]]:
    values, tensors = read_base(recipe.model, base)
    model = TokenClassifier(read_encoder_config(values), len(recipe.entities.types) * len(LABELS))
    types = recipe.entities.types
    tensors, kept = keep_heads(tensors, values, types if recipe.model.heads == "kept" else [])
    new = [name for name in types if name not in kept]
    report({"event": "heads", "base": recipe.model.base, "kept": kept, "new": new})
    load_tensors(model, tensors, str(base), fresh=("head.",))
    return model, values


def _word_logits(
    model: TokenClassifier, batch: PackedBatch, device: torch.device, token_types: Tensor | None = None
) -> Tensor:
    """Scores at each word's first sub-word, (M, num_labels); other sub-words need none."""
    types = None if token_types is None else token_types.to(device)
    hidden = model.encoder(batch.input_ids.to(device), batch.layout.to(device), types)
    return model.head(hidden, batch.first.to(device))  # type: ignore[no-any-return]


def _data_report(corpora: Sequence[CorpusData], job: EntityJob) -> dict[str, Any]:
    return {
        "training_tokens": sum(job.lengths),
        "corpora": {
            corpus.name: {
                "train_sentences": len(corpus.train),
                "validation_sentences": len(corpus.validation),
                "left_out_as_leaks": corpus.leaks,
                "quarantined": corpus.quarantined,
                "sha256": corpus.hashes,
            }
            for corpus in corpora
        },
    }


__all__ = ["EntityJob", "TaughtJob", "finetune", "predict"]

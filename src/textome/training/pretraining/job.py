"""The job of a run that pretrains a model: it guesses hidden tokens of corpora, or what follows each token.

The run leaves the model with its language-model head in `model/`, in the Hugging Face layout: `transformers` loads it as
BertForMaskedLM, DebertaV2ForMaskedLM or GPT2LMHeadModel, and a recipe names it as `model.base`. DeBERTa is trained with its
enhanced mask decoder. Each process of a parallel run computes a part of each batch, so their number changes the time and
not the result (but for dropout, whose random numbers differ, and for rounding).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.corpus.store import Corpus
from textome.encoders import encoder_of
from textome.encoders.build import build_masked_lm, conversion_to, read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.interface import MaskedLM
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.runtime.bundle import DEFAULT_MODEL
from textome.tasks.pretraining import Pretraining
from textome.tasks.span_corruption import SpanCorruption
from textome.text.tokenization import Tokenizer
from textome.training.bundles import base_directory, read_config, read_weights, write_encoder
from textome.training.devices import precision_for, workers_for
from textome.training.job import Described, Job, TrainingTask
from textome.training.losses import LOSSES, LossOptions
from textome.training.models import PretrainedModel
from textome.training.optimisation.course import Progress
from textome.training.parallel.processes import Processes
from textome.training.preparation import prepare_encoder
from textome.training.pretraining.data import (
    Assembler,
    Assembles,
    Mixture,
    PretrainingBatch,
    Sequences,
    held_out,
    prefetched,
)
from textome.training.pretraining.throughput import matrix_product_speed, training_operations
from textome.training.pretraining.transplant import transplanted
from textome.training.recipe import Recipe
from textome.training.run import Report


class PretrainingTask(TrainingTask[PretrainingBatch]):
    """Hidden tokens of corpora, or those that follow each token, and whether two parts follow each other where the recipe
    asks for it."""

    task: Pretraining | SpanCorruption
    lengths = ()

    def __init__(self, recipe: Recipe[PretrainedModel], tokenizer: Tokenizer, device: torch.device) -> None:
        (table,) = recipe.tasks
        assert isinstance(table.task, Pretraining | SpanCorruption)
        self.name, self.task, self.sources = table.name, table.task, table.texts
        self.quarantine, self.hashes = Quarantine(), {}
        self.loss, self.options = LOSSES["tokens"], LossOptions(recipe.training.label_smoothing)
        self._settings, self._tokenizer, self._device = recipe.training, tokenizer, device
        self.corpora = [Corpus.open(Path(recipe.path(source.path)), tokenizer) for source in self.sources]
        self._validation = self._validation_batches()

    def packed(self, batch: Any) -> PretrainingBatch:
        moved: PretrainingBatch = batch.to(self._device)
        return moved

    def logits(self, model: nn.Module, packed: PretrainingBatch) -> tuple[Tensor, Tensor]:
        """The scores of the guessed tokens, and those of pairs (B, 2), empty without them."""
        logits, follows = model(packed.input_ids, packed.layout, packed.masked_positions, packed.token_type_ids)
        return logits.float(), logits.new_empty(0) if follows is None else follows.float()

    def further_loss(self, pooled: Tensor, packed: PretrainingBatch) -> Tensor | None:
        """Of the pairs. A part of a batch counts by its share of the hidden tokens, which its share of pairs is not."""
        if packed.follows is None:
            return None
        hidden, pairs = packed.whole
        total = functional.cross_entropy(pooled, packed.follows, reduction="sum") / pairs
        return total * (hidden / len(packed.targets))

    def count(self, indices: Sequence[int]) -> int:
        return len(indices)

    def score(self, model: nn.Module) -> tuple[dict[str, Any], int]:
        """Perplexity and accuracy at the guessed tokens of held-out documents, for each corpus."""
        scores: dict[str, Any] = {}
        tokens = 0
        for name, batches in self._validation.items():
            loss = right = count = 0.0
            for batch in map(self.packed, batches):
                with torch.no_grad():
                    logits, _ = self.logits(model, batch)
                loss += functional.cross_entropy(logits, batch.targets, reduction="sum").item()
                right += (logits.argmax(-1) == batch.targets).sum().item()
                count += len(batch.targets)
                tokens += batch.num_tokens
            if count:
                scores[name] = {"perplexity": math.exp(min(loss / count, 700.0)), "accuracy": right / count}
        return scores, tokens

    def counts(self) -> dict[str, Any]:
        """Of each corpus, with its hashes."""
        return {
            source.name or source.path: {
                "documents": corpus.num_documents,
                "tokens": corpus.num_tokens,
                "sha256": {row["name"]: row["sha256"]["tokens.npy"] for row in corpus.described["shards"]},
                "settings": corpus.described["settings"],
            }
            for source, corpus in zip(self.sources, self.corpora, strict=True)
        }

    def batches(self, stage: int, block: int, number: int) -> Iterator[PretrainingBatch]:
        """All batches with the sequences of a stage, from one on, without end."""
        mixture = self._mixture(self._settings.stages[stage].length)
        assembler = self._assembler(mixture, bool(getattr(self.task, "dynamic", False)))
        workers = workers_for(self._device) if self._settings.workers is None else self._settings.workers
        return prefetched(assembler, mixture, block, number, workers, self._device.type == "cuda")

    def _assembler(self, mixture: Mixture, dynamic: bool) -> Assembles:
        """What makes batches of a mixture's sequences; `dynamic` as the task has it."""
        task = self.task
        assert isinstance(task, Pretraining)
        pairs = bool(getattr(task, "next_sentence", False))
        return Assembler(mixture, self._tokenizer, task.masker(self._tokenizer), dynamic, pairs)

    @lru_cache(maxsize=1)  # noqa: B019 - the task lives as long as the run
    def _mixture(self, length: int) -> Mixture:
        share = self.task.held_out
        sources = tuple(Sequences.of(corpus, length - 2, ~held_out(corpus, share)) for corpus in self.corpora)
        for source, sequences in zip(self.sources, sources, strict=True):
            if not len(sequences):
                raise InputError(f"corpora: {source.path!r} has no sequence to train on")
        sizes = [
            source.weight if source.weight is not None else len(sequences)
            for source, sequences in zip(self.sources, sources, strict=True)
        ]
        weights = tuple(size / sum(sizes) for size in sizes)
        return Mixture(sources, weights, self._settings.token_budget, self._settings.seed)

    def _validation_batches(self) -> dict[str, list[PretrainingBatch]]:
        """Batches of held-out documents, the same masks each time, as many as `held_out_tokens` of each corpus."""
        settings, task = self._settings, self.task
        batches: dict[str, list[PretrainingBatch]] = {}
        for source, corpus in zip(self.sources, self.corpora, strict=True):
            sequences = Sequences.of(corpus, settings.stages[-1].length - 2, held_out(corpus, task.held_out))
            mixture = Mixture((sequences,), (1.0,), settings.token_budget, settings.seed)
            assembler = self._assembler(mixture, False)
            drawn_batches: list[PretrainingBatch] = []
            used = 0
            for drawn in mixture.whole():
                if used >= task.held_out_tokens:
                    break
                drawn_batches.append(assembler.batch(drawn))
                used += drawn_batches[-1].num_tokens
            batches[source.name or source.path] = drawn_batches
        return batches


class PretrainingJob(Job):
    """Trains an encoder with a language-model head."""

    output: ClassVar[str] = "model"
    bare: MaskedLM
    tasks: Sequence[PretrainingTask]
    _described: tuple[Mapping[str, Any], Path]
    _operations = 0
    _ceiling = 0.0

    @classmethod
    def of(cls, recipe: Recipe[PretrainedModel], folder: Path, processes: Processes, report: Report) -> PretrainingJob:
        """The job of a recipe, its corpora opened and its model built."""
        device = processes.device
        model, tokenizer, config, base = _build(recipe)
        finish = prepare_encoder(model.encoder, recipe.training)
        model.to(device)
        job = cls(recipe, model, [PretrainingTask(recipe, tokenizer, device)], device, finish=finish)
        job._described, job.metric = (config, base), "accuracy"
        return job

    @property
    def root(self) -> nn.Module:
        return self.bare

    @property
    def log_values(self) -> dict[str, Any]:
        return {"tokens": self.recipe.training.tokens}

    def loss(self, batch: Any) -> tuple[Tensor, int]:
        self._operations += training_operations(self.bare, batch.layout, len(batch.masked_positions))
        return super().loss(batch)

    def size(self, batch: Any) -> tuple[int, int]:
        return batch.num_tokens, len(batch.targets)

    def cut(self, batch: Any, budget: int) -> Any:
        return batch.cut(budget)

    def stream(self, progress: Progress) -> Iterator[PretrainingBatch]:
        settings = self.recipe.training
        while progress.tokens < settings.tokens:
            while settings.stages[progress.stage].until * settings.tokens <= progress.tokens:
                progress.stage, progress.block, progress.batch = progress.stage + 1, 0, 0
            for batch in self.tasks[0].batches(progress.stage, progress.block, progress.batch):
                yield batch
                if progress.tokens >= settings.stages[progress.stage].until * settings.tokens:
                    break

    def measured(self, seconds: float) -> dict[str, float]:
        """The share of the device's matrix products that the last steps used."""
        if not self._ceiling:
            precision = precision_for(self.recipe.training.precision, self.device)
            self._ceiling = matrix_product_speed(self.device, precision, self.bare.encoder.config)
        used, self._operations = self._operations / seconds / self._ceiling, 0
        return {"utilisation": used}

    def report(self) -> dict[str, Any]:
        return self.tasks[0].counts()

    def described(self) -> Described:
        config, base = self._described
        return Described(config, base, {"kind": "text"}, [])

    def write(self, folder: Path, model: Any, progress: Mapping[str, Any], more: dict[str, Any]) -> Path:
        """The encoder in the Hugging Face layout."""
        last = progress["scores"][-1] if progress["scores"] else self.validate()
        scores: Any = {name: values for name, values in last.items() if name != "mean"}
        tasks = {item.name: item.task for item in self.tasks if getattr(item.task, "causal", False)}
        return write_encoder(folder, model, *self._described, self.recipe, self.report(), scores, tasks)


def _build(recipe: Recipe[PretrainedModel]) -> tuple[MaskedLM, Tokenizer, dict[str, Any], Path]:
    """The model, its tokenizer, its `config.json`, and the directory whose tokenizer files it keeps."""
    base = base_directory(recipe.model.base, needs_weights=not recipe.model.scratch)
    dropout = recipe.model.hidden_dropout, recipe.model.attention_dropout
    published = read_config(base)
    published = encoder_of(published).with_dropout(published, *dropout)
    try:
        conversion = conversion_to(recipe.model.encoder, published)
    except ValueError as error:
        raise InputError(f"model.encoder: {error}") from error
    values = published if conversion is None else conversion.config_like(published)
    values = encoder_of(values).with_dropout(values, *dropout)
    tokenizer, directory = _tokenizer(recipe, base)
    if recipe.model.scratch:
        values |= {"vocab_size": tokenizer.vocabulary_size}
    (table,), causal = recipe.tasks, encoder_of(values).causal
    if causal != getattr(table.task, "causal", causal):
        sees = "only the tokens before each" if causal else "all tokens"
        raise InputError(f"the task {table.task.kind} cannot be learnt by {values['model_type']}, which sees {sees}")
    if causal:
        values |= {"bos_token_id": tokenizer.start_id, "eos_token_id": tokenizer.end_id}
    config = read_encoder_config(values)
    max_length, most = max(stage.length for stage in recipe.training.stages), encoder_of(values).max_length(values)
    if max_length > most:
        raise InputError(f"training.stages has sequences of {max_length} tokens, but {base} has only {most} positions")
    try:
        model = build_masked_lm(config, bool(getattr(table.task, "next_sentence", False)))
    except ValueError as error:
        raise InputError(str(error)) from error
    if recipe.model.scratch:
        return model, tokenizer, values, directory
    read = model if conversion is None else build_masked_lm(read_encoder_config(published))
    head = ("transform.", "norm.", "bias", "next_sentence.", "encoder.pooler.", "position_embeddings.")
    load_tensors(read, read_weights(base, published), str(base), fresh=head)
    if conversion is not None:
        conversion.take_over(read, model)
    old = Tokenizer.load(base)
    if old.fingerprint == tokenizer.fingerprint:
        return model, tokenizer, values, base
    if causal:
        raise InputError("model.tokenizer: only a fresh model (model.scratch = true) can take another vocabulary here")
    values["vocab_size"] = tokenizer.vocabulary_size
    return transplanted(model, old, tokenizer), tokenizer, values, directory


def _tokenizer(recipe: Recipe[PretrainedModel], base: Path) -> tuple[Tokenizer, Path]:
    """The tokenizer that the model has at the end, and its folder."""
    directory = base
    if (named := recipe.model.tokenizer) is not None:
        elsewhere = named == DEFAULT_MODEL or named.startswith("package:")
        directory = base_directory(named, "model.tokenizer") if elsewhere else Path(recipe.path(named))
    return Tokenizer.load(directory), directory

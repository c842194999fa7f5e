"""Masked-language-model pretraining: read top to bottom, this is the whole run.

A run's folder holds `recipe.json` (resolved), `environment.json`, `data.json`, `metrics.jsonl`, `checkpoints/`,
TensorBoard events in `tensorboard/`, and at the end the encoder with its language-model head in `model/`, in the Hugging
Face layout: `transformers` loads it as BertForMaskedLM or DebertaV2ForMaskedLM, and a fine-tuning recipe names it as
`model.base`. DeBERTa is trained with its enhanced mask decoder.

Under `torchrun` every process computes a part of each batch and the gradients are summed, so the number of processes
changes the time and not the result (but for dropout, whose random numbers differ, and for rounding).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.corpus.store import Corpus
from textome.encoders import encoder_of
from textome.encoders.build import build_masked_lm, conversion_to, read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.compilation import compile_layers
from textome.encoders.interface import MaskedLM
from textome.encoders.recompute import recompute
from textome.errors import InputError
from textome.runtime.bundle import DEFAULT_MODEL
from textome.tasks.masked_lm import Masker
from textome.text.tokenization import Tokenizer
from textome.training.bundles import base_directory, environment, read_config, read_weights, write_encoder
from textome.training.checkpoints import load_checkpoint, save_checkpoint
from textome.training.devices import autocast, end_step, gradient_scaler, precision_for, workers_for
from textome.training.finite import LossWatch
from textome.training.optimisation import build_optimizer, set_rate
from textome.training.parallel.processes import Processes
from textome.training.parallel.sharding import check_sharding, clip_gradients, gather_weights, unsharded_copy_of
from textome.training.pretraining.data import (
    Assembler,
    Making,
    Mixture,
    PretrainingBatch,
    Sequences,
    Work,
    held_out,
    work_ahead,
)
from textome.training.pretraining.recipe import PretrainingRecipe
from textome.training.pretraining.throughput import matrix_product_speed, training_operations
from textome.training.pretraining.transplant import transplanted
from textome.training.run import Log, Report, claim, write_json

REPORT_EVERY = 20


@dataclass
class Progress:
    """Where a run stands; a checkpoint remembers it. `block` and `batch` count within the present stage,
    `evaluated` is the number of tokens at the last evaluation, `scaler` the scaling of fp16 gradients."""

    step: int = 0
    tokens: int = 0
    stage: int = 0
    block: int = 0
    batch: int = 0
    evaluated: int = -1
    scaler: dict[str, float] = field(default_factory=dict)


def pretrain(
    recipe: PretrainingRecipe, folder: Path, resume: bool = False, report: Report = lambda event: None
) -> Path:
    """Train by a recipe and return the folder of the finished encoder.

    report   is called with each metrics record as it is written, in the first process only

    Raises InputError where the folder holds another run, a corpus was cut by another tokenizer, or the loss is no number.
    """
    with Processes(recipe.training.device) as processes:
        if processes.first:
            claim(folder, recipe, resume)
        processes.wait()
        return _pretrain(recipe, folder, resume, report if processes.first else lambda event: None, processes)


def _pretrain(recipe: PretrainingRecipe, folder: Path, resume: bool, report: Report, processes: Processes) -> Path:
    settings, device = recipe.training, processes.device
    torch.manual_seed(settings.seed)
    model, tokenizer, config, base = _build(recipe)
    if settings.gradient_checkpointing:
        recompute(model.encoder)
    model.to(device)
    if settings.compile:
        compile_layers(model.encoder)
    precision = precision_for(settings.precision, device)
    check_sharding(settings.sharding, precision)
    unsharded = unsharded_copy_of(model, settings.sharding == "full" and processes.count > 1)
    parallel = processes.wrap(model, model.encoder, settings.sharding)
    optimizer = build_optimizer(model, settings)
    corpora = [Corpus.open(recipe.path(source.path), tokenizer) for source in recipe.corpora]
    masker = Masker.of(tokenizer, recipe.masking.unit, recipe.masking.probability)
    validation = _validation_batches(recipe, corpora, tokenizer, masker)

    progress = Progress()
    damaged: list[str] = []
    if resume and (state := load_checkpoint(folder / "checkpoints", model, optimizer, tell=damaged.append)):
        progress = Progress(**state)
    scaler = gradient_scaler(device, precision)
    scaler.load_state_dict(progress.scaler or scaler.state_dict())
    log = Log(folder, progress.step, report, write=processes.first, mlflow=settings.mlflow)
    for message in damaged:
        log.write(event="damaged", message=message)
    ceiling = matrix_product_speed(device, precision, model.encoder.config)
    log.write(event="start", precision=precision, device=device.type, processes=processes.count, tokens=settings.tokens)
    if processes.first:
        write_json(folder / "environment.json", environment(device))
        write_json(folder / "data.json", _data_report(recipe, corpora))

    clock = saved = time.monotonic()
    counted = operations = 0
    watch = LossWatch(folder)
    scores: dict[str, dict[str, float]] = {}
    if progress.evaluated < 0:
        _evaluate(model, validation, device, precision, progress, log)
    while progress.tokens < settings.tokens:
        for work in _stage(recipe, corpora, tokenizer, masker, progress, processes):
            batch = work.whole
            model.train()
            set_rate(
                optimizer,
                _rate((progress.tokens + batch.layout.num_tokens / 2) / settings.tokens, settings.warmup),
            )
            # Each step has random numbers of its own, so that a resumed run draws what the undisturbed one would have.
            torch.manual_seed(hash((settings.seed, progress.step, processes.rank)) % 2**63)
            loss = torch.zeros((), device=device)
            for number, part in enumerate(work.parts, 1):
                # Gradients go to the other processes once, with the last part.
                with nullcontext() if number == len(work.parts) else processes.no_sync(parallel):
                    with autocast(device, precision):
                        share = _loss(parallel, part, batch, device) * work.counts
                    # DDP averages over processes, but each loss is already a share of the whole batch's.
                    scaler.scale(share * processes.weight(parallel)).backward()  # type: ignore[no-untyped-call]
                loss += share.detach()
            loss = processes.sum(loss)
            watch.step(f"step {progress.step}, after {progress.tokens:,} tokens", loss)
            scaler.unscale_(optimizer)
            norm = clip_gradients(model.parameters(), settings.max_grad_norm)
            scaler.step(optimizer)
            scaler.update()
            end_step(device)
            progress.scaler = scaler.state_dict()
            optimizer.zero_grad(set_to_none=True)
            progress.step += 1
            progress.block, progress.batch = work.block, work.number + 1
            progress.tokens += batch.layout.num_tokens
            counted += batch.layout.num_tokens
            operations += training_operations(model, batch.layout, len(batch.masked_positions))
            if progress.step % REPORT_EVERY == 0:
                seconds = time.monotonic() - clock
                log.write(
                    event="step",
                    step=progress.step,
                    tokens=progress.tokens,
                    of=settings.tokens,
                    loss=float(loss),
                    learning_rate=optimizer.param_groups[0]["lr"],
                    gradient_norm=float(norm) if norm.isfinite() else None,
                    tokens_per_second=counted / seconds,
                    utilisation=operations / seconds / (ceiling * processes.count),
                )
                clock, counted, operations = time.monotonic(), 0, 0
            due = time.monotonic() - saved > 60 * settings.checkpoint_minutes
            if settings.sharding == "full":  # all take part, so they must agree; that makes them wait, so it is rare
                due = progress.step % REPORT_EVERY == 0 and processes.agree(due)
            if due:
                watch.check()
                save_checkpoint(folder / "checkpoints", model, optimizer, vars(progress), write=processes.first)
                saved = time.monotonic()
            if _evaluation_due(progress, settings.evaluate_every):
                scores = _evaluate(model, validation, device, precision, progress, log)
                clock, counted, operations = time.monotonic(), 0, 0
            if progress.tokens >= settings.stages[progress.stage].until * settings.tokens:
                break
    watch.check()
    if not scores or progress.evaluated < progress.tokens:
        scores = _evaluate(model, validation, device, precision, progress, log)
    save_checkpoint(folder / "checkpoints", model, optimizer, vars(progress), write=processes.first)
    gather_weights(unsharded, model)
    if processes.first:
        log.write(event="end", step=progress.step, tokens=progress.tokens)
        log.close()
        write_encoder(folder / "model", unsharded, config, base, recipe, _data_report(recipe, corpora), scores)
    processes.wait()
    return folder / "model"


def _build(recipe: PretrainingRecipe) -> tuple[MaskedLM, Tokenizer, dict[str, Any], Path]:
    """The model, its tokenizer, its `config.json`, and the directory whose tokenizer files it keeps."""
    base = base_directory(recipe.model.base)
    dropout = recipe.model.hidden_dropout, recipe.model.attention_dropout
    published = read_config(base)
    published = encoder_of(published).with_dropout(published, *dropout)
    try:
        conversion = conversion_to(recipe.model.encoder, published)
    except ValueError as error:
        raise InputError(f"model.encoder: {error}") from error
    values = published if conversion is None else conversion.config_like(published)
    values = encoder_of(values).with_dropout(values, *dropout)
    config = read_encoder_config(values)
    longest, most = max(stage.length for stage in recipe.training.stages), encoder_of(values).max_length(values)
    if longest > most:
        raise InputError(f"training.stages has sequences of {longest} tokens, but {base} has only {most} positions")
    try:
        model = build_masked_lm(config, recipe.masking.next_sentence)
    except ValueError as error:
        raise InputError(str(error)) from error
    tokenizer = Tokenizer.load(base)
    if not recipe.model.scratch:
        read = model if conversion is None else build_masked_lm(read_encoder_config(published))
        head = ("transform.", "norm.", "bias", "next_sentence.", "encoder.pooler.", "position_embeddings.")
        load_tensors(read, read_weights(base, published), str(base), fresh=head)
        if conversion is not None:
            conversion.take_over(read, model)
    if recipe.model.tokenizer is None:
        return model, tokenizer, values, base
    named = recipe.model.tokenizer
    elsewhere = named == DEFAULT_MODEL or named.startswith("package:")
    directory = base_directory(named, "model.tokenizer") if elsewhere else recipe.path(named)
    wanted = Tokenizer.load(directory)
    values["vocab_size"] = wanted.vocabulary_size
    return transplanted(model, tokenizer, wanted), wanted, values, directory


def _stage(
    recipe: PretrainingRecipe,
    corpora: list[Corpus],
    tokenizer: Tokenizer,
    masker: Masker,
    progress: Progress,
    processes: Processes,
) -> Iterator[Work]:
    """The work of this process from where `progress` stands, with the sequences of the stage; the caller ends it."""
    settings = recipe.training
    while settings.stages[progress.stage].until * settings.tokens <= progress.tokens:
        progress.stage, progress.block, progress.batch = progress.stage + 1, 0, 0
    mixture = _mixture(recipe, corpora, settings.stages[progress.stage].length)
    assembler = Assembler(mixture, tokenizer, masker, recipe.masking.dynamic, recipe.masking.next_sentence)
    making = Making(assembler, processes.rank, processes.count, settings.micro_budget)
    workers = workers_for(processes.device) if settings.workers is None else settings.workers
    pin = processes.device.type == "cuda"
    return work_ahead(making, mixture, progress.block, progress.batch, workers, pin)


def _mixture(recipe: PretrainingRecipe, corpora: list[Corpus], length: int) -> Mixture:
    share = recipe.data.held_out
    sources = tuple(Sequences.of(corpus, length - 2, ~held_out(corpus, share)) for corpus in corpora)
    for source, sequences in zip(recipe.corpora, sources, strict=True):
        if not len(sequences):
            raise InputError(f"corpora: {source.path!r} has no sequence to train on")
    sizes = [
        source.weight if source.weight is not None else len(sequences)
        for source, sequences in zip(recipe.corpora, sources, strict=True)
    ]
    weights = tuple(size / sum(sizes) for size in sizes)
    return Mixture(sources, weights, recipe.training.token_budget, recipe.training.seed)


def _loss(model: nn.Module, own: PretrainingBatch, whole: PretrainingBatch, device: torch.device) -> Tensor:
    """This process's part of the loss of the whole batch (Devlin et al. 2019, appendix A.2).

    It is the mean over the hidden tokens, plus the mean over the pairs where there are any.
    """
    own = own.to(device)
    logits, follows = _forward(model, own)
    total = functional.cross_entropy(logits.float(), own.targets, reduction="sum") / len(whole.targets)
    if follows is not None and own.follows is not None and whole.follows is not None:
        sentence = functional.cross_entropy(follows.float(), own.follows, reduction="sum")
        total = total + sentence / len(whole.follows)
    return total


def _forward(model: nn.Module, batch: PretrainingBatch) -> tuple[Tensor, Tensor | None]:
    found: tuple[Tensor, Tensor | None] = model(
        batch.input_ids, batch.layout, batch.masked_positions, batch.token_type_ids
    )
    return found


def _validation_batches(
    recipe: PretrainingRecipe, corpora: list[Corpus], tokenizer: Tokenizer, masker: Masker
) -> dict[str, list[PretrainingBatch]]:
    """Batches of held-out documents, the same masks each time, as many as `held_out_tokens` of each corpus."""
    length = recipe.training.stages[-1].length
    batches: dict[str, list[PretrainingBatch]] = {}
    for source, corpus in zip(recipe.corpora, corpora, strict=True):
        sequences = Sequences.of(corpus, length - 2, held_out(corpus, recipe.data.held_out))
        mixture = Mixture((sequences,), (1.0,), recipe.training.token_budget, recipe.training.seed)
        assembler = Assembler(mixture, tokenizer, masker, False, recipe.masking.next_sentence)
        made: list[PretrainingBatch] = []
        used = 0
        for drawn in mixture.whole():
            if used >= recipe.data.held_out_tokens:
                break
            made.append(assembler.batch(drawn))
            used += made[-1].layout.num_tokens
        batches[source.name or source.path] = made
    return batches


def _evaluation_due(progress: Progress, every: int) -> bool:
    """Whether another `every` tokens have been trained on since the last evaluation."""
    return every > 0 and progress.tokens // every > progress.evaluated // every


def _evaluate(
    model: MaskedLM,
    validation: dict[str, list[PretrainingBatch]],
    device: torch.device,
    precision: str,
    progress: Progress,
    log: Log,
) -> dict[str, dict[str, float]]:
    """Perplexity and accuracy at the hidden tokens of held-out documents, for each corpus."""
    model.eval()
    scores: dict[str, dict[str, float]] = {}
    for name, batches in validation.items():
        loss = right = count = 0.0
        for batch in (made.to(device) for made in batches):
            with torch.no_grad(), autocast(device, precision):
                logits, _ = _forward(model, batch)
            targets = batch.targets
            loss += functional.cross_entropy(logits.float(), targets, reduction="sum").item()
            right += (logits.argmax(-1) == targets).sum().item()
            count += len(targets)
        if count:
            scores[name] = {"perplexity": math.exp(min(loss / count, 700.0)), "accuracy": right / count}
    progress.evaluated = progress.tokens
    log.write(event="validation", step=progress.step, tokens=progress.tokens, scores=scores)
    return scores


def _rate(done: float, warmup: float) -> float:
    """The share of the peak learning rate after a share of the training: linear up to 1, then linear down to 0."""
    rise = done / warmup if warmup else 1.0
    fall = (1.0 - done) / (1.0 - warmup) if warmup < 1 else 1.0
    return max(0.0, min(rise, fall))


def _data_report(recipe: PretrainingRecipe, corpora: list[Corpus]) -> dict[str, Any]:
    return {
        source.name or source.path: {
            "documents": corpus.num_documents,
            "tokens": corpus.num_tokens,
            "sha256": {row["name"]: row["sha256"]["tokens.npy"] for row in corpus.described["shards"]},
            "settings": corpus.described["settings"],
        }
        for source, corpus in zip(recipe.corpora, corpora, strict=True)
    }


__all__ = ["Progress", "pretrain"]

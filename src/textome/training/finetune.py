"""Fine-tuning for entities: read top to bottom, this is the whole run.

A run's folder holds `recipe.json` (resolved), `environment.json`, `data.json` (hashes and counts), `metrics.jsonl`,
`checkpoints/`, `best.safetensors`, and at the end the bundle in `bundle/`. Started again with `resume`, a stopped run
goes on from its last checkpoint and gives the weights that it would have given undisturbed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from textome.errors import InputError
from textome.evaluation.entities import score_entities
from textome.models.bert import BertConfig
from textome.models.checkpoint import load_tensors
from textome.models.heads import TokenClassifier
from textome.tasks.ner import IGNORED, LABELS, Example, decode, log_probabilities
from textome.text.tokenization import Tokenizer
from textome.training.batches import PackedBatch, pack, plan
from textome.training.bundles import base_directory, environment, read_config, write_bundle
from textome.training.checkpoints import load_checkpoint, save_checkpoint
from textome.training.data import CorpusData, encode, load_corpora
from textome.training.optimisation import build_optimizer, rate_at, set_rate
from textome.training.recipe import Recipe
from textome.training.run import Log, Report, autocast, claim, precision_for, write_json


@dataclass
class Progress:
    """Where a run stands: what a checkpoint remembers beyond weights, and what `finetune` returns."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = -1.0
    best_epoch: int = -1
    scores: list[dict[str, float]] = field(default_factory=list)


def finetune(recipe: Recipe, folder: Path, resume: bool = False, report: Report = lambda event: None) -> Path:
    """Train by a recipe and return the folder of the finished bundle.

    report   is called with each metrics record as it is written, for a progress bar or plain lines

    Raises InputError where the folder holds another run, data are missing, or the loss is no number.
    """
    claim(folder, recipe, resume)
    torch.manual_seed(recipe.training.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = base_directory(recipe.model.base)
    tokenizer = Tokenizer.load(base)
    model, config = _build(recipe, base)
    model.to(device)
    optimizer = build_optimizer(model, recipe.training)

    corpora = load_corpora(recipe)
    heads = len(recipe.entities.types)
    training = [example for corpus in corpora for example in encode(corpus.train, tokenizer, heads, recipe)]
    validation = {corpus.name: encode(corpus.validation, tokenizer, heads, recipe) for corpus in corpora}
    lengths = [len(example.input_ids) for example in training]
    steps = recipe.training.epochs * len(_epoch_plan(recipe, lengths, 0))
    write_json(folder / "data.json", _data_report(corpora, training, validation))
    write_json(folder / "environment.json", environment(device))

    progress = Progress()
    if resume and (state := load_checkpoint(folder / "checkpoints", model, optimizer)):
        progress = Progress(**state)
    log = Log(folder, progress.step, report)
    precision = precision_for(recipe.training.precision, device)
    log.write(event="start", precision=precision, device=device.type, steps=steps, tokens_per_epoch=sum(lengths))

    clock = saved = time.monotonic()
    tokens = 0
    while progress.epoch < recipe.training.epochs:
        batches = _epoch_plan(recipe, lengths, progress.epoch)
        steps = max(steps, progress.step + len(batches) - progress.batch)
        model.train()
        while progress.batch < len(batches):
            batch = pack([training[index] for index in batches[progress.batch]])
            set_rate(optimizer, rate_at(progress.step, steps, recipe.training.warmup))
            with autocast(device, precision):
                loss = _loss(model, batch, device, heads, recipe.training.label_smoothing)
            if not math.isfinite(value := loss.item()):
                raise InputError(
                    f"{folder}: the loss is {value} at step {progress.step} (epoch {progress.epoch + 1}, batch "
                    f"{progress.batch}); lower training.learning_rate and resume from the last checkpoint"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.training.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            progress.step += 1
            progress.batch += 1
            tokens += batch.layout.num_tokens
            if progress.step % 20 == 0:
                now = time.monotonic()
                log.write(
                    event="step",
                    step=progress.step,
                    steps=steps,
                    epoch=progress.epoch + 1,
                    loss=value,
                    learning_rate=optimizer.param_groups[0]["lr"],
                    gradient_norm=float(norm),
                    tokens_per_second=tokens / (now - clock),
                )
                clock, tokens = now, 0
            if time.monotonic() - saved > 60 * recipe.training.checkpoint_minutes:
                save_checkpoint(folder / "checkpoints", model, optimizer, vars(progress))
                saved = time.monotonic()
        progress.epoch += 1
        progress.batch = 0
        _validate(model, validation, recipe, device, precision, progress, folder, log)
        save_checkpoint(folder / "checkpoints", model, optimizer, vars(progress))
        saved = clock = time.monotonic()
        tokens = 0
    if recipe.training.select == "best" and progress.best_epoch > 0:
        model.load_state_dict(load_file(folder / "best.safetensors"))
    log.write(event="end", best_epoch=progress.best_epoch, best=progress.best)
    log.close()
    return write_bundle(folder / "bundle", model, config, base, recipe, corpora, vars(progress))


def predict(
    model: TokenClassifier, examples: Sequence[Example], device: torch.device, precision: str, token_budget: int = 8192
) -> list[set[tuple[int, int, int]]]:
    """The predicted entities of each example as (first word, last word, head)."""
    found: list[set[tuple[int, int, int]]] = [set() for _ in examples]
    model.eval()
    for indices in plan([len(example.input_ids) for example in examples], token_budget, None):
        # `pack` sorts by length and sorting is stable, so this is the order of its words.
        indices = sorted(indices, key=lambda index: len(examples[index].input_ids))
        batch = pack([examples[index] for index in indices])
        with torch.no_grad(), autocast(device, precision):
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


def _build(recipe: Recipe, base: Path) -> tuple[TokenClassifier, dict[str, Any]]:
    values = read_config(base)
    values |= {
        "hidden_dropout_prob": recipe.model.hidden_dropout,
        "attention_probs_dropout_prob": recipe.model.attention_dropout,
    }
    config = BertConfig.from_dict(values)
    if recipe.model.window > config.max_position_embeddings:
        raise InputError(
            f"model.window is {recipe.model.window}, but {base} has only {config.max_position_embeddings} positions"
        )
    model = TokenClassifier(config, len(recipe.entities.types) * len(LABELS))
    load_tensors(model, load_file(base / "model.safetensors"), str(base), fresh=("classifier.",))
    return model, values


def _word_logits(model: TokenClassifier, batch: PackedBatch, device: torch.device) -> Tensor:
    """Scores at each word's first sub-word, (M, num_labels); other sub-words need none."""
    hidden = model.encoder(batch.input_ids.to(device), batch.layout.to(device))
    return model.classifier(model.dropout(hidden[batch.first.to(device)]))  # type: ignore[no-any-return]


def _loss(model: TokenClassifier, batch: PackedBatch, device: torch.device, heads: int, smoothing: float) -> Tensor:
    """Cross-entropy summed over the heads that a word is annotated for, averaged over words.

    Averaging over labels instead would let a corpus with many types outweigh one with a single type.
    """
    logits = _word_logits(model, batch, device).float().view(-1, len(LABELS))
    targets = batch.targets.to(device).view(-1)
    total = functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing)
    return total / (len(targets) // heads)


def _validate(
    model: TokenClassifier,
    validation: dict[str, list[Example]],
    recipe: Recipe,
    device: torch.device,
    precision: str,
    progress: Progress,
    folder: Path,
    log: Log,
) -> None:
    scores = {}
    for name, examples in validation.items():
        if examples:
            annotated = {
                head for corpus in recipe.corpora if corpus.name == name for head in _heads(recipe, corpus.types)
            }
            predicted = [
                {item for item in found if item[2] in annotated}
                for found in predict(model, examples, device, precision)
            ]
            scores[name] = score_entities([gold(example) for example in examples], predicted).micro.f1
    mean = sum(scores.values()) / len(scores) if scores else 0.0
    progress.scores.append(scores | {"mean": mean})
    log.write(event="validation", step=progress.step, epoch=progress.epoch, f1=scores, mean=mean)
    if scores and mean > progress.best:
        progress.best, progress.best_epoch = mean, progress.epoch
        draft = folder / ".best.partial"
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, draft)
        draft.replace(folder / "best.safetensors")


def _heads(recipe: Recipe, types: dict[str, str]) -> set[int]:
    return {recipe.entities.types.index(name) for name in types.values()}


def _epoch_plan(recipe: Recipe, lengths: Sequence[int], epoch: int) -> list[list[int]]:
    generator = np.random.default_rng([recipe.training.seed, epoch])
    return plan(lengths, recipe.training.token_budget, generator)


def _data_report(
    corpora: Sequence[CorpusData], training: Sequence[Example], validation: dict[str, list[Example]]
) -> dict[str, Any]:
    return {
        "training_tokens": sum(len(example.input_ids) for example in training),
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


__all__ = ["Progress", "finetune", "gold", "predict"]

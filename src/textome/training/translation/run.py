"""Training for translation: read top to bottom, this is the whole run; `loop` goes through its batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional

from textome.datasets.parallel import Pair, read_pairs
from textome.encoders import encoder_of
from textome.encoders.build import conversion_to
from textome.encoders.layers.packing import Layout
from textome.encoders.seq2seq.model import Transformer, TransformerConfig
from textome.errors import InputError, MissingExtraError
from textome.formats.reading.sources import Quarantine
from textome.tasks.translation import Translation
from textome.training.batches import cut, plan
from textome.training.bundles import environment, write_folder
from textome.training.corpora import SHORTEST_LEAK
from textome.training.loop import train
from textome.training.parallel.processes import Processes, running
from textome.training.recipe_files import provenance_of
from textome.training.run import Report, report_quarantine, write_json
from textome.training.translation.recipe import TranslationRecipe
from textome.training.translation.translator import END, PAD, START, Translator

# Validation pairs that are translated after each epoch, greedily.
VALIDATED = 500


def finetune_translation(
    recipe: TranslationRecipe, folder: Path, resume: bool = False, report: Report = lambda event: None
) -> Path:
    """Train by a recipe and return the folder of the finished bundle.

    Raises InputError where the folder holds another run, data are missing, or the loss is no number.
    """
    bleu([""], [""])  # a missing package is told before the work and not after it
    with running(recipe, folder, resume) as processes:
        return _finetune(recipe, folder, resume, report if processes.first else lambda event: None, processes)


def _finetune(recipe: TranslationRecipe, folder: Path, resume: bool, report: Report, processes: Processes) -> Path:
    device = processes.device
    quarantine = Quarantine()
    pairs = _read(recipe, recipe.data.train, quarantine)
    pairs, leaks = _without_tests(recipe, pairs)
    if not processes.first:
        processes.wait()  # for the vocabulary that the first one learns
    translator = _based(recipe, folder) if recipe.model.base else _fresh(recipe, folder, pairs)
    if processes.first:
        processes.wait()
    model = translator.model.to(device)
    job = TranslationJob(recipe, translator, pairs, _read(recipe, recipe.data.validation, quarantine), device)
    facts = {
        "pairs": len(job.pairs),
        "too_long": len(pairs) - len(job.pairs),
        "tokens": job.tokens,
        "left_out_as_leaks": leaks,
        "quarantined": quarantine.count,
        "first_problems": [str(record) for record in quarantine.records[:20]],
    }
    if processes.first:
        write_json(folder / "data.json", facts)
        write_json(folder / "environment.json", environment(device))
    options = (recipe.training, folder, device, resume, report)
    progress = train(job, *options, processes=processes, tokens_per_epoch=job.tokens)
    if processes.first:
        _write(folder, model, recipe, facts, vars(progress), translator.longest)
    processes.wait()
    report_quarantine([quarantine], report)
    return folder / "bundle"


def _fresh(recipe: TranslationRecipe, folder: Path, pairs: Sequence[Pair]) -> Translator:
    """A model of the recipe's sizes, and a vocabulary learnt from its pairs."""
    tokenizer = _tokenizer(folder / "tokenizer.json", recipe, pairs)
    sizes = recipe.model
    padding, start, end = special_tokens(tokenizer)
    config = TransformerConfig(
        encoder=_encoder(recipe, tokenizer.get_vocab_size()),
        vocab_size=tokenizer.get_vocab_size(),
        d_model=sizes.hidden_size,
        encoder_layers=sizes.encoder_layers,
        decoder_layers=sizes.decoder_layers,
        encoder_attention_heads=sizes.num_attention_heads,
        decoder_attention_heads=sizes.num_attention_heads,
        encoder_ffn_dim=sizes.intermediate_size,
        decoder_ffn_dim=sizes.intermediate_size,
        max_position_embeddings=sizes.longest + 1,
        dropout=sizes.dropout,
        normalize_before=sizes.normalize_before,
        pad_token_id=padding,
        decoder_start_token_id=start,
        eos_token_id=end,
    )
    return Translator(Transformer(config), tokenizer, recipe.data.source, recipe.data.target, sizes.longest)


def _based(recipe: TranslationRecipe, folder: Path) -> Translator:
    """The model of `model.base`, with the recipe's dropout, and its vocabulary."""
    base = Translator.load(str(recipe.model.base))
    data = recipe.data
    if (base.source, base.target) != (data.source, data.target):
        raise InputError(
            f"model.base {recipe.model.base} translates {base.source} to {base.target}, and the data are "
            f"{data.source} to {data.target}"
        )
    base.tokenizer.save(str(folder / "tokenizer.json"))
    model = Transformer(replace(base.model.config, dropout=recipe.model.dropout))
    model.load_state_dict(base.model.state_dict())
    return Translator(model, base.tokenizer, base.source, base.target, base.longest)


class TranslationJob:
    """Teaches a model the next sub-word of each target, given the source and the target before it; see `loop.Job`."""

    metric = "BLEU"

    def __init__(
        self,
        recipe: TranslationRecipe,
        translator: Translator,
        pairs: Sequence[Pair],
        validation: Sequence[Pair],
        device: torch.device,
    ) -> None:
        self.model: nn.Module = translator.model
        self._recipe, self._translator, self._device = recipe, translator, device
        self._validation = list(validation)[:VALIDATED]
        sources, targets = (translator.encode([getattr(pair, side) for pair in pairs]) for side in ("source", "target"))
        longest = translator.longest
        both = [pair for pair in zip(sources, targets, strict=True) if max(map(len, pair)) <= longest]
        if not both:
            raise InputError(f"no training pair has at most model.longest = {longest} sub-words")
        self.pairs = both
        self._lengths = [len(source) + len(target) for source, target in both]
        self.tokens = sum(self._lengths)

    def plan(self, epoch: int) -> list[list[int]]:
        generator = np.random.default_rng([self._recipe.training.seed, epoch])
        return plan(self._lengths, self._recipe.training.token_budget, generator)

    def loss(self, batch: list[int]) -> tuple[Tensor, int]:
        """Cross-entropy of each next sub-word, the mean over sub-words, with label smoothing (section 5.4)."""
        chosen = sorted((self.pairs[index] for index in batch), key=lambda pair: (len(pair[0]), len(pair[1])))
        start = self._translator.model.config.decoder_start_token_id
        source = torch.tensor([token for ids, _ in chosen for token in ids], device=self._device)
        given = torch.tensor([token for _, ids in chosen for token in (start, *ids[:-1])], device=self._device)
        expected = torch.tensor([token for _, ids in chosen for token in ids], device=self._device)
        layouts = [Layout.of([len(pair[side]) for pair in chosen], self._device) for side in (0, 1)]
        logits = self.model(source, layouts[0], given, layouts[1])
        value = functional.cross_entropy(
            logits.float(), expected, label_smoothing=self._recipe.training.label_smoothing
        )
        return value, layouts[0].num_tokens + layouts[1].num_tokens

    def size(self, batch: list[int]) -> tuple[int, int]:
        return sum(self._lengths[index] for index in batch), sum(len(self.pairs[index][1]) for index in batch)

    def cut(self, batch: list[int], budget: int) -> list[list[int]]:
        return cut(batch, self._lengths, budget)

    def validate(self) -> dict[str, float]:
        """BLEU of greedy translations of the first validation pairs, between 0 and 1."""
        if not self._validation:
            return {}
        found = self._translator.translate([pair.source for pair in self._validation], width=1)
        return {"validation": bleu(found, [pair.target for pair in self._validation]) / 100}


def bleu(found: Sequence[str], expected: Sequence[str]) -> float:
    """Corpus BLEU by sacrebleu (Post 2018), between 0 and 100. Raises MissingExtraError where it is not installed."""
    return float(scores(found, expected)["BLEU"][0])


def scores(found: Sequence[str], expected: Sequence[str]) -> dict[str, tuple[float, str]]:
    """BLEU and chrF by sacrebleu, each with its signature. Raises MissingExtraError where it is not installed."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError as error:
        raise MissingExtraError("translation", "translate") from error
    metrics: dict[str, Any] = {"BLEU": BLEU(), "chrF": CHRF()}
    result = {}
    for name, metric in metrics.items():
        score = metric.corpus_score(list(found), [list(expected)])
        result[name] = (float(score.score), str(metric.get_signature()))
    return result


def _read(recipe: TranslationRecipe, places: Sequence[str], quarantine: Quarantine) -> list[Pair]:
    data = recipe.data
    return [pair for place in places for pair in read_pairs(recipe.path(place), data.source, data.target, quarantine)]


def _without_tests(recipe: TranslationRecipe, pairs: list[Pair]) -> tuple[list[Pair], int]:
    """The pairs whose source stands in no test file, and how many were left out."""
    tests = _read(recipe, recipe.data.test, Quarantine()) if recipe.data.drop_leaks else []
    forbidden = {_plain(pair.source) for pair in tests}
    kept = [pair for pair in pairs if len(_plain(pair.source)) < SHORTEST_LEAK or _plain(pair.source) not in forbidden]
    if not kept:
        raise InputError(f"no training pair was read from {', '.join(recipe.data.train)}")
    return kept, len(pairs) - len(kept)


def special_tokens(tokenizer: Tokenizer) -> list[int]:
    """The ids of padding, start and end. Raises InputError where the tokenizer lacks one."""
    found = [tokenizer.token_to_id(name) for name in (PAD, START, END)]
    if None in found:
        raise InputError(f"the tokenizer has not all of {PAD}, {START} and {END}")
    return [number for number in found if number is not None]


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()


def _tokenizer(path: Path, recipe: TranslationRecipe, pairs: Sequence[Pair]) -> Tokenizer:
    """The joint vocabulary of both languages, trained on the training pairs; that of a run that goes on is read."""
    if path.exists():
        return Tokenizer.from_file(str(path))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.model.vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for pair in pairs for text in (pair.source, pair.target)), trainer)
    draft = path.with_name(".tokenizer.json.partial")
    tokenizer.save(str(draft))
    draft.replace(path)
    return tokenizer


def _encoder(recipe: TranslationRecipe, vocabulary: int) -> dict[str, Any] | None:
    """The `config.json` of another encoder of the recipe's sizes; None for the paper's own."""
    sizes = recipe.model
    like = {
        "vocab_size": vocabulary,
        "hidden_size": sizes.hidden_size,
        "num_hidden_layers": sizes.encoder_layers,
        "num_attention_heads": sizes.num_attention_heads,
        "intermediate_size": sizes.intermediate_size,
        "max_position_embeddings": sizes.longest + 1,
    }
    conversion = None if sizes.encoder == "transformer" else conversion_to(sizes.encoder, like)
    if conversion is None:
        return None
    values = conversion.config_like(like, position_buckets=64)
    return encoder_of(values).with_dropout(values, sizes.dropout, 0.0)


def _write(
    folder: Path,
    model: Transformer,
    recipe: TranslationRecipe,
    facts: Mapping[str, Any],
    progress: Mapping[str, Any],
    longest: int,
) -> Path:
    config = {name: getattr(model.config, name) for name in model.config.__dataclass_fields__}
    described = {"model_type": "marian", "architectures": ["MarianMTModel"], **config}
    if model.config.normalize_before or model.config.encoder is not None:
        # Marian has no norms in front, nor another encoder: `transformers` must not think that it could load this.
        described |= {"model_type": "textome-transformer", "architectures": ["Transformer"]}
    data = recipe.data
    task = Translation(source=data.source, target=data.target, max_length=longest)
    description = {
        "format_version": 2,
        "name": recipe.name,
        "input": {"kind": "text", "window": longest},
        "tasks": {"translation": task.model_dump(mode="json")},
        "provenance": {
            "recipe": provenance_of(recipe),
            "data": facts,
            "validation": progress["scores"],
            "best_epoch": progress["best_epoch"],
            "environment": environment(next(model.parameters()).device),
        },
    }
    lines = ["---", "library_name: textome", "pipeline_tag: translation", "---", f"# {recipe.name}", ""]
    lines += [recipe.description.strip(), ""] * bool(recipe.description)
    lines += [f"Translates {data.source} to {data.target}; trained on {facts['pairs']:,} pairs.", ""]
    lines += [f"Licence: {recipe.licence}", ""] * bool(recipe.licence)
    return write_folder(folder / "bundle", model, described, folder, description, "\n".join(lines).rstrip() + "\n")

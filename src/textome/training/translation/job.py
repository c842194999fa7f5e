"""The job of a run that trains an encoder-decoder to translate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, normalizers

from textome.datasets.parallel import Pair
from textome.encoders import encoder_of
from textome.encoders.build import conversion_to
from textome.encoders.seq2seq.model import Transformer, TransformerConfig
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, atomic_file
from textome.metrics.translation import score_translations
from textome.tasks.translation import Translation
from textome.text.byte_level import byte_level_tokenizer, learn_merges
from textome.training.job import Described, Job
from textome.training.losses import LOSSES, LossOptions
from textome.training.models import TranslationModel
from textome.training.parallel.processes import Processes
from textome.training.preparation import prepare_encoder
from textome.training.recipe import Recipe
from textome.training.run import Report
from textome.training.text.corpora import SHORTEST_LEAK, fingerprint
from textome.training.translation.packing import TargetTask
from textome.training.translation.translator import END, PAD, START, Translator

# Validation pairs that are translated after each epoch, greedily.
VALIDATED = 500


class TranslationTask(TargetTask):
    """Pairs of texts; those with too long a side are left out and counted."""

    task: Translation

    def __init__(
        self,
        recipe: Recipe[TranslationModel],
        task: Translation,
        translator: Translator,
        pairs: Sequence[Pair],
        validation: Sequence[Pair],
        device: torch.device,
    ) -> None:
        max_length = translator.max_length
        self.name, self.task = recipe.tasks[0].name, task.model_copy(update={"max_length": max_length})
        self.quarantine, self.hashes = Quarantine(), {}
        self.loss, self.options = LOSSES["tokens"], LossOptions(recipe.training.label_smoothing)
        self._translator, self._validation, self._device = translator, list(validation)[:VALIDATED], device
        self.start_id = translator.model.config.decoder_start_token_id
        sources, targets = (translator.encode([getattr(pair, side) for pair in pairs]) for side in ("source", "target"))
        self.pairs = [pair for pair in zip(sources, targets, strict=True) if max(map(len, pair)) <= max_length]
        if not self.pairs:
            raise InputError(f"no training pair has at most model.max_length = {max_length} sub-words")
        self.too_long = len(pairs) - len(self.pairs)
        self.lengths = [len(source) + len(target) for source, target in self.pairs]

    def score(self, model: Transformer) -> tuple[dict[str, float], int]:
        """BLEU of greedy translations of the first validation pairs."""
        if not self._validation:
            return {}, 0
        translations = self._translator.translate([pair.source for pair in self._validation], width=1)
        return {
            "validation": score_translations(translations, [pair.target for pair in self._validation])["BLEU"][0]
        }, 0

    def counts(self) -> dict[str, Any]:
        return {"pairs": len(self.pairs), "too_long": self.too_long, "tokens": sum(self.lengths)}


class TranslationJob(Job):
    """Trains an encoder-decoder; its vocabulary is learnt from the pairs, or that of its base."""

    bare: Transformer
    tasks: Sequence[TranslationTask]

    @classmethod
    def of(cls, recipe: Recipe[TranslationModel], folder: Path, processes: Processes, report: Report) -> TranslationJob:
        """The job of a recipe, its data read and its model built."""
        score_translations([""], [""])  # a missing package is told before the work and not after it
        (table,), quarantine = recipe.tasks, Quarantine()
        task, device = table.task, processes.device
        assert isinstance(task, Translation)

        def read(paths: Sequence[str]) -> list[Pair]:
            return [pair for path in paths for pair in task.read(recipe.path(path), None, quarantine)]

        examples = read(table.train)
        pairs = _without_tests(examples, read(table.test) if recipe.data.drop_leaks else [])
        if not pairs:
            raise InputError(f"no training pair was read from {', '.join(table.train)}{quarantine.first}")
        if not processes.first:
            processes.wait()  # for the vocabulary that the first one learns
        translator = _based(recipe, task, folder) if recipe.model.base else _fresh(recipe, task, folder, pairs)
        if processes.first:
            processes.wait()
        model = translator.model
        finish = prepare_encoder(model, recipe.training)
        model.to(device)
        trained = TranslationTask(recipe, task, translator, pairs, read(table.validation), device)
        trained.quarantine, trained.leaks = quarantine, len(examples) - len(pairs)
        job = cls(recipe, model, [trained], device, finish=finish)
        job._folder = folder
        return job

    _folder: Path

    def described(self) -> Described:
        (task,), config = self.tasks, self.bare.config
        described = {"model_type": "marian", "architectures": ["MarianMTModel"]}
        if config.normalize_before or config.encoder is not None:
            # Marian has no norms in front, nor another encoder: `transformers` must not think that it could load this.
            described = {"model_type": "textome-transformer", "architectures": ["Transformer"]}
        described |= {name: getattr(config, name) for name in config.__dataclass_fields__}
        languages = task.task.label_names[0]
        lines = [f"Translates {languages}; trained on {len(task.pairs):,} pairs.", ""]
        own = {"kind": "text", "window": task.task.max_length}
        return Described(described, self._folder, own, lines, pipeline_tag="translation")


def _fresh(recipe: Recipe[TranslationModel], task: Translation, folder: Path, pairs: Sequence[Pair]) -> Translator:
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
        max_position_embeddings=sizes.max_length + 1,
        dropout=sizes.dropout,
        normalize_before=sizes.normalize_before,
        pad_token_id=padding,
        decoder_start_token_id=start,
        eos_token_id=end,
    )
    return Translator(Transformer(config), tokenizer, task.source, task.target, sizes.max_length)


def _based(recipe: Recipe[TranslationModel], task: Translation, folder: Path) -> Translator:
    """The model of `model.base`, with the recipe's dropout, and its vocabulary."""
    base = Translator.load(str(recipe.model.base))
    if (base.source, base.target) != (task.source, task.target):
        raise InputError(
            f"model.base {recipe.model.base} translates {base.source} to {base.target}, and the data are "
            f"{task.source} to {task.target}"
        )
    base.tokenizer.save(str(folder / "tokenizer.json"))
    model = Transformer(replace(base.model.config, dropout=recipe.model.dropout))
    model.load_state_dict(base.model.state_dict())
    return Translator(model, base.tokenizer, base.source, base.target, base.max_length)


def _without_tests(pairs: Sequence[Pair], tests: Sequence[Pair]) -> list[Pair]:
    """The pairs whose source stands in no test file."""
    forbidden = {text for pair in tests if len(text := fingerprint(pair.source)) >= SHORTEST_LEAK}
    return [pair for pair in pairs if fingerprint(pair.source) not in forbidden]


def special_tokens(tokenizer: Tokenizer) -> list[int]:
    """The ids of padding, start and end. Raises InputError where the tokenizer lacks one."""
    ids = [tokenizer.token_to_id(name) for name in (PAD, START, END)]
    if None in ids:
        raise InputError(f"the tokenizer has not all of {PAD}, {START} and {END}")
    return [number for number in ids if number is not None]


def _tokenizer(path: Path, recipe: Recipe[TranslationModel], pairs: Sequence[Pair]) -> Tokenizer:
    """The joint vocabulary of both languages, trained on the training pairs; that of a run that goes on is read."""
    if path.exists():
        return Tokenizer.from_file(str(path))
    tokenizer = byte_level_tokenizer(add_prefix_space=True)
    tokenizer.normalizer = normalizers.NFC()
    texts = (text for pair in pairs for text in (pair.source, pair.target))
    learn_merges(tokenizer, texts, recipe.model.vocabulary, (PAD, START, END))
    with atomic_file(path) as stream:
        stream.write(tokenizer.to_str(pretty=True).encode())
    return tokenizer


def _encoder(recipe: Recipe[TranslationModel], vocabulary: int) -> dict[str, Any] | None:
    """The `config.json` of another encoder of the recipe's sizes; None for the paper's own."""
    sizes = recipe.model
    like = {
        "vocab_size": vocabulary,
        "hidden_size": sizes.hidden_size,
        "num_hidden_layers": sizes.encoder_layers,
        "num_attention_heads": sizes.num_attention_heads,
        "intermediate_size": sizes.intermediate_size,
        "max_position_embeddings": sizes.max_length + 1,
    }
    conversion = None if sizes.encoder == "transformer" else conversion_to(sizes.encoder, like)
    if conversion is None:
        return None
    values = conversion.config_like(like, position_buckets=64)
    return encoder_of(values).with_dropout(values, sizes.dropout, 0.0)

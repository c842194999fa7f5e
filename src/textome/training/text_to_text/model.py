"""The T5 that a run starts from: fresh, or a checkpoint in the Hugging Face layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from textome.encoders.checkpoint import load_tensors
from textome.encoders.t5 import MODEL_TYPE, T5Config
from textome.encoders.t5.model import T5
from textome.errors import InputError, ModelError
from textome.text.tokenization import Tokenizer
from textome.training.bundles import base_directory, read_config, read_weights
from textome.training.models import TextToTextModel
from textome.training.recipe import Recipe


def build_t5(recipe: Recipe[TextToTextModel]) -> tuple[T5, Tokenizer, Path]:
    """The model of a recipe, its tokenizer, and the folder whose tokenizer files it keeps.

    Raises InputError for a vocabulary that the model has no room for, ModelError for a checkpoint of something else.
    """
    sizes = recipe.model
    if sizes.base is not None:
        base = base_directory(sizes.base)
        model = load_t5(base, sizes.dropout)
        tokenizer = Tokenizer.load(base)
        if tokenizer.vocabulary_size > model.config.vocab_size:
            raise InputError(f"{base}: the tokenizer has {tokenizer.vocabulary_size} tokens, and the model fewer rows")
        return model, tokenizer, base
    base = Path(recipe.path(str(sizes.tokenizer)))
    tokenizer = Tokenizer.load(base)
    _ = tokenizer.sentinel_ids
    config = T5Config(
        vocab_size=-(-tokenizer.vocabulary_size // 8) * 8,
        d_model=sizes.hidden_size,
        d_kv=sizes.head_size,
        d_ff=sizes.intermediate_size,
        num_layers=sizes.encoder_layers,
        num_decoder_layers=sizes.decoder_layers,
        num_heads=sizes.num_attention_heads,
        dropout_rate=sizes.dropout,
        feed_forward_proj=sizes.feed_forward,
        tie_word_embeddings=sizes.tied,
        pad_token_id=tokenizer.start_id,
        decoder_start_token_id=tokenizer.start_id,
        eos_token_id=tokenizer.end_id,
    )
    torch.manual_seed(recipe.training.seed)
    return T5(config), tokenizer, base


def load_t5(folder: Path, dropout: float | None = None) -> T5:
    """The model of a folder with `config.json` and `model.safetensors`; `dropout` instead of its own.

    An output matrix in the weights that is not the table of embeddings is the model's own, whatever `config.json` says:
    version 5 of `transformers` writes that embeddings are tied even where they are not.
    """
    values: dict[str, Any] = read_config(folder, (MODEL_TYPE,))
    tensors = read_weights(folder, values)
    output, shared = tensors.get("lm_head.weight"), tensors.get("shared.weight")
    tied = output is None or (shared is not None and torch.equal(output, shared))
    try:
        config = T5Config.from_dict(values)
    except ValueError as error:
        raise ModelError(f"{folder / 'config.json'}: {error}") from error
    config = replace(config, tie_word_embeddings=tied, scale_decoder_outputs=config.scales_outputs)
    model = T5(config if dropout is None else replace(config, dropout_rate=dropout))
    load_tensors(model, tensors, str(folder))
    return model

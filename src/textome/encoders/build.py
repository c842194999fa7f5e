"""Fresh encoders from configurations: the table `ENCODERS` in PyTorch.

Heads and tasks take whichever encoder a configuration describes; all have one call, packed tokens to hidden states.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from textome.encoders import ENCODERS, Encoder, encoder_of, encoder_of_folder, folder_of
from textome.encoders.interface import ConversionModule, EncoderConfig, EncoderModel, MaskedLM, ModelModule


def read_encoder_config(values: Mapping[str, Any]) -> EncoderConfig:
    """The configuration that a parsed `config.json` describes.

    Raises ValueError for an architecture that is not in the table, or one of these with a setting that is not supported.
    """
    return _module(values).read_config(values)


def build_encoder(config: EncoderConfig, pooler: bool = False) -> EncoderModel:
    """A fresh encoder. Raises ValueError if a pooler is asked of an architecture that has none."""
    module = _module({"model_type": config.model_type})
    if not pooler:
        return module.build(config)
    if not architecture(config).next_sentence:
        raise ValueError(
            f"{architecture(config).transformers} has no pooler and no next-sentence task; use BERT for these"
        )
    return module.build(config, pooler=True)


def build_masked_lm(config: EncoderConfig, next_sentence: bool = False) -> MaskedLM:
    """A fresh encoder with the head that pretrains it. Raises ValueError if it has no head for pairs of sentences."""
    if next_sentence and not architecture(config).next_sentence:
        name = architecture(config).transformers
        raise ValueError(f"{name} has no head for masking.next_sentence; set it to false")
    return _module({"model_type": config.model_type}).build_masked_lm(config, next_sentence)


def architecture(config: EncoderConfig) -> Encoder:
    """The row of the table for a configuration."""
    return encoder_of({"model_type": config.model_type})


def conversion_to(folder: str, values: Mapping[str, Any]) -> ConversionModule | None:
    """What makes an encoder of this folder of one that a parsed `config.json` describes; None if it is one already.

    Raises ValueError if that cannot be.
    """
    source = folder_of(values)
    if folder in ("same", source):
        return None
    able = [other for other in ENCODERS.values() if source in encoder_of_folder(other).starts_from]
    if folder not in able:
        raise ValueError(f"{source} can be made {', '.join(able) or 'no other architecture'}, not {folder!r}")
    return cast(ConversionModule, import_module(f"textome.encoders.{folder}.conversion"))


def _module(values: Mapping[str, Any]) -> ModelModule:
    return cast(ModelModule, import_module(f"textome.encoders.{folder_of(values)}.model"))

"""What the settings of a recipe do to an encoder before it is trained."""

from __future__ import annotations

from torch import nn

from textome.models.lora import add_low_rank
from textome.models.recompute import recompute
from textome.training.recipe import Training


def prepare_encoder(encoder: nn.Module, settings: Training) -> None:
    """Add low-rank products, and make layers compute twice for memory, where the recipe asks for it."""
    if settings.lora_rank:
        add_low_rank(encoder, settings.lora_rank, settings.lora_alpha)
    if settings.gradient_checkpointing:
        recompute(encoder)

"""Adversarial training on word embeddings: the fast gradient method (Miyato et al. 2017, "Adversarial training methods for
semi-supervised text classification", equation 5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from textome.errors import InputError

_EMBEDDINGS = "embeddings.word_embeddings.weight"


@contextmanager
def worst_step(model: nn.Module, length: float) -> Iterator[None]:
    """The model with its word embeddings moved by `length` along their gradient, in which direction the loss grows most.

    The embeddings are put back bit for bit afterwards. Raises InputError where the model has none that learn.
    """
    found = [item for name, item in model.named_parameters() if name.endswith(_EMBEDDINGS)]
    if not found or found[0].grad is None:
        raise InputError("training.adversarial needs word embeddings that learn; leave it out, or frozen_layers")
    embeddings, gradient = found[0], found[0].grad
    own = embeddings.detach().clone()
    size = gradient.norm()
    with torch.no_grad():
        if bool(size > 0) and bool(torch.isfinite(size)):
            embeddings.add_(gradient, alpha=length / float(size))
    try:
        yield
    finally:
        with torch.no_grad():
            embeddings.copy_(own)

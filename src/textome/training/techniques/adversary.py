"""Adversarial training on word embeddings: the fast gradient method (Miyato et al. 2017, "Adversarial training methods for
semi-supervised text classification", equation 5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from textome.errors import InputError

# Of texts, of both sides of a translation, and of other tokens.
_EMBEDDINGS = ("embeddings.word_embeddings.weight", "shared.weight", "table.weight")


@contextmanager
def worst_step(model: nn.Module, length: float) -> Iterator[None]:
    """The model with its word embeddings moved by `length` along their gradient, in which direction the loss grows most.

    The embeddings are put back bit for bit afterwards. Raises InputError where the model has none that learn.
    """
    embeddings = [item for name, item in model.named_parameters() if name.endswith(_EMBEDDINGS)]
    gradients = [item.grad for item in embeddings if item.grad is not None]
    if not embeddings or len(gradients) < len(embeddings):
        raise InputError("training.adversarial needs word embeddings that learn; leave it out, or frozen_layers")
    own = [item.detach().clone() for item in embeddings]
    norms = [gradient.norm() for gradient in gradients]
    size = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
    with torch.no_grad():
        if bool(size > 0) and bool(torch.isfinite(size)):
            for item, gradient in zip(embeddings, gradients, strict=True):
                item.add_(gradient, alpha=length / float(size))
    try:
        yield
    finally:
        with torch.no_grad():
            for item, values in zip(embeddings, own, strict=True):
                item.copy_(values)

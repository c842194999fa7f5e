"""Words of mentions mixed with others of the same labels inside the encoder (manifold mixup, Verma et al. 2019, section 2).

Verma et al. mix the labels as the states; here only words whose labels agree under every head are mixed, so labels stay
exact. As there, a layer is drawn for each batch; above it the encoder sees what lies between two mentions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from textome.tasks.spans.iob import BEGIN


def partners(targets: Tensor) -> Tensor:
    """For each word (M,) the number of one that it is mixed with: drawn by PyTorch's random numbers from the words with the
    same `targets` (M, heads); itself for a word outside all mentions. Each word is the partner of one."""
    words = torch.arange(len(targets))
    _, kind = torch.unique(targets, dim=0, return_inverse=True)
    kind = torch.where((targets >= BEGIN).any(1), kind, kind.max() + 1 + words)
    shuffled = torch.randperm(len(targets))
    shuffled = shuffled[kind[shuffled].argsort(stable=True)]
    chosen = torch.empty_like(words)
    chosen[kind.argsort(stable=True)] = shuffled
    return chosen


@contextmanager
def mixed(encoder: nn.Module, first: Tensor, targets: Tensor, alpha: float) -> Iterator[None]:
    """While open, the states of words behind the embeddings, or a layer that is not the last, are shares of two words.

    first    (M,) where in the packed batch each word has its first sub-word
    targets  (M, heads) on the CPU
    alpha    a word's own share is drawn from Beta(alpha, alpha), and is the larger one of both (Berthelot et al. 2019,
             section 3.3)
    """
    other = partners(targets)
    share = torch.distributions.Beta(alpha, alpha).sample((len(targets), 1))
    share = torch.maximum(share, 1 - share).to(first.device)
    other = other.to(first.device)

    def mix(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        rows = output[first]
        share_ = share.to(rows.dtype)
        return output.index_copy(0, first, share_ * rows + (1 - share_) * rows[other])

    modules = [encoder.get_submodule("embeddings"), *encoder.get_submodule("layers").children()][:-1]
    hook = modules[int(torch.randint(len(modules), ()))].register_forward_hook(mix)
    try:
        yield
    finally:
        hook.remove()

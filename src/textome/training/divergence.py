"""How far two predictions for the same batch are from each other, in the shapes that losses.py has.

R-Drop (Liang et al. 2021) adds it to the loss, where both come from one model under two dropout masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from textome.tasks.spans.iob import IGNORED, LABELS


def kl_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Half the sum of both Kullback-Leibler divergences of log-probabilities (..., categories); (...)."""
    return ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2


def entity_divergence(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of (M, heads * 3) logits and (M, heads) targets: summed over a word's annotated heads, mean over words."""
    rows = kl_divergence(
        *(functional.log_softmax(item.reshape(*targets.shape, len(LABELS)), -1) for item in (first, second))
    )
    return rows[targets != IGNORED].sum() / max(1, len(targets))


def cross_entropy_divergence(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of (M, num_labels) logits with one label each and (M, 1) targets: the mean over rows with a target."""
    kept = targets.view(-1) != IGNORED
    rows = kl_divergence(functional.log_softmax(first, -1), functional.log_softmax(second, -1))
    return rows[kept].sum() / kept.sum().clamp_min(1)


def binary_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Of (M, num_labels) logits of labels that hold or do not: summed over labels, the mean over rows."""
    both = (functional.logsigmoid(torch.stack([item, -item], -1)) for item in (first, second))
    return kl_divergence(*both).sum() / len(first)


def span_divergence(first: Tensor, second: Tensor, sizes: Sequence[int]) -> Tensor:
    """Of (M, 2) start and end scores of examples with these numbers of rows: the mean of both, and over examples."""
    divergences = [
        kl_divergence(functional.log_softmax(one, 0).t(), functional.log_softmax(other, 0).t()).mean()
        for one, other in zip(torch.split(first, list(sizes)), torch.split(second, list(sizes)), strict=True)
    ]
    return torch.stack(divergences).mean()


def known_divergence(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of (B, num_labels) logits with one label each: the mean over rows whose targets (B, num_labels) are known."""
    known = torch.isfinite(targets).all(1)
    rows = kl_divergence(functional.log_softmax(first, -1), functional.log_softmax(second, -1))
    return (rows * known).sum() / known.sum().clamp_min(1)


def known_label_divergence(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of (B, num_labels) logits of labels that hold or do not: the mean over those that are known in the targets."""
    known = torch.isfinite(targets)
    both = (functional.logsigmoid(torch.stack([item, -item], -1)) for item in (first, second))
    return (kl_divergence(*both) * known).sum() / known.sum().clamp_min(1)


def number_divergence(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of (B, num_labels) standardised numbers: the mean squared distance of those that are known in the targets."""
    known = torch.isfinite(targets)
    return ((first - second) ** 2 * known).sum() / known.sum().clamp_min(1)


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float, size: int | None = None) -> Tensor:
    """The Kullback-Leibler divergence of a student's distributions from a teacher's, of logits (M, distributions * size)
    softened by a temperature: summed over distributions, the mean over rows, times temperature ** 2 (Hinton et al. 2015,
    section 2). Without a size, each row is one distribution."""
    student_logs, teacher_logs = (
        functional.log_softmax(item.reshape(len(item), -1, size or item.shape[1]) / temperature, -1)
        for item in (student, teacher)
    )
    total = functional.kl_div(student_logs, teacher_logs, reduction="sum", log_target=True)
    return total * temperature**2 / max(1, len(student))

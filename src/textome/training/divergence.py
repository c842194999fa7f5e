"""How far two predictions for the same batch are from each other, in the shapes that losses.py has.

R-Drop (Liang et al. 2021) adds it to the loss, where both come from one model under two dropout masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from textome.tasks.ner import IGNORED, LABELS
from textome.tasks.question_answering import Answers
from textome.tasks.recognition import Recognition
from textome.training.task_data import PartData

Divergence = Callable[[Tensor, Tensor, Tensor, Sequence[int]], Tensor]


def divergence_of(part: PartData) -> Divergence:
    """The divergence of a task's predictions: a function of both logits, the targets and the rows of each unit; a mean over
    what the task's loss is a mean over."""
    if isinstance(part.task, Answers):
        return lambda first, second, targets, sizes: spans_apart(first, second, sizes)
    if isinstance(part.task, Recognition):
        return lambda first, second, targets, sizes: entities_apart(first, second, targets)
    if getattr(part.task, "multi_label", False):
        return lambda first, second, targets, sizes: several_apart(first, second)
    return lambda first, second, targets, sizes: one_apart(first, second, targets)


def apart(first: Tensor, second: Tensor) -> Tensor:
    """Half the sum of both Kullback-Leibler divergences of log-probabilities (..., categories); (...)."""
    return ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2


def entities_apart(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of (M, heads * 3) logits and (M, heads) targets: summed over a word's annotated heads, mean over words."""
    rows = apart(*(functional.log_softmax(item.reshape(*targets.shape, len(LABELS)), -1) for item in (first, second)))
    return rows[targets != IGNORED].sum() / max(1, len(targets))


def one_apart(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of (M, num_labels) logits with one label each and (M, 1) targets: the mean over rows with a target."""
    kept = targets.view(-1) != IGNORED
    rows = apart(functional.log_softmax(first, -1), functional.log_softmax(second, -1))
    return rows[kept].sum() / kept.sum().clamp_min(1)


def several_apart(first: Tensor, second: Tensor) -> Tensor:
    """Of (M, num_labels) logits of labels that hold or do not: summed over labels, the mean over rows."""
    both = (functional.logsigmoid(torch.stack([item, -item], -1)) for item in (first, second))
    return apart(*both).sum() / len(first)


def spans_apart(first: Tensor, second: Tensor, sizes: Sequence[int]) -> Tensor:
    """Of (M, 2) start and end scores of units with these numbers of rows: the mean of both, and over units."""
    found = [
        apart(functional.log_softmax(one, 0).t(), functional.log_softmax(other, 0).t()).mean()
        for one, other in zip(torch.split(first, list(sizes)), torch.split(second, list(sizes)), strict=True)
    ]
    return torch.stack(found).mean()

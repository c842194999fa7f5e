"""The losses of tasks: functions of logits, targets and how many rows each unit has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from textome.tasks.ner import IGNORED, LABELS
from textome.tasks.question_answering import Answers
from textome.tasks.recognition import Recognition

if TYPE_CHECKING:
    from textome.training.task_data import PartData

Loss = Callable[[Tensor, Tensor, Sequence[int]], Tensor]


def loss_of(part: PartData, smoothing: float, device: torch.device) -> Loss:
    """The loss that a task's recipe asks for."""
    if isinstance(part.task, Answers):
        return spans
    if isinstance(part.task, Recognition):
        return lambda logits, targets, sizes: entities(logits, targets, smoothing)
    gamma = float(getattr(part.part, "focal", 0.0))
    multi = bool(getattr(part.task, "multi_label", False))
    weights = None
    if getattr(part.part, "class_weights", "none") == "balanced":
        counts = _counts(part, multi)
        weights = torch.from_numpy((counts.sum() / (len(counts) * np.maximum(counts, 1))).astype(np.float32)).to(device)
    if multi:
        return lambda logits, targets, sizes: several(logits, targets, weights, gamma)
    return lambda logits, targets, sizes: one(logits, targets, weights, gamma, smoothing)


def counted(part: PartData, targets: Sequence[NDArray[Any]]) -> int:
    """Over how many things the loss of units with these targets is a mean: units, or rows that have a target."""
    if isinstance(part.task, Answers):
        return len(targets)
    if isinstance(part.task, Recognition) or getattr(part.task, "multi_label", False):
        return sum(map(len, targets))
    return sum(int((rows != IGNORED).sum()) for rows in targets)


def one(logits: Tensor, targets: Tensor, weights: Tensor | None, gamma: float, smoothing: float) -> Tensor:
    """Cross-entropy of (M, num_labels) with targets (M, 1), the mean over rows; those of -100 are left out.

    weights   (num_labels,) of the classes
    gamma     of the focal loss (Lin et al. 2017, equation 4): a row counts by (1 - p) ** gamma of its gold class
    """
    flat = targets.view(-1)
    losses = functional.cross_entropy(
        logits, flat, weights, ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
    )
    kept = flat != IGNORED
    if gamma:
        truth = functional.log_softmax(logits, -1).gather(1, flat.clamp_min(0)[:, None])[:, 0].exp()
        losses = losses * (1 - truth).clamp_min(0) ** gamma
    return losses.sum() / kept.sum().clamp_min(1)


def several(logits: Tensor, targets: Tensor, weights: Tensor | None, gamma: float) -> Tensor:
    """Binary cross-entropy of (M, num_labels) with targets of 0 and 1, summed over labels, the mean over rows."""
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if gamma:
        losses = losses * (targets - torch.sigmoid(logits)).abs() ** gamma
    if weights is not None:
        losses = losses * torch.where(targets > 0, weights, torch.ones_like(weights))
    return losses.sum() / len(logits)


def contrastive(pooled: Tensor, targets: Tensor, temperature: float = 0.3) -> Tensor:
    """Supervised contrastive loss of (M, hidden_size) of M texts with classes (M,): minus the mean log share that a text of
    the same class has among all others, by cosine over `temperature` (Gunel et al. 2021, equation 3; Khosla et al. 2020).

    Texts without a second one of their class in the batch are left out; 0 where there is none that has one.
    """
    unit = functional.normalize(pooled, dim=-1)
    alone = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    shares = (unit @ unit.T / temperature).masked_fill(alone, float("-inf")).log_softmax(-1)
    same = (targets[:, None] == targets[None]) & ~alone
    counts = same.sum(-1)
    means = -shares.masked_fill(~same, 0.0).sum(-1) / counts.clamp_min(1)
    return means[counts > 0].mean() if bool(counts.any()) else unit.sum() * 0.0


def entities(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of (M, heads * 3) with targets (M, heads), summed over the heads that a word is annotated for and
    averaged over words.

    Averaging over labels instead would let a corpus with many types outweigh one with a single type.
    """
    return _entity_losses(logits, targets, smoothing, "sum") / max(1, len(targets))


def entities_each(logits: Tensor, targets: Tensor, smoothing: float, owner: Tensor, count: int) -> Tensor:
    """The same for each of `count` owners of the words, `owner` (M,): (count,); 0 for one without words."""
    words = _entity_losses(logits, targets, smoothing, "none").view(targets.shape).sum(1)
    sums = words.new_zeros(count).index_add(0, owner, words)
    return sums / torch.bincount(owner, minlength=count).clamp_min(1)


def _entity_losses(logits: Tensor, targets: Tensor, smoothing: float, reduction: str) -> Tensor:
    return functional.cross_entropy(
        logits.reshape(-1, len(LABELS)),
        targets.reshape(-1).long(),
        ignore_index=IGNORED,
        reduction=reduction,
        label_smoothing=smoothing,
    )


def spans(logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """Of (M, 2) start and end scores of units with these numbers of rows: minus the log of the probability, by a softmax
    over the unit's rows, that the start (the end) is one of those marked in `targets`; the mean over units."""
    losses = []
    for scores, marks in zip(torch.split(logits, list(sizes)), torch.split(targets, list(sizes)), strict=True):
        right = scores.masked_fill(marks == 0, float("-inf"))
        losses.append((scores.logsumexp(0) - right.logsumexp(0)).mean())
    return torch.stack(losses).mean()


def _counts(part: PartData, multi: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rows = np.concatenate(part.targets)
    if multi:
        return rows.sum(0).astype(np.float64)  # type: ignore[no-any-return]
    return np.bincount(rows[rows >= 0].ravel(), minlength=len(part.task.labels)).astype(np.float64)

"""The losses of tasks by name, and how far two predictions of one model are apart in their shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from textome.errors import InputError
from textome.metrics.affinity import MAX_LOG_DEVIATION
from textome.tasks import SomeTask
from textome.tasks.spans.iob import IGNORED, LABELS
from textome.training.chains import chain_loss, chain_marginals
from textome.training.divergence import (
    binary_divergence,
    cross_entropy_divergence,
    entity_divergence,
    known_divergence,
    known_label_divergence,
    number_divergence,
    softened_divergence,
    span_divergence,
)
from textome.training.maps.losses import areas, areas_and_depths, centres

# By `loss_of_numbers` of a target.
_POWERS = {"squares": (2,), "absolute": (1,), "both": (1, 2)}
Divergence = Callable[[Tensor, Tensor, Tensor, Sequence[int]], Tensor]


@dataclass(frozen=True)
class LossOptions:
    """What a loss needs beside predictions.

    smoothing      of labels
    class_weights  (num_labels,) or None
    focal          gamma of the focal loss (Lin et al. 2017, equation 4), 0 for none
    standardised   of numbers: makes targets (B, num_labels) what the model's outputs are to be
    powers         of the errors of numbers, of which the mean is taken
    """

    smoothing: float = 0.0
    class_weights: Tensor | None = None
    focal: float = 0.0
    standardised: Callable[[Tensor], Tensor] = lambda targets: targets
    powers: tuple[int, ...] = (2,)


@dataclass(frozen=True)
class Loss:
    """A loss by which tasks may be learnt.

    value       of logits (M, num_labels), targets (M, ...) and the numbers of rows of each example: a mean
    divergence  how far two predictions are apart, of both logits, targets and numbers of rows: a mean over the same
    count       over how many things the mean of examples with these targets is
    distillation  of a student's and a teacher's logits, the numbers of rows and a temperature: the divergence of both
                distributions softened by the temperature, times temperature ** 2 (Hinton et al. 2015, section 2); None if
                no task over text is learnt by it
    by_rows     the losses of records (R,), each a mean over its rows, of the record of each row and R; without it, a
                record's loss is the mean over its examples
    """

    value: Callable[[Tensor, Tensor, Sequence[int], LossOptions], Tensor]
    divergence: Divergence
    count: Callable[[Sequence[NDArray[Any]]], int]
    distillation: Callable[[Tensor, Tensor, Sequence[int], float], Tensor] | None = None
    by_rows: Callable[[Tensor, Tensor, LossOptions, Tensor, int], Tensor] | None = None

    def each(
        self,
        logits: Tensor,
        targets: Tensor,
        sizes: Sequence[int],
        options: LossOptions,
        owner: Tensor,
        rows: Tensor,
        count: int,
    ) -> Tensor:
        """The losses of `count` records; `owner` is the record of each example, `rows` that of each row."""
        if self.by_rows is not None:
            return self.by_rows(logits, targets, options, rows, count)
        pieces = zip(torch.split(logits, list(sizes)), torch.split(targets, list(sizes)), strict=True)
        losses = torch.stack([self.value(some, their, [len(some)], options) for some, their in pieces])
        totals = losses.new_zeros(count).index_add(0, owner, losses)
        return totals / torch.bincount(owner, minlength=count)


def options_of(task: SomeTask, targets: Sequence[NDArray[Any]], smoothing: float, device: torch.device) -> LossOptions:
    """The options that a task asks for, its class weights counted in training targets.

    Raises InputError where labels cannot be smoothed.
    """
    if smoothing and task.loss == "crf":
        raise InputError("training.label_smoothing does not work with a random field over labels: leave it out")
    weights = None
    if getattr(task, "class_weights", "none") == "balanced":
        counts = _counts(task, targets)
        weights = torch.from_numpy((counts.sum() / (len(counts) * np.maximum(counts, 1))).astype(np.float32)).to(device)
    return LossOptions(smoothing, weights, float(getattr(task, "focal", 0.0)))


def cross_entropy(logits: Tensor, targets: Tensor, options: LossOptions) -> Tensor:
    """Cross-entropy of (M, num_labels) with targets (M, 1), the mean over rows; those of -100 are left out.

    With a focal gamma a row counts by (1 - p) ** gamma of its gold class. Targets may be probabilities (M, num_labels).
    """
    if targets.is_floating_point():
        return shares(logits, targets, options.class_weights, options.smoothing, options.focal)
    flat = targets.view(-1)
    losses = functional.cross_entropy(
        logits, flat, options.class_weights, ignore_index=IGNORED, reduction="none", label_smoothing=options.smoothing
    )
    kept = flat != IGNORED
    if options.focal:
        truth = functional.log_softmax(logits, -1).gather(1, flat.clamp_min(0)[:, None])[:, 0].exp()
        losses = losses * (1 - truth).clamp_min(0) ** options.focal
    return losses.sum() / kept.sum().clamp_min(1)


def binary_cross_entropy(logits: Tensor, targets: Tensor, options: LossOptions) -> Tensor:
    """Binary cross-entropy of (M, num_labels) with targets of 0 and 1, summed over labels, the mean over rows. A target
    that is NaN is not known and teaches nothing."""
    known = ~targets.isnan()
    targets = targets.nan_to_num()
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * known
    if options.focal:
        losses = losses * (targets - torch.sigmoid(logits)).abs() ** options.focal
    if options.class_weights is not None:
        losses = losses * torch.where(targets > 0, options.class_weights, torch.ones_like(options.class_weights))
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


def classes_of(targets: Tensor) -> Tensor:
    """(M,) the class of each row: of labels (M, 1), or the likeliest by probabilities (M, num_labels)."""
    return targets.nan_to_num().argmax(-1) if targets.is_floating_point() else targets.view(-1)


def entities(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of (M, heads * 3) with targets (M, heads), summed over the heads that a word is annotated for and
    averaged over words.

    Averaging over labels instead would let a corpus with many types outweigh one with a single type. Targets may be
    probabilities (M, heads * 3), see `soft_labels`.
    """
    if targets.is_floating_point():
        return soft_labels(logits, targets)
    return _entity_losses(logits, targets, smoothing, "sum") / max(1, len(targets))


def soft_labels(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of (M, heads * 3) logits with the probabilities of labels, NaN where they are not known: summed over
    heads and averaged over words."""
    logs = functional.log_softmax(logits.unflatten(-1, (-1, len(LABELS))), -1).flatten(1)
    return -(targets.nan_to_num() * logs).sum() / max(1, len(targets))


def chain(logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """The loss of a random field over labels, see `chain_loss`; where targets are probabilities (M, heads * 3), their
    cross-entropy with its marginals."""
    if targets.is_floating_point():
        return soft_labels(chain_marginals(logits, sizes), targets)
    return chain_loss(logits, targets, sizes)


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


def shares(logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float, focal: float = 0.0) -> Tensor:
    """Cross-entropy with target shares (B, num_labels), weighted by class; rows that are not known are left out. With a
    focal gamma a class counts by (1 - p) ** gamma."""
    known = torch.isfinite(targets).all(1)
    expected = torch.nan_to_num(targets)
    expected = (1 - smoothing) * expected + smoothing / expected.shape[1]
    if weights is not None:
        expected = expected * weights
    logs = functional.log_softmax(logits, 1)
    losses = -(expected * (1 - logs.exp()).clamp_min(0) ** focal * logs).sum(1) * known
    scale = (expected.sum(1) * known).sum() if weights is not None else known.sum()
    return losses.sum() / scale.clamp(min=1e-6)


def known_labels(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Binary cross-entropy of each label, the mean over known ones; `weights` (num_labels,) of the positive ones."""
    known = torch.isfinite(targets)
    losses = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(targets), reduction="none", pos_weight=weights
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def numbers(outputs: Tensor, targets: Tensor, powers: Sequence[int]) -> Tensor:
    """The mean of these powers of the absolute errors of standardised numbers, over known ones."""
    known = torch.isfinite(targets)
    return (_powers(outputs - torch.nan_to_num(targets), powers) * known).sum() / known.sum().clamp(min=1)


def numbers_with_deviations(outputs: Tensor, targets: Tensor, powers: Sequence[int] = (2,)) -> Tensor:
    """The mean of these powers of the absolute errors of standardised numbers, and a tenth of how improbable their errors
    are by a normal distribution of the deviations that the model gives (Nix and Weigend 1994, equation 3), over known ones.

    outputs   (B, 2 num_labels): numbers, and the logarithms of deviations
    targets   (B, num_labels)

    The errors count as given in the second part: a model that doubted what it does not fit would learn it no better.
    """
    known = torch.isfinite(targets)
    numbers, logs = outputs.chunk(2, 1)
    errors = numbers - torch.nan_to_num(targets)
    logs = logs.clamp(-MAX_LOG_DEVIATION, MAX_LOG_DEVIATION)
    doubts = logs + 0.5 * errors.detach() ** 2 * torch.exp(-2 * logs)
    return ((_powers(errors, powers) + 0.1 * doubts) * known).sum() / known.sum().clamp(min=1)


def _powers(errors: Tensor, powers: Sequence[int]) -> Tensor:
    return torch.stack([errors.abs() ** power for power in powers]).mean(0)


def cox(risks: Tensor, targets: Tensor) -> Tensor:
    """Minus the logarithm of Cox's partial likelihood of (B, 1) relative hazards, divided by B; ties by Efron 1977.

    targets   (B, 2): time, and 1 where the event ended it

    Of d events at one time the denominators are the sum of the hazards of all who were at risk, less k / d of that of the
    d, for k = 0 to d - 1 (Efron 1977, equation 6.7). 0 for a batch without an event.
    """
    order = torch.argsort(targets[:, 0], descending=True, stable=True)
    time, event, risk = targets[order, 0], targets[order, 1] > 0, risks[order, 0].double()
    if not bool(event.any()):
        return risks.sum() * 0.0
    weights = (risk - risk.max().detach()).exp()
    _, group = torch.unique_consecutive(time, return_inverse=True)
    count = int(group[-1]) + 1
    at_risk = weights.new_zeros(count).index_add(0, group, weights).cumsum(0)
    tied = weights.new_zeros(count).index_add(0, group[event], weights[event])
    deaths = torch.bincount(group[event], minlength=count)
    own = group[event]
    first = deaths.cumsum(0) - deaths
    rank = torch.arange(len(own), device=own.device) - first[own]
    denominators = at_risk[own] - rank / deaths[own] * tied[own]
    return (denominators.log() - (risk[event] - risk.max().detach())).sum().float() / len(risks)


def target_options(target: Any, rows: NDArray[np.float32], smoothing: float, device: torch.device) -> LossOptions:
    """The options that a task over something else than text asks for; `rows` (N, num_labels) are its training targets."""
    if target.means:
        means, deviations, units = (
            torch.tensor(values, device=device) for values in (target.means, target.deviations, target.units or (1.0,))
        )

        def standardised(targets: Tensor) -> Tensor:
            return ((torch.asinh(targets / units) if target.compress else targets) - means) / deviations

        return LossOptions(standardised=standardised, powers=_POWERS[target.loss_of_numbers])
    weights = None
    if target.class_weights == "balanced":
        positive, known = np.nansum(rows, 0), np.isfinite(rows).sum(0)
        counted = (known - positive) / np.maximum(positive, 1)
        if target.kind == "sequence_classification":
            counted = known / (rows.shape[1] * np.maximum(positive, 1))
        weights = torch.from_numpy(counted.astype(np.float32)).to(device)
    return LossOptions(smoothing, weights)


def spans(logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """Of (M, 2) start and end scores of examples with these numbers of rows: minus the log of the probability, by a softmax
    over the example's rows, that the start (the end) is one of those marked in `targets`; the mean over examples."""
    losses = []
    for scores, marks in zip(torch.split(logits, list(sizes)), torch.split(targets, list(sizes)), strict=True):
        right = scores.masked_fill(marks == 0, float("-inf"))
        losses.append((scores.logsumexp(0) - right.logsumexp(0)).mean())
    return torch.stack(losses).mean()


def _counts(task: SomeTask, targets: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    rows = np.concatenate(targets)
    if rows.dtype == np.float32:
        return np.asarray(np.nansum(rows, 0), np.float64)
    return np.bincount(rows[rows >= 0].ravel(), minlength=task.head_shape.num_labels).astype(np.float64)


def _with_opposite(logits: Tensor) -> Tensor:
    """(M, num_labels) logits that a label holds as (M, 2 num_labels), each before that of the opposite, 0."""
    return torch.stack([logits, torch.zeros_like(logits)], -1).flatten(1)


def _labelled_rows(targets: Sequence[NDArray[Any]]) -> int:
    """How many rows have a label (M, 1), or probabilities (M, num_labels)."""
    return sum(int(((rows[:, 0] != IGNORED) & np.isfinite(rows[:, 0])).sum()) for rows in targets)


def _rows(targets: Sequence[NDArray[Any]]) -> int:
    return sum(map(len, targets))


def _of_maps(value: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    return Loss(
        lambda logits, targets, sizes, options: value(logits, targets),
        lambda first, second, targets, sizes: functional.mse_loss(first, second),
        _rows,
    )


_MAPS = {"areas": areas, "areas_and_depths": areas_and_depths, "centres": centres}
LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(
        lambda logits, targets, sizes, options: cross_entropy(logits, targets, options),
        lambda first, second, targets, sizes: cross_entropy_divergence(first, second, targets),
        _labelled_rows,
        lambda student, teacher, sizes, temperature: softened_divergence(student, teacher, temperature),
    ),
    "binary_cross_entropy": Loss(
        lambda logits, targets, sizes, options: binary_cross_entropy(logits, targets, options),
        lambda first, second, targets, sizes: binary_divergence(first, second),
        _rows,
        lambda student, teacher, sizes, temperature: softened_divergence(
            _with_opposite(student), _with_opposite(teacher), temperature, 2
        ),
    ),
    "spans": Loss(
        lambda logits, targets, sizes, options: spans(logits, targets, sizes),
        lambda first, second, targets, sizes: span_divergence(first, second, sizes),
        len,
        lambda student, teacher, sizes, temperature: torch.stack(
            [
                softened_divergence(own.t(), other.t(), temperature)
                for own, other in zip(torch.split(student, list(sizes)), torch.split(teacher, list(sizes)), strict=True)
            ]
        ).mean(),
    ),
    "iob": Loss(
        lambda logits, targets, sizes, options: entities(logits, targets, options.smoothing),
        lambda first, second, targets, sizes: entity_divergence(first, second, targets),
        _rows,
        lambda student, teacher, sizes, temperature: softened_divergence(student, teacher, temperature, len(LABELS)),
        lambda logits, targets, options, rows, count: entities_each(logits, targets, options.smoothing, rows, count),
    ),
    "crf": Loss(
        lambda logits, targets, sizes, options: chain(logits, targets, sizes),
        lambda first, second, targets, sizes: entity_divergence(
            chain_marginals(first, sizes), chain_marginals(second, sizes), targets
        ),
        _rows,
        lambda student, teacher, sizes, temperature: softened_divergence(
            chain_marginals(student / temperature, sizes) * temperature,
            chain_marginals(teacher / temperature, sizes) * temperature,
            temperature,
            len(LABELS),
        ),
    ),
    "shares": Loss(
        lambda logits, targets, sizes, options: shares(logits, targets, options.class_weights, options.smoothing),
        lambda first, second, targets, sizes: known_divergence(first, second, targets),
        _rows,
    ),
    "known_labels": Loss(
        lambda logits, targets, sizes, options: known_labels(logits, targets, options.class_weights),
        lambda first, second, targets, sizes: known_label_divergence(first, second, targets),
        _rows,
    ),
    "numbers": Loss(
        lambda logits, targets, sizes, options: numbers(logits, options.standardised(targets), options.powers),
        lambda first, second, targets, sizes: number_divergence(first, second, targets),
        _rows,
    ),
    "numbers_with_deviations": Loss(
        lambda logits, targets, sizes, options: numbers_with_deviations(
            logits, options.standardised(targets), options.powers
        ),
        lambda first, second, targets, sizes: functional.mse_loss(first, second),
        _rows,
    ),
    **{name: _of_maps(value) for name, value in _MAPS.items()},
    "cox": Loss(
        lambda logits, targets, sizes, options: cox(logits, targets),
        lambda first, second, targets, sizes: functional.mse_loss(first, second),
        _rows,
    ),
    "tokens": Loss(
        lambda logits, targets, sizes, options: functional.cross_entropy(
            logits, targets, label_smoothing=options.smoothing
        ),
        lambda first, second, targets, sizes: cross_entropy_divergence(first, second, targets),
        _rows,
    ),
}

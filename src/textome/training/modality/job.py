"""The job of a run that trains a sequence model; see `loop.Job`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.sequence.model import SequenceModel
from textome.errors import InputError
from textome.evaluation.modality_scores import between_0_and_1, score_answers, with_temperature
from textome.inputs.records import Floats, Record, Segment, Segments
from textome.tasks.target import Target
from textome.training.batches import cut, plan
from textome.training.modality.data import ModalityRecords, length_of, mixed, pack_sequences
from textome.training.modality.recipe import ModalityRecipe

# An epoch and the indices of its records in a batch.
Batch = tuple[int, list[int]]

HIDDEN_SHARE = 0.15
NOT_HIDDEN = -100


class ModalityJob:
    """Trains `model` on the records of a recipe, each augmented anew in every epoch; validates by the target's metric."""

    def __init__(
        self, recipe: ModalityRecipe, model: SequenceModel, data: ModalityRecords, device: torch.device
    ) -> None:
        self.model: nn.Module = model
        self.data = data
        self.metric = data.target.main_metric
        self._recipe, self._device = recipe, device
        self._shapes = data.modality.shapes()
        if data.target.kind == "masked_tokens" and any(shape.mask_id is None for shape in self._shapes.values()):
            raise InputError(
                f"recipe {recipe.name}: target.kind = 'masked' needs a modality of tokens that can be hidden and guessed; "
                f"this one, {data.modality.kind}, has none with these settings"
            )
        self._seed = recipe.training.seed
        self._lengths = [length_of(data.modality.features(record.content)) for record in data.train]
        self._targets = _rows(data, data.train)
        self._loss = _loss_of(data, recipe.training.label_smoothing, self._targets, device)
        self.tokens = sum(self._lengths)

    def plan(self, epoch: int) -> list[Batch]:
        settings = self._recipe.training
        generator = np.random.default_rng([settings.seed, epoch])
        return [(epoch, indices) for indices in plan(self._lengths, settings.token_budget, generator)]

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        epoch, indices = batch
        items = [self._drawn(epoch, index) for index in indices]
        targets = self._targets[indices]
        generator = np.random.default_rng([self._seed, epoch, indices[0], 1])
        if self.data.target.kind == "masked_tokens":
            return self._masked_loss(items, generator)[0], sum(map(length_of, items))
        items, targets = mixed(items, targets, self._recipe.mixing, generator)
        order = np.argsort([length_of(item) for item in items], kind="stable")
        packed = pack_sequences([items[number] for number in order], self._shapes, self._device)
        rows = torch.from_numpy(targets[order]).to(self._device)
        return self._loss(self.model(packed).float(), rows), packed.layout.num_tokens

    def size(self, batch: Batch) -> tuple[int, int]:
        """Tokens before augmentation, and known values (of a masked model: records, over which parts are weighed)."""
        _, indices = batch
        tokens = sum(self._lengths[index] for index in indices)
        if self.data.target.kind == "masked_tokens":
            return tokens, len(indices)
        known = np.isfinite(self._targets[indices])
        return tokens, int(known.all(1).sum() if self.data.target.kind == "sequence_classification" else known.sum())

    def cut(self, batch: Batch, budget: int) -> list[Batch]:
        epoch, indices = batch
        return [(epoch, some) for some in cut(indices, self._lengths, budget)]

    def validate(self) -> dict[str, float]:
        records = self.data.validation
        if not records:
            return {}
        if self.data.target.kind == "masked_tokens":
            return {"validation": self.guessed(records)}
        scores = score_answers(self.data.target, _rows(self.data, records), self.answers(records))
        return {"validation": between_0_and_1(self.data.target, self.metric, scores[self.metric])}

    def scores(self, records: Sequence[Record]) -> dict[str, float]:
        """All scores of the model as it is on records, see evaluation.modality_scores."""
        if self.data.target.kind == "masked_tokens":
            return {"accuracy": self.guessed(records)}
        return score_answers(self.data.target, _rows(self.data, records), self.answers(records))

    def calibrate(self) -> None:
        """Fit the temperature of a classification to the validation data, where there is any."""
        if self.data.validation and self.data.target.kind == "sequence_classification":
            outputs, owners = self._outputs(self.data.validation)
            gold = _rows(self.data, self.data.validation)[owners]
            self.data = replace(self.data, target=with_temperature(self.data.target, gold, outputs))

    def answers(self, records: Sequence[Record]) -> Floats:
        """(B, num_labels) of the model as it is: means over each record's views."""
        outputs, owners = self._outputs(records)
        found = self.data.target.answers(outputs)
        total = np.zeros((len(records), found.shape[1]), np.float64)
        np.add.at(total, owners, found)
        return (total / np.bincount(owners, minlength=len(records))[:, None]).astype(np.float32)

    def _outputs(self, records: Sequence[Record], token_budget: int = 16384) -> tuple[Floats, NDArray[np.int64]]:
        """(V, num_labels) of each view of each record, and the number of its record (V,)."""
        views = [
            (number, view) for number, item in enumerate(records) for view in self.data.modality.views(item.content)
        ]
        items = [self.data.modality.features(view) for _, view in views]
        outputs = np.empty((len(items), len(self.data.target.labels)), np.float32)
        for indices in plan([length_of(item) for item in items], token_budget, None):
            with torch.no_grad():
                packed = pack_sequences([items[index] for index in indices], self._shapes, self._device)
                outputs[indices] = self.model(packed).float().cpu().numpy()
        return outputs, np.array([number for number, _ in views])

    def guessed(self, records: Sequence[Record], token_budget: int = 16384) -> float:
        """The share of hidden tokens that the model guesses; the same ones are hidden each time."""
        items = [self.data.modality.features(record.content) for record in records]
        right = hidden = 0
        for indices in plan([length_of(item) for item in items], token_budget, None):
            generator = np.random.default_rng([0, indices[0]])
            with torch.no_grad():
                _, correct, count = self._masked_loss([items[index] for index in indices], generator)
            right, hidden = right + correct, hidden + count
        return right / hidden

    def _drawn(self, epoch: int, index: int) -> Segments:
        """A training record as it is read in an epoch: the same whenever it is asked for."""
        generator = np.random.default_rng([self._seed, epoch, index])
        content = self.data.modality.augmented(self.data.train[index].content, generator)
        return self.data.modality.varied(self.data.modality.features(content), generator)

    def _masked_loss(self, items: Sequence[Segments], generator: np.random.Generator) -> tuple[Tensor, int, int]:
        """The loss at hidden tokens, how many of them are guessed, and how many there are (Devlin et al. 2019, 3.1)."""
        ((name, shape),) = self._shapes.items()
        assert shape.mask_id is not None
        changed, wanted = [], []
        ordered = sorted(items, key=length_of)
        for item in ordered:
            values = item[name].values
            free = np.flatnonzero(~np.isin(values, shape.special))
            count = min(len(free), max(1, round(HIDDEN_SHARE * len(free))))
            chosen = generator.choice(free, count, replace=False)
            kinds = generator.random(count)
            shown = values.copy()
            shown[chosen[kinds < 0.8]] = shape.mask_id
            swapped = chosen[kinds >= 0.9]
            shown[swapped] = generator.integers(0, shape.size, len(swapped))
            changed.append({name: Segment(shown, item[name].positions)})
            row = np.full(1 + len(values), NOT_HIDDEN)
            row[1 + chosen] = values[chosen]
            wanted.append(row)
        rows = np.concatenate(wanted)
        places = np.flatnonzero(rows != NOT_HIDDEN)
        packed = pack_sequences(changed, self._shapes, self._device)
        logits = self.model(packed, torch.from_numpy(places).to(self._device)).float()
        targets = torch.from_numpy(rows[places]).to(self._device)
        value = functional.cross_entropy(logits, targets)
        return value, int((logits.argmax(1) == targets).sum()), len(places)


def _rows(data: ModalityRecords, records: Sequence[Record]) -> Floats:
    if data.target.kind == "masked_tokens":
        return np.zeros((len(records), 0), np.float32)
    return np.stack([data.target.encode(record) for record in records])


def _loss_of(
    data: ModalityRecords, smoothing: float, rows: Floats, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean loss of logits (B, num_labels) over the known values of targets (B, num_labels)."""
    target = data.target
    if target.kind == "regression":
        return number_loss(target, device)
    weights = None
    if target.class_weights == "balanced":
        positive, known = np.nansum(rows, 0), np.isfinite(rows).sum(0)
        weights = (known - positive) / np.maximum(positive, 1)
        if target.kind == "sequence_classification":
            weights = known / (rows.shape[1] * np.maximum(positive, 1))
        weights = torch.from_numpy(weights.astype(np.float32)).to(device)
    if target.kind == "sequence_labels":
        return lambda logits, targets: several(logits, targets, weights)
    return lambda logits, targets: one(logits, targets, weights, smoothing)


def number_loss(target: Target, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of outputs (B, num_labels) against numbers (B, num_labels) in the units of the data, as `target` says."""
    means, deviations, units = (
        torch.tensor(values, device=device) for values in (target.means, target.deviations, target.units or (1.0,))
    )
    power = 1 if target.loss_of_numbers == "absolute" else 2

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        numbers = torch.asinh(targets / units) if target.compress else targets
        return errors(outputs, (numbers - means) / deviations, power)

    return loss


def one(logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Cross-entropy with target shares (B, num_labels), weighted by class; rows that are not known are left out."""
    known = torch.isfinite(targets).all(1)
    shares = torch.nan_to_num(targets)
    shares = (1 - smoothing) * shares + smoothing / shares.shape[1]
    if weights is not None:
        shares = shares * weights
    losses = -(shares * functional.log_softmax(logits, 1)).sum(1) * known
    scale = (shares.sum(1) * known).sum() if weights is not None else known.sum()
    return losses.sum() / scale.clamp(min=1e-6)


def several(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Binary cross-entropy of each label, the mean over known ones; `weights` (num_labels,) of the positive ones."""
    known = torch.isfinite(targets)
    losses = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(targets), reduction="none", pos_weight=weights
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def errors(outputs: Tensor, targets: Tensor, power: int) -> Tensor:
    """The mean of the errors of standardised numbers, or with `power` 2 of their squares, over known ones."""
    known = torch.isfinite(targets)
    return ((outputs - torch.nan_to_num(targets)).abs() ** power * known).sum() / known.sum().clamp(min=1)

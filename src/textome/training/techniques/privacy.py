"""Differentially private training (Abadi et al. 2016, "Deep learning with differential privacy"): DP-SGD for AdamW.

Each step draws every training record independently (Poisson sampling), clips the gradient of each drawn record to a norm,
and adds normal noise to the sum. A model that was trained so is (epsilon, delta) private: adding or removing one record
changes the probability of any outcome by at most the factor e^epsilon, and delta. The accountants of Opacus add up what the
steps cost. The draws and the noise come from a seed of the operating system, which stays in the run's folder until the run
ends: whoever knows it knows what the noise hides.
"""

from __future__ import annotations

import json
import math
import secrets
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from textome.errors import InputError, MissingExtraError
from textome.formats.reading.sources import atomic_file
from textome.training.devices import autocast
from textome.training.loop import train
from textome.training.optimisation.course import Progress
from textome.training.optimisation.gradients import Gradients
from textome.training.recipe import Privacy, Training
from textome.training.run import Report, write_json
from textome.training.techniques.record_gradients import Owners, add_clipped, add_clipped_alone, packable, watched

_SECRET = "privacy-secret.json"
_LARGEST_PRV = 20.0


@dataclass(frozen=True, slots=True)
class Each:
    """The losses of records (R,), of which none depends on another record; and which record each token of the packed
    batch, and each row that the head scores, belongs to: (T,) and (M,)."""

    losses: Tensor
    tokens: Tensor
    rows: Tensor


class Recorded(Protocol):
    """A `loop.Job` that knows the records its examples are from.

    records   for each record the numbers of its examples, one or more
    """

    model: nn.Module
    metric: str
    records: list[list[int]]

    def each(self, records: Sequence[Sequence[int]]) -> Each:
        """The losses of records that are given as the numbers of their examples."""

    def length(self, record: Sequence[int]) -> int:
        """How many tokens a record has."""

    def validate(self) -> Mapping[str, float]: ...


class PrivateJob:
    """A job whose batches are lists of randomly drawn records; see `loop.Job`."""

    def __init__(self, job: Recorded, settings: Privacy, secret: int) -> None:
        self.job, self.settings, self.model, self.metric = job, settings, job.model, job.metric
        self.rate = sample_rate(settings, len(job.records))
        self._secret = secret
        self._lengths = [job.length(record) for record in job.records]

    def plan(self, epoch: int) -> list[list[int]]:
        """The records of each step, shortest first; a step may draw none, and counts all the same."""
        generator = np.random.default_rng([self._secret, epoch])
        steps = steps_per_epoch(self.settings, len(self.job.records))
        drawn = (np.flatnonzero(generator.random(len(self._lengths)) < self.rate).tolist() for _ in range(steps))
        return [sorted(records, key=lambda record: self._lengths[record]) for records in drawn]

    def loss(self, batch: list[int]) -> tuple[Tensor, int]:
        losses = self.each(batch).losses
        return losses.mean(), self.size(batch)[0]

    def each(self, batch: Sequence[int]) -> Each:
        return self.job.each([self.job.records[record] for record in batch])

    def size(self, batch: list[int]) -> tuple[int, int]:
        return sum(self._lengths[record] for record in batch), len(batch)

    def cut(self, batch: list[int], budget: int) -> list[list[int]]:
        parts: list[list[int]] = []
        used = budget + 1
        for record in batch:
            if used + self._lengths[record] > budget:
                parts.append([])
                used = 0
            parts[-1].append(record)
            used += self._lengths[record]
        return parts

    def validate(self) -> Mapping[str, float]:
        return self.job.validate()


@dataclass
class PrivateGradients(Gradients):
    """Clipped gradients of records with noise: what the optimiser sees is private."""

    job: PrivateJob
    last: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, batch: list[int], position: str) -> tuple[Tensor, int]:
        """Add the noisy mean gradient of a batch of records; returns their mean loss, or the last one where it is empty."""
        tokens = 0
        if batch:
            self.last, tokens = super().add(batch, position)
        settings = self.job.settings
        deviation = noise_of(settings) * settings.max_grad_norm
        for weight in self.job.model.parameters():
            if weight.requires_grad:
                total = torch.zeros_like(weight) if weight.grad is None else weight.grad
                # By the number that is drawn on average: that of this batch is a secret too.
                weight.grad = total.add_(torch.randn_like(weight), alpha=deviation).div_(settings.batch_records)
        return self.last, tokens

    def _summed(self, batch: list[int]) -> tuple[Tensor, int]:
        """Adds the sum of the cut gradients. A BERT encoder computes the records of a part together; any other model, or
        one with low-rank products, reads them one at a time."""
        limit, model = self.job.settings.max_grad_norm, self.job.model
        parts = [batch] if self.budget is None else self.job.cut(batch, self.budget)
        if not packable(model):
            parts = [[record] for record in batch]
        value = torch.zeros((), device=self.device)
        for part in parts:
            if packable(model):
                with watched(model) as calls, autocast(self.device, self.precision):
                    each = self.job.each(part)
                tokens, rows = Owners(each.tokens, len(part)), Owners(each.rows, len(part))
                add_clipped(each.losses, calls, tokens, rows, limit)
            else:
                with autocast(self.device, self.precision):
                    each = self.job.each(part)
                add_clipped_alone(model, each.losses[0], limit)
            value += each.losses.detach().float().sum()
        return value / len(batch), self.job.size(batch)[0]


def noise_of(settings: Privacy) -> float:
    assert settings.noise_multiplier is not None, "a recipe with epsilon is given its noise by `prepare`"
    return settings.noise_multiplier


def sample_rate(settings: Privacy, records: int) -> float:
    """The probability with which each record takes part in a step."""
    return min(1.0, settings.batch_records / records)


def steps_per_epoch(settings: Privacy, records: int) -> int:
    """As many steps as draw each record about once."""
    return max(1, math.ceil(records / settings.batch_records))


def epsilon_of(settings: Privacy, records: int, steps: int) -> tuple[float, str]:
    """What so many steps cost: an upper bound of epsilon at the recipe's delta (0 for no step), and the accountant's name.

    Beyond an epsilon of about 20 the numbers of "prv" are too small for floating point, and "rdp" counts instead.
    """
    history = [(noise_of(settings), sample_rate(settings, records), steps)] if steps else []
    return _epsilon(history, settings.delta, settings.accountant)


def spent_together(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several runs on the same records, as the rounds of federated training, have spent: epsilon, delta, steps.

    runs   what `spent` says of each, one or more, all at one delta
    """
    last = runs[-1]
    steps: Counter[tuple[float, float]] = Counter()
    for run in runs:
        steps[run["noise_multiplier"], run["sample_rate"]] += run["steps"]
    history = [(noise, rate, number) for (noise, rate), number in steps.items() if number]
    epsilon, _ = _epsilon(history, last["delta"], last["accountant"])
    return {"epsilon": round(epsilon, 4), "delta": last["delta"], "steps": steps.total()}


def _epsilon(history: list[tuple[float, float, int]], delta: float, asked: str) -> tuple[float, str]:
    """Epsilon of steps as (noise, sample rate, how many), and the accountant that counted them; see `epsilon_of`."""
    epsilons = {}
    for name in dict.fromkeys(("rdp", asked)):
        accountant = _opacus().create_accountant(name)
        accountant.history = history
        with _quiet():
            epsilons[name] = float(accountant.get_epsilon(delta=delta)) if history else 0.0
        if epsilons[name] > _LARGEST_PRV:
            break
    chosen = list(epsilons)[-1]
    return epsilons[chosen], chosen


def prepare(job: Recorded, settings: Privacy, training: Training, folder: Path) -> tuple[PrivateJob, Training]:
    """The private job of a run, with the noise that the recipe's epsilon asks for, and the settings of its loop.

    Starts the random numbers of the run anew, by the secret seed in its folder.

    Raises InputError where delta protects nobody or no noise is enough; MissingExtraError without Opacus.
    """
    records = len(job.records)
    accountants = _opacus()
    if settings.delta >= 1 / records:
        raise InputError(
            f"privacy.delta is {settings.delta:g}, but there are {records:,} records: a delta of 1/{records} or more lets "
            f"a record leak whole; take one well below"
        )
    if settings.epsilon is not None:
        steps = settings.runs * training.epochs * steps_per_epoch(settings, records)
        try:
            with _quiet():
                noise = accountants.utils.get_noise_multiplier(
                    target_epsilon=settings.epsilon,
                    target_delta=settings.delta,
                    sample_rate=sample_rate(settings, records),
                    steps=steps,
                    accountant=settings.accountant,
                )
        except ValueError as error:
            raise InputError(
                f"privacy.epsilon = {settings.epsilon:g} cannot be kept with {steps:,} steps ({error}); take fewer epochs, "
                f"fewer batch_records or a larger epsilon"
            ) from error
        settings = settings.model_copy(update={"noise_multiplier": float(noise)})
    secret = _secret(folder)
    torch.manual_seed(secret)
    changes = {"micro_budget": training.micro_budget or training.token_budget, "max_grad_norm": math.inf}
    return PrivateJob(job, settings, secret), training.model_copy(update=changes)


def train_privately(
    job: Recorded,
    recipe: Privacy,
    training: Training,
    folder: Path,
    device: torch.device,
    resume: bool,
    report: Report,
    **log_values: Any,
) -> tuple[Progress, dict[str, Any]]:
    """`loop.train` with the privacy that a recipe asks for; also returns what was spent, which `privacy.json` holds too."""
    private, settings = prepare(job, recipe, training, folder)
    steps = settings.epochs * len(private.plan(0))
    report({"event": "privacy", "when": "at most"} | spent(private, steps))
    progress = train(private, settings, folder, device, resume, report, gradients_of=PrivateGradients, **log_values)
    spending = spent(private, progress.step)
    write_json(folder / "privacy.json", spending)
    (folder / _SECRET).unlink(missing_ok=True)
    report({"event": "privacy", "when": "spent"} | spending)
    return progress, spending


def spent(job: PrivateJob, steps: int) -> dict[str, Any]:
    """What a run of so many steps has spent, for its records and its bundle."""
    epsilon, accountant = epsilon_of(job.settings, len(job.job.records), steps)
    return {
        "epsilon": round(epsilon, 4),
        "delta": job.settings.delta,
        "accountant": accountant,
        "noise_multiplier": noise_of(job.settings),
        "max_grad_norm": job.settings.max_grad_norm,
        "sample_rate": job.rate,
        "steps": steps,
        "unit": "one training record, added or removed",
    }


def _secret(folder: Path) -> int:
    """The seed of a run's draws and noise, made when it begins and read again when it goes on."""
    path = folder / _SECRET
    if not path.exists():
        with atomic_file(path, private=True) as stream:
            stream.write(json.dumps({"seed": secrets.randbits(63)}).encode())
    return int(json.loads(path.read_text(encoding="utf-8"))["seed"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the accountants' warnings of logarithms of 0 in branches that are not taken, and of looser first bounds."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "divide by zero", RuntimeWarning)
        warnings.filterwarnings("ignore", "Optimal order", UserWarning)
        yield


def _opacus() -> Any:
    try:
        import opacus.accountants.utils
    except ModuleNotFoundError as error:
        raise MissingExtraError("training with [privacy]", "privacy") from error
    return opacus.accountants

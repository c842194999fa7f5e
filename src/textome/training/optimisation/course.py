"""How far a run goes, and where it stands: through epochs of the same examples, or through so many tokens of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from textome.training.optimisation.optimiser import rate_at
from textome.training.recipe import Training


@dataclass
class Progress:
    """Where a run stands: what a checkpoint remembers beyond weights, and what `train` returns.

    epoch          of examples; in a stream, how often it was evaluated on the way
    stage, block, batch   of a stream; of an epoch only the batch
    evaluated      the tokens that were done at the last evaluation
    scaler         the scaling of fp16 gradients, empty in other precisions
    micro_budget   the tokens that are computed at once, where memory did not suffice for what the recipe says
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = -1.0
    best_epoch: int = -1
    scores: list[dict[str, Any]] = field(default_factory=list)
    scaler: dict[str, float] = field(default_factory=dict)
    micro_budget: int | None = None
    tokens: int = 0
    stage: int = 0
    block: int = 0
    evaluated: int = -1


class Planned(Protocol):
    """What of a `loop.Job` is needed here."""

    def plan(self, epoch: int) -> Sequence[Any]: ...
    def size(self, batch: Any) -> tuple[int, int]: ...


class Streamed(Protocol):
    """A job whose batches have no end.

    A batch knows its `block` and its `number` in it.
    """

    def stream(self, progress: Progress) -> Iterator[Any]:
        """The batches from where a run stands to the last of its recipe; `progress` moves on as they are taken."""

    def size(self, batch: Any) -> tuple[int, int]: ...


class Epochs:
    """So often through the examples of a job, whose batches are planned for each epoch."""

    evaluates_first: ClassVar[bool] = False
    own_draws: ClassVar[bool] = False

    def __init__(self, job: Planned, settings: Training) -> None:
        self._job, self._settings = job, settings
        length = len(job.plan(0))
        self._epochs = max(settings.epochs, -(-settings.min_steps // length))
        self.steps = self._epochs * length

    def ended(self, progress: Progress) -> bool:
        return progress.epoch >= self._epochs

    def batches(self, progress: Progress) -> Iterable[Any]:
        """The batches that are left of the epoch."""
        batches = self._job.plan(progress.epoch)[progress.batch :]
        self.steps = max(self.steps, progress.step + len(batches))
        return batches

    def rate(self, progress: Progress, batch: Any) -> float:
        """The share of the peak learning rate for a batch."""
        return rate_at(progress.step, self.steps, self._settings.warmup, self._settings.schedule)

    def move(self, progress: Progress, batch: Any) -> None:
        progress.batch += 1

    def log_values(self, progress: Progress) -> Mapping[str, Any]:
        """How far a run is, for its log."""
        return {"steps": self.steps, "epoch": progress.epoch + 1}


class Tokens:
    """So many tokens of a job's stream, evaluated every `evaluate_every` of them."""

    evaluates_first: ClassVar[bool] = True
    own_draws: ClassVar[bool] = True

    def __init__(self, job: Streamed, settings: Training) -> None:
        self._job, self._settings = job, settings

    def ended(self, progress: Progress) -> bool:
        return progress.tokens >= self._settings.tokens

    def batches(self, progress: Progress) -> Iterable[Any]:
        """The batches up to the next evaluation."""
        every = self._settings.evaluate_every
        if not self._due(progress, every):
            for batch in self._job.stream(progress):
                yield batch
                if self._due(progress, every):
                    break

    @staticmethod
    def _due(progress: Progress, every: int) -> bool:
        return every > 0 and progress.tokens // every > progress.evaluated // every

    def rate(self, progress: Progress, batch: Any) -> float:
        """Linear up to 1 over the warm-up, then linear down to 0, at the middle of a batch."""
        done = (progress.tokens + self._job.size(batch)[0] / 2) / self._settings.tokens
        warmup = self._settings.warmup
        rise = done / warmup if warmup else 1.0
        fall = (1.0 - done) / (1.0 - warmup) if warmup < 1 else 1.0
        return max(0.0, min(rise, fall))

    def move(self, progress: Progress, batch: Any) -> None:
        progress.block, progress.batch = batch.block, batch.number + 1
        progress.tokens += self._job.size(batch)[0]

    def log_values(self, progress: Progress) -> Mapping[str, Any]:
        return {"tokens": progress.tokens, "of": self._settings.tokens}

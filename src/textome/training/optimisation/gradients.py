"""The gradient of a batch within the memory there is: in parts whose gradients are summed, and smaller ones where
memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from textome.errors import InputError
from textome.training.devices import autocast
from textome.training.parallel.processes import Processes
from textome.training.parallel.sharding import sum_gradients
from textome.training.recipe import Training
from textome.training.techniques.adversary import worst_step


class Batches(Protocol):
    """What of a `loop.Job` is needed here."""

    model: nn.Module

    def loss(self, batch: Any) -> tuple[Tensor, int]:
        """The loss of a batch, and how many tokens it holds. Called under autocast, with the model in training mode."""

    def size(self, batch: Any) -> tuple[int, int]:
        """How many tokens a batch holds, and over how many things (words, texts) its loss is a mean."""

    def cut(self, batch: Any, budget: int) -> Sequence[Any]:
        """The batch cut into batches of at most `budget` tokens, or of one example that is longer."""


@dataclass
class Gradients:
    """Computes the gradients of a run's batches.

    budget   the most tokens that are computed at once, None for all; falls where memory does not suffice and the recipe
             allows it
    tell     is called with a message each time the budget falls
    processes   that share the work of each batch: the gradients that each has in the end are those of all of it
    """

    job: Batches
    settings: Training
    device: torch.device
    precision: str
    scaler: torch.amp.GradScaler
    budget: int | None
    tell: Callable[[str], None]
    processes: Processes | None = None

    def add(self, batch: Any, position: str) -> tuple[Tensor, int]:
        """Add the gradient of a batch to that of the weights; returns the loss, a scalar still on the device, so that
        nobody waits for it, and the number of tokens.

        position   where in the run this is, for messages

        Raises InputError where memory does not suffice and the recipe does not allow to halve the budget, or nothing is
        left to cut. A batch that is tried again draws the random numbers of the first time.
        """
        while True:
            states = _random_states(self.device)
            # Outside `except`, which would hold the frames of the failed pass and with them its memory.
            if (done := self._tried(batch)) is not None:
                return done
            self.job.model.zero_grad(set_to_none=True)
            _set_random_states(states, self.device)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if self.processes is not None and self.processes.count > 1:
                # The others do not know of it, so there is no going on.
                raise InputError(
                    f"{position}: out of memory in process {self.processes.rank} of {self.processes.count}; set "
                    f"training.micro_budget below {self.budget or self.job.size(batch)[0] // self.processes.count:,} or "
                    f"training.gradient_checkpointing=true, and go on with --resume"
                )
            smaller = self._smaller(batch)
            message = f"{position}: out of memory at a batch of {self.job.size(batch)[0]:,} tokens"
            message += f", at most {self.budget:,} of them at once" if self.budget else ""
            if smaller is None:
                raise InputError(
                    f"{message}, which cannot be cut further; set training.gradient_checkpointing=true or a smaller "
                    f"model.window, and go on with --resume"
                )
            if self.settings.out_of_memory == "stop":
                raise InputError(
                    f"{message}; set training.micro_budget={smaller} (the same gradients, in parts), "
                    f"training.gradient_checkpointing=true or training.out_of_memory=halve, and go on with --resume"
                )
            self.budget = smaller
            self.tell(f"{message}; going on with at most {smaller:,} at once")

    def _tried(self, batch: Any) -> tuple[Tensor, int] | None:
        """What `add` returns, or None where memory did not suffice."""
        try:
            summed = self._summed(batch)
            if self.settings.adversarial:
                with worst_step(self.job.model, self.settings.adversarial):
                    first = self._removed_gradients()
                    self._summed(batch)
                for parameter, gradient in first:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            return None
        return summed

    def _removed_gradients(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Of several processes, the gradients that are summed already, taken away so that they are not summed again."""
        if self.processes is None or self.processes.count == 1:
            return []
        removed = [(item, item.grad) for item in self.job.model.parameters() if item.grad is not None]
        self.job.model.zero_grad(set_to_none=True)
        return removed

    def _summed(self, batch: Any) -> tuple[Tensor, int]:
        """The loss of a part is a mean over what counts in it; it is weighed by its share of what counts in the batch, so
        the sum of the gradients is the gradient of the batch, to rounding."""
        parts = self._parts(batch)
        counts = [self.job.size(part)[1] for part in parts]
        rank, processes = (0, 1) if self.processes is None else (self.processes.rank, self.processes.count)
        value, tokens = torch.zeros((), device=self.device), 0
        for number in range(rank, -(-len(parts) // processes) * processes, processes):
            # A process for which no part is left computes one that does not count, since the others may wait for it.
            index, counted = (number, 1.0) if number < len(parts) else (0, 0.0)
            share = counted * (counts[index] / sum(counts) if sum(counts) else 1 / len(parts))
            with autocast(self.device, self.precision):
                loss, used = self.job.loss(parts[index])
            self.scaler.scale(loss * share).backward()
            value += loss.detach().float() * share
            tokens += used
        if self.processes is not None and processes > 1:
            sum_gradients(self.job.model.parameters())
            value, tokens = self.processes.sum(value), self.job.size(batch)[0]
        return value, tokens

    def _parts(self, batch: Any) -> Sequence[Any]:
        """What is computed at once; of several processes at least a part for each, if there are so many examples."""
        if self.processes is None or self.processes.count == 1:
            return [batch] if self.budget is None else self.job.cut(batch, self.budget)
        tokens, count = self.job.size(batch)[0], self.processes.count
        budget = -(-tokens // count)
        # Parts rarely come out equal: a little more room, until there is no part left over.
        while budget < tokens and len(self.job.cut(batch, budget)) > count:
            budget += max(1, tokens // (16 * count))
        return self.job.cut(batch, min(budget, self.budget or budget))

    def _smaller(self, batch: Any) -> int | None:
        """Half the budget, or less where that cuts the batch no smaller; None where nothing does."""
        tokens = self.job.size(batch)[0]
        pieces = 1 if self.budget is None else len(self.job.cut(batch, self.budget))
        smaller = min(self.budget or tokens, tokens) // 2
        while smaller and len(self.job.cut(batch, smaller)) <= pieces:
            smaller //= 2
        return smaller or None


def _out_of_memory(error: RuntimeError) -> bool:
    """Also on a CPU, whose allocator has no error of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _random_states(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_random_states(states: Sequence[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)

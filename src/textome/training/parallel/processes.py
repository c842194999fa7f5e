"""One process or several: what a run needs of the others, and nothing where it is alone.

Started by `torchrun`, processes find each other by the variables that it sets; see
https://docs.pytorch.org/docs/stable/elastic/run.html.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from textome.errors import InputError
from textome.training.devices import choose_device
from textome.training.parallel.sharding import check_sharding, shard, unsharded_copy_of
from textome.training.run import claim

Model = TypeVar("Model", bound=nn.Module)


class Processes:
    """The processes of a run, each with its device: of `wanted`, a GPU of its own where there are several."""

    def __init__(self, wanted: str = "auto") -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = choose_device(wanted, int(os.environ.get("LOCAL_RANK", "0")))

    @classmethod
    def alone(cls, device: torch.device) -> Processes:
        """This process and no other, whatever it was started by."""
        made = cls.__new__(cls)
        made.count, made.rank, made.device = 1, 0, device
        return made

    def __enter__(self) -> Processes:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.count > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.count > 1:
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def wrap(self, model: nn.Module, encoder: nn.Module, sharding: str) -> nn.Module:
        """`model`, its gradients shared by the processes in the backward pass: with `sharding` "full" added up and spread
        with the weights, else averaged."""
        if self.count == 1:
            return model
        return self.spread(model, encoder) if sharding == "full" else DistributedDataParallel(model)

    def spread(self, model: nn.Module, encoder: nn.Module) -> nn.Module:
        """`model`, its weights spread over the processes, where there are several; see sharding.py."""
        if self.count > 1:
            shard(model, encoder.get_submodule("layers").children(), self.device)
        return model

    def sharded(self, model: Model, encoder: nn.Module, sharding: str) -> Model:
        """Spread the weights of a model's encoder where `sharding` is "full"; what else the model has stays whole.

        Returns the model that `sharding.gather_weights` gives the weights back to: a copy where they are spread.
        """
        unsharded = unsharded_copy_of(model, sharding == "full" and self.count > 1)
        if unsharded is not model:
            self.spread(encoder, encoder)
        return unsharded

    def weight(self, model: nn.Module) -> int:
        """By what a process's share of the loss is multiplied for the gradients of a wrapped model to be those of all."""
        return self.count if isinstance(model, DistributedDataParallel) else 1

    def no_sync(self, model: nn.Module) -> AbstractContextManager[None]:
        """In which the gradients of a wrapped model stay in each process, to be summed with those of a later pass; those of
        a sharded one are summed at once, since a process has no room for all."""
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()

    def sum(self, value: Tensor) -> Tensor:
        """A scalar summed over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def agree(self, value: bool) -> bool:
        """What the first process says, so that all do the same."""
        if self.count == 1:
            return value
        said = torch.tensor(value, device=self.device)
        dist.broadcast(said, 0)
        return bool(said)

    def wait(self) -> None:
        """Until every process has come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def running(recipe: Any, folder: Path, resume: bool) -> Iterator[Processes]:
    """The processes of a fine-tuning run, which has its folder then.

    Raises InputError for what several processes cannot do together, and as `run.claim` does.
    """
    settings = recipe.training
    with Processes(settings.device) as processes:
        if processes.count > 1:
            _check(recipe, settings)
        if processes.first:
            claim(folder, recipe, resume)
        processes.wait()
        torch.manual_seed(settings.seed)
        yield processes


def _check(recipe: Any, settings: Any) -> None:
    alone = [name for name in ("privacy", "distillation") if getattr(recipe, name, None) is not None]
    alone += [f"training.{name}" for name in ("adversarial",) if getattr(settings, name)]
    if settings.sharding == "full":
        check_sharding(settings.sharding, settings.precision)
        alone += [f"training.{name}" for name in ("lora_rank", "int8_aware", "compile") if getattr(settings, name)]
    if alone:
        how = ", sharded" if settings.sharding == "full" else ""
        raise InputError(
            f"{', '.join(alone)} does not go with several processes{how}; leave it out, or start one process"
        )

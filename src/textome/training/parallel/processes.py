"""One process or several: what a run needs of the others, and nothing where it is alone.

Started by `torchrun`, processes find each other by the variables that it sets; see
https://docs.pytorch.org/docs/stable/elastic/run.html.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from textome.errors import InputError
from textome.training.devices import choose_device
from textome.training.parallel.sharding import shard, unsharded_copy_of
from textome.training.run import claim, undone
from textome.training.techniques.matrix import check_together

Model = TypeVar("Model", bound=nn.Module)


class Processes:
    """The processes of a run, each with its device: of `wanted`, a GPU of its own where there are several."""

    def __init__(self, device: str = "auto") -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))

    @classmethod
    def alone(cls, device: torch.device) -> Processes:
        """This process and no other, whatever it was started by."""
        processes = cls.__new__(cls)
        processes.count, processes.rank, processes.device = 1, 0, device
        return processes

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

    def sharded(self, model: Model, root: nn.Module, sharding: str) -> Model:
        """Spread the weights of `root`, which is a part of the model or all of it, where `sharding` is "full".

        Returns the model that `sharding.gather_weights` gives the weights back to: a copy where they are spread.
        """
        unsharded = unsharded_copy_of(model, sharding == "full" and self.count > 1)
        if unsharded is not model:
            shard(root, model.get_submodule("encoder.layers").children(), self.device)
        return unsharded

    def sum(self, value: Tensor) -> Tensor:
        """A scalar summed over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def agree(self, value: bool) -> bool:
        """What the first process says, so that all do the same."""
        if self.count == 1:
            return value
        answer = torch.tensor(value, device=self.device)
        dist.broadcast(answer, 0)
        return bool(answer)

    def wait(self) -> None:
        """Until every process has come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def running(recipe: Any, folder: Path, resume: bool) -> Iterator[Processes]:
    """The processes of a run, which has its folder then.

    Raises InputError for what several processes cannot do together, and as `run.claim` does.
    """
    settings = recipe.training
    with Processes(settings.device) as processes, undone(folder) if processes.first else nullcontext():
        try:
            check_together(recipe, processes.count)
        except ValueError as error:
            raise InputError(str(error)) from error
        if processes.first:
            claim(folder, recipe, resume)
        processes.wait()
        torch.manual_seed(settings.seed)
        yield processes

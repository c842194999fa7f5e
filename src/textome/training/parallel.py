"""One process or several: what a run needs of the others, and nothing where it is alone.

Started by `torchrun`, processes find each other by the variables that it sets; see
https://docs.pytorch.org/docs/stable/elastic/run.html.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from textome.training.devices import choose_device


class Processes:
    """The processes of a run, each with its device: of `wanted`, a GPU of its own where there are several."""

    def __init__(self, wanted: str = "auto") -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = choose_device(wanted, int(os.environ.get("LOCAL_RANK", "0")))

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

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model`, its gradients averaged over the processes in the backward pass."""
        return DistributedDataParallel(model) if self.count > 1 else model

    def apart(self, model: nn.Module) -> AbstractContextManager[None]:
        """In which the gradients of a wrapped model stay in each process, to be summed with those of a later pass."""
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()

    def sum(self, value: Tensor) -> Tensor:
        """A scalar summed over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def wait(self) -> None:
        """Until every process has come here."""
        if self.count > 1:
            dist.barrier()

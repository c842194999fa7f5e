"""Weights, gradients and the optimiser's state spread over the processes of a run, by PyTorch's FSDP2 (`fully_shard`; Zhao
et al. 2023, "PyTorch FSDP: experiences on scaling fully sharded data parallel").

Each process keeps an equal part of every tensor and has the whole of a layer only while it is computed. What is read and
written by others, as checkpoints, is whole, so a run may go on with another number of processes, or not sharded. For a
model that is not sharded everything here gives what it is given.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

Model = TypeVar("Model", bound=nn.Module)


def shard(model: nn.Module, layers: Iterable[nn.Module], device: torch.device) -> None:
    """Spread each of `layers`, which are part of the model, and what else it has. Its gradients are then summed over the
    processes in the backward pass. Only calls of `model` itself may compute with it."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for module in (*layers, model):
        fully_shard(module, mesh=mesh)
        assert isinstance(module, FSDPModule)
        # Losses here are already shares of the whole batch's, so gradients are to be added and not averaged.
        module.set_gradient_divide_factor(1.0)
        if device.type == "cpu":
            module.set_force_sum_reduction_for_comms(True)  # gloo has no other


def unsharded_copy_of(model: Model, is_sharded: bool) -> Model:
    """A copy in which a model can be made whole again after it was sharded; the model itself if it is not sharded."""
    return copy.deepcopy(model) if is_sharded else model


def gather_weights(unsharded: nn.Module, model: nn.Module) -> None:
    """Give the unsharded the weights of its model. Every process must ask for it at the same time."""
    if unsharded is not model:
        unsharded.load_state_dict(whole_state(model))


def sharded(model: nn.Module) -> bool:
    return any(map(is_spread, model.parameters()))


def is_spread(tensor: Tensor) -> bool:
    """Whether it is a DTensor, asked without its module, which takes long to import and is needed by few runs."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor. Every process must ask for the same one at the same time."""
    return tensor.full_tensor() if is_spread(tensor) else tensor  # type: ignore[attr-defined]


def local(tensor: Tensor) -> Tensor:
    """The part of a spread tensor that this process has."""
    return tensor.to_local()  # type: ignore[attr-defined, no-any-return]


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors, each whole. Every process must ask for them at the same time."""
    return {name: whole(tensor.detach()) for name, tensor in model.state_dict().items()}


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor spread as `other` is."""
    if not is_spread(other) or tensor.shape != other.shape:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(other, DTensor)
    placed = tensor.to(device=other.device, dtype=other.dtype)
    return distribute_tensor(placed, other.device_mesh, other.placements, src_data_rank=None)


def load_whole_state(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Fill the model from whole tensors; raises RuntimeError where they are not its own, as `load_state_dict` does."""
    state = model.state_dict()
    model.load_state_dict(
        {name: like(tensor, state[name]) if name in state else tensor for name, tensor in tensors.items()}
    )


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up over the processes the gradients that are not added up in the backward pass: all of them where nothing is
    sharded. One exchange for each precision."""
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None and not is_spread(parameter.grad):
            kinds.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in kinds.values():
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale gradients down so that their norm, all together, is at most `limit`; returns the norm before."""
    kept = list(parameters)
    gradients = [parameter.grad for parameter in kept if parameter.grad is not None]
    spread: list[Tensor] = [local(gradient) for gradient in gradients if is_spread(gradient)]
    if not spread:
        return nn.utils.clip_grad_norm_(kept, limit)
    copies = [gradient for gradient in gradients if not is_spread(gradient)]
    total = torch.stack([part.float().square().sum() for part in spread]).sum()
    dist.all_reduce(total)
    for part in copies:
        total += part.float().square().sum()
    norm = total.sqrt()
    torch._foreach_mul_([*spread, *copies], torch.clamp(limit / (norm + 1e-6), max=1.0))
    return norm

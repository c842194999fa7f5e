"""AdamW with BERT's parameter groups, and the linear schedule (Devlin et al. 2019, appendix A.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import nn

from textome.errors import InputError
from textome.training.parallel.sharding import is_spread


class Rates(Protocol):
    """What an optimiser needs of a recipe; `head_learning_rate`, `layer_decay` and `frozen_layers` may be there too."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def weight_decay(self) -> float: ...


def build_optimizer(model: nn.Module, settings: Rates) -> torch.optim.AdamW:
    """AdamW in which biases and norms do not decay and the head may learn at a rate of its own.

    A model's `rate_factors` multiply the rates of its parameters of these names.
    With `layer_decay` each layer's rate is that share of the rate of the layer above it. Parameters below
    `frozen_layers` are given to no group, and need no gradient any more; nor are those that need none already.

    Raises InputError where more layers are to be frozen than there are.
    """
    decay, frozen = getattr(settings, "layer_decay", 1.0), getattr(settings, "frozen_layers", 0)
    head_rate = getattr(settings, "head_learning_rate", None) or settings.learning_rate
    depths = {name: _depth(name) for name, _ in model.named_parameters()}
    layers = max((depth for depth in depths.values() if depth is not None), default=0)
    if frozen > layers:
        raise InputError(f"training.frozen_layers is {frozen}, but the model has {layers} layers")
    factors: Mapping[str, float] = getattr(model, "rate_factors", {})
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        depth = depths[name]
        if frozen and depth is not None and depth <= frozen:
            parameter.requires_grad_(False)
        if not parameter.requires_grad:
            continue
        peak = (
            head_rate
            if name.startswith(("head.", "heads.", "classifier.", "embedders.", "token_scores."))
            else settings.learning_rate
        ) * factors.get(name, 1.0)
        if depth is not None:
            peak *= decay ** (layers - depth)
        groups.setdefault((parameter.ndim > 1, peak), []).append(parameter)
    # PyTorch's joint updates take sharded weights or whole ones, not both.
    mixed = len({is_spread(item) for items in groups.values() for item in items}) > 1
    return torch.optim.AdamW(
        [
            {"params": items, "weight_decay": settings.weight_decay if decays else 0.0, "lr": peak, "peak": peak}
            for (decays, peak), items in groups.items()
        ],
        betas=(0.9, getattr(settings, "beta2", 0.999)),
        eps=getattr(settings, "epsilon", 1e-8),
        fused=not mixed and all(item.device.type in ("cpu", "cuda", "mps") for item in model.parameters()),
        foreach=False if mixed else None,
    )


def _depth(name: str) -> int | None:
    """0 for the encoder's embeddings, of distances too, 1 for its first layer, and so on; None for what stands on top."""
    if match := re.match(r"encoder\.layers\.(\d+)\.", name):
        return int(match[1]) + 1
    return 0 if name.startswith(("encoder.embeddings.", "encoder.relative.", "encoder.relative_norm.")) else None


def rate_at(step: int, total: int, warmup: float, schedule: str = "linear") -> float:
    """The share of the peak learning rate at a step: linear from 0 to 1 over `warmup * total`, then linear to 0, or with
    the schedule "inverse_sqrt" falling with the root of the step (Vaswani et al. 2017, equation 3)."""
    rise = max(1, round(warmup * total))
    if schedule == "inverse_sqrt":
        return float(min((step + 1) / rise, (rise / (step + 1)) ** 0.5))
    return min((step + 1) / rise, (total - step) / max(1, total - rise + 1))


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Give every group its peak rate times `share`."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share

"""AdamW with BERT's parameter groups, and the linear schedule (Devlin et al. 2019, appendix A.2)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn


class Rates(Protocol):
    """What an optimiser needs of a recipe; `head_learning_rate` may be there for the layer named `classifier`."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def weight_decay(self) -> float: ...


def build_optimizer(model: nn.Module, settings: Rates) -> torch.optim.AdamW:
    """AdamW in which biases and norms do not decay and the head may learn at a rate of its own."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        key = (parameter.ndim > 1, name.startswith("classifier."))
        groups.setdefault(key, []).append(parameter)
    head_rate = getattr(settings, "head_learning_rate", None) or settings.learning_rate
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": settings.weight_decay if decays else 0.0,
                "lr": head_rate if head else settings.learning_rate,
                "peak": head_rate if head else settings.learning_rate,
            }
            for (decays, head), parameters in groups.items()
        ],
        betas=(0.9, 0.999),
        eps=1e-8,
        fused=True,
    )


def rate_at(step: int, total: int, warmup: float) -> float:
    """The share of the peak learning rate at a step: linear from 0 to 1 over `warmup * total`, then linear to 0."""
    rise = max(1, round(warmup * total))
    return min((step + 1) / rise, (total - step) / max(1, total - rise + 1))


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Give every group its peak rate times `share`."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share

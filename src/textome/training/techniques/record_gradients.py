"""The gradient of each training record in a packed batch, cut to a norm and summed, with one backward pass.

A record's gradient of a linear layer is the sum over its tokens t of b_t a_t^T, where a are the layer's inputs and b the
gradients of its outputs. Its norm follows from products of tokens, without the matrix itself (ghost clipping, Goodfellow
2015; Li et al. 2022, section 4), and what is summed in the end is one product of all tokens, each weighed by its record's
factor (book-keeping, Bu et al. 2023, section 3). So nothing is padded but these products, and no record's gradient is ever
in memory. All in fp32, whatever the precision of the pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from textome.encoders.build import architecture
from textome.encoders.interface import EncoderModel

_KINDS = (nn.Linear, nn.Embedding, nn.LayerNorm)


@dataclass(frozen=True, slots=True)
class Call:
    """A layer with weights, what went in (N, in) or (N,) for an embedding, and what came out (N, out)."""

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor


class Owners:
    """Which record each of N rows belongs to: `owner` (N,) int64 on the device, of `count` records."""

    def __init__(self, owner: Tensor, count: int) -> None:
        self.owner, self.count = owner, count
        sizes = torch.bincount(owner, minlength=count)
        order = owner.argsort(stable=True)
        starts = sizes.cumsum(0) - sizes
        rank = torch.empty_like(owner)
        rank[order] = torch.arange(len(owner), device=owner.device) - starts[owner[order]]
        self.max_tokens = int(sizes.max()) if len(sizes) else 0
        self._slots = owner * self.max_tokens + rank

    def padded(self, rows: Tensor) -> Tensor:
        """(N, d) in rows of their records, (count, longest, d), with zeros behind the shorter ones."""
        padded = rows.new_zeros(self.count * self.max_tokens, rows.shape[1])
        return padded.index_copy(0, self._slots, rows).view(self.count, self.max_tokens, rows.shape[1])

    def summed(self, rows: Tensor) -> Tensor:
        """(N, d) to the sum of each record's rows, (count, d)."""
        return rows.new_zeros(self.count, rows.shape[1]).index_add(0, self.owner, rows)


def packable(model: nn.Module) -> bool:
    """Whether all that learns in a model is what this module knows: layers that are called once, and as such."""
    known = isinstance(model.encoder, EncoderModel) and architecture(model.encoder.config).layers_called_once
    return known and all(
        isinstance(module, _KINDS) and not parametrize.is_parametrized(module)
        for module in model.modules()
        if any(item.requires_grad for item in module.parameters(recurse=False))
    )


@contextmanager
def watched(model: nn.Module) -> Iterator[list[Call]]:
    """Collects, while it is open, the calls of all layers that learn."""
    calls: list[Call] = []

    def watch(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            calls.append(Call(name, module, inputs[0].detach(), output))

        return keep

    hooks = [
        module.register_forward_hook(watch(name))
        for name, module in model.named_modules()
        if any(item.requires_grad for item in module.parameters(recurse=False))
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def add_clipped(losses: Tensor, calls: Sequence[Call], tokens: Owners, rows: Owners, limit: float) -> Tensor:
    """Add to `grad` of all weights the sum of the records' gradients, each at most `limit` long; returns their norms (R,).

    losses   (R,) the loss of each record, which no other record has a part in
    tokens   of the rows of the encoder's layers
    rows     of the rows of the layers on top of it
    """
    if len({id(call.module) for call in calls}) < len(calls):
        raise ValueError("a layer was called twice in one pass, so the norms of its gradients cannot be told")
    gradients = torch.autograd.grad(losses.sum(), [call.output for call in calls], allow_unused=True)
    used = [
        (call, grad.float(), tokens if call.name.startswith("encoder.") else rows)
        for call, grad in zip(calls, gradients, strict=True)
        if grad is not None
    ]
    squares = losses.detach().new_zeros(len(losses), dtype=torch.float32)
    for call, grad, owners in used:
        squares += _squares(call, grad, owners)
    norms = squares.sqrt()
    factors = clip_factors(norms, limit)
    for call, grad, owners in used:
        _add(call, grad * factors[owners.owner][:, None])
    return norms


def clip_factors(norms: Tensor, limit: float) -> Tensor:
    """What gradients of these norms are multiplied by, so that none is longer than `limit` (Abadi et al. 2016, algorithm
    1)."""
    return (limit / (norms + 1e-6)).clamp_max(1.0)


def _squares(call: Call, grad: Tensor, rows: Owners) -> Tensor:
    """The squared norm of each record's gradient of one layer, (R,)."""
    module: Any = call.module
    squares = torch.zeros(rows.count, device=grad.device)
    if isinstance(module, nn.Embedding):
        keys, inverse = torch.unique(rows.owner * module.num_embeddings + call.input, return_inverse=True)
        sums = grad.new_zeros(len(keys), grad.shape[1]).index_add(0, inverse, grad)
        return squares.index_add(0, keys // module.num_embeddings, sums.square().sum(1))
    if isinstance(module, nn.LayerNorm):
        if module.weight.requires_grad:
            squares += rows.summed(grad * _normal(module, call.input)).square().sum(1)
    elif module.weight.requires_grad:
        ins, outs = rows.padded(call.input.float()), rows.padded(grad)
        if 2 * rows.max_tokens**2 <= ins.shape[2] * outs.shape[2]:
            squares += ((ins @ ins.transpose(1, 2)) * (outs @ outs.transpose(1, 2))).sum((1, 2)).clamp_min(0)
        else:
            squares += (outs.transpose(1, 2) @ ins).square().sum((1, 2))
    if module.bias is not None and module.bias.requires_grad:
        squares += rows.summed(grad).square().sum(1)
    return squares


def _add(call: Call, grad: Tensor) -> None:
    """Add a layer's gradient from the weighed gradients of its outputs."""
    module: Any = call.module
    if isinstance(module, nn.Embedding):
        _grad_of(module.weight).index_add_(0, call.input, grad)
        return
    if module.weight.requires_grad:
        if isinstance(module, nn.LayerNorm):
            _grad_of(module.weight).add_((grad * _normal(module, call.input)).sum(0))
        else:
            _grad_of(module.weight).addmm_(grad.t(), call.input.float())
    if module.bias is not None and module.bias.requires_grad:
        _grad_of(module.bias).add_(grad.sum(0))


def _normal(module: nn.LayerNorm, rows: Tensor) -> Tensor:
    return functional.layer_norm(rows.float(), list(module.normalized_shape), eps=module.eps)


def _grad_of(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def add_clipped_alone(model: nn.Module, loss: Tensor, limit: float) -> Tensor:
    """The same of one record, for any model: its gradient as autograd gives it, at most `limit` long; returns the norm."""
    weights = [item for item in model.parameters() if item.requires_grad]
    grads = torch.autograd.grad(loss, weights, allow_unused=True)
    pairs = [(weight, grad) for weight, grad in zip(weights, grads, strict=True) if grad is not None]
    norm: Tensor = torch.stack([grad.float().norm() for _, grad in pairs]).norm()
    factor = clip_factors(norm, limit)
    for weight, grad in pairs:
        _grad_of(weight).add_(grad * factor)
    return norm

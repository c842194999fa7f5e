"""Tokens that leave the encoder early while it learns, so that the layers above need only those that stay.

In half of the batches the tokens that a gate is sure of keep the hidden state that they have behind one layer: the layers
above still attend to it, as in the graph (encoders/early_exit.py), and the heads read one learnt state in its place. In the
other half all tokens pass all layers, the model learns as it would without, and the gate learns what the heads say of each
word, and of which words a corpus has an entity (Li et al. 2021, "Accelerating BERT Inference for Sequence Labeling via
Early-Exit", section 3.4, whose second stage also trains under the exits of the model itself).

The gate serves the training alone: recipes/early_exit_gate.py fits the one of the graph to the finished model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.layers.packing import Layout
from textome.tasks.spans.iob import BEGIN, LABELS, OUTSIDE
from textome.training.chains import chain_marginals

INNER = 64  # of the gate
# Behind so many batches tokens begin to leave, in half of the batches, whose score is below a number drawn from this range.
LEARNT_AFTER, SHARE, THRESHOLDS = 200, 0.5, (-6.0, -2.0)
# Of the gate's loss; and how often a token in an entity counts in it.
WEIGHT, INSIDE_COUNTS = 0.25, 5.0


class ExitGate(nn.Module):
    """A gate over the hidden states (T, hidden_size) behind `depth` layers of an encoder, while both learn."""

    def __init__(self, hidden_size: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.dense, self.classifier = nn.Linear(hidden_size, INNER), nn.Linear(INNER, 1)
        self.outside = nn.Parameter(torch.zeros(hidden_size))  # the last hidden state of tokens that left
        self.batches = nn.Parameter(torch.zeros(()), requires_grad=False)

    def scores(self, hidden: Tensor) -> Tensor:
        """(T,) how likely each token belongs to an entity, as a logit."""
        return self.classifier(functional.relu(self.dense(hidden)))[:, 0]  # type: ignore[no-any-return]

    def draw(self) -> float | None:
        """The threshold of the next batch, or None where all tokens stay."""
        low, high = THRESHOLDS
        leaves = bool(self.batches >= LEARNT_AFTER) and bool(torch.rand(()) < SHARE)
        return float(torch.empty(()).uniform_(low, high)) if leaves else None

    @contextmanager
    def leaving(self, encoder: nn.Module, threshold: float | None) -> Iterator[list[Tensor]]:
        """While open, tokens leave a pass of the encoder; yields a list that then holds their scores (T,), and the last
        hidden states (T, hidden_size) of a pass in which all stay."""
        layers = list(encoder.get_submodule("layers").children())
        seen: list[Tensor] = []
        left: list[Tensor] = []

        def read(module: nn.Module, inputs: object, output: Tensor) -> None:
            seen.append(self.scores(output).float())
            left.append(output)

        def put_back(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
            state = self.outside.to(output.dtype) if module is layers[-1] else left[0].to(output.dtype)
            return torch.where((seen[0].detach() > float(threshold or 0))[:, None], output, state)

        def watch(module: nn.Module, inputs: object, output: Tensor) -> None:
            seen.append(output.detach())

        hooks = [layers[self.depth - 1].register_forward_hook(read)]
        above = layers[self.depth :] if threshold is not None else layers[-1:]
        hooks += [layer.register_forward_hook(watch if threshold is None else put_back) for layer in above]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def loss(
        self,
        seen: Sequence[Tensor],
        logits: Tensor,
        targets: Tensor,
        sizes: Sequence[int],
        positions: Tensor,
        layout: Layout,
    ) -> Tensor:
        """Of a pass in which all tokens stayed: binary cross-entropy with what the heads say of the word of each token.

        seen       of `leaving`
        logits     (M, types * 3), or (M, types * 9) of a random field, and targets (M, types), or probabilities of labels
                   (M, types * 3), at the first sub-words of words, at `positions` (M,)
        sizes      how many of the M words each example has
        """
        scores, hidden = seen
        inside = torch.maximum(_inside(logits.detach(), targets, sizes), _labelled_inside(targets))
        with torch.no_grad():
            if not self.batches:  # a start from which the heads need not learn anew
                self.outside.copy_(hidden[positions[inside <= inside.median()]].float().mean(0))
            self.batches.add_(1)
        # Later sub-words go with the first one of their word, special tokens with no word.
        expected = torch.zeros_like(scores).index_copy(0, positions, inside)
        tokens = torch.arange(len(scores), device=positions.device)
        ordered = positions.sort().values
        first = ordered[(torch.searchsorted(ordered, tokens, right=True) - 1).clamp_min(0)]
        expected = expected[first]
        bounds = layout.cu_seqlens.long()
        expected = expected.index_fill(0, torch.cat([bounds[:-1], bounds[1:] - 1]), 0.0)
        weights = 1 + (INSIDE_COUNTS - 1) * expected
        return WEIGHT * functional.binary_cross_entropy_with_logits(scores, expected, weights)


def _inside(logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """(M,) the probability that a word is in an entity, by the head that is surest of it."""
    num_labels = targets.shape[1] * (1 if targets.is_floating_point() else len(LABELS))
    labels = chain_marginals(logits, sizes) if logits.shape[1] > num_labels else logits.float()
    outside = torch.softmax(labels.unflatten(-1, (-1, len(LABELS))), -1)[..., OUTSIDE]
    return 1 - outside.amin(-1)


def _labelled_inside(targets: Tensor) -> Tensor:
    """(M,) whether, or how probably, a word is in an entity by its targets."""
    if not targets.is_floating_point():
        return (targets >= BEGIN).any(-1).float()
    outside: Tensor = targets.unflatten(-1, (-1, len(LABELS)))[..., OUTSIDE]
    return (1 - outside).nan_to_num().amax(-1)

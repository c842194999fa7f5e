"""The loss of a conditional random field over the labels of each sentence, see tasks.spans.crf, and its marginals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from textome.tasks.spans.iob import IGNORED, LABELS, OUTSIDE

# In place of the logarithm of zero, whose gradient would be none.
_NEVER = -1e30


def chain_loss(logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """Minus the log likelihood of labels, summed over heads and averaged over words.

    logits    (M, heads * 9) of M words
    targets   (M, heads) of labels, or IGNORED where any label may be (Tsuboi et al. 2008, equation 3): then all paths
              that agree with the known labels count
    sizes     the numbers of words of each sentence
    """
    scores, lengths = _padded(logits, sizes)
    labels = pad_sequence(list(torch.split(targets.long(), list(sizes))))[..., None]
    may_be = (labels == IGNORED) | (labels == torch.arange(len(LABELS), device=logits.device))
    either, only = _forward(scores, lengths), _forward(scores, lengths, may_be)
    return (_total(either) - _total(only)).sum() / max(1, len(logits))


def chain_marginals(logits: Tensor, sizes: Sequence[int]) -> Tensor:
    """The log probabilities (M, heads * 3) of the labels of each word, of logits (M, heads * 9); differentiable."""
    scores, lengths = _padded(logits, sizes)
    before, after = _forward(scores, lengths), _backward(scores, lengths)
    logs = (before + after).log_softmax(-1)
    return torch.cat([logs[:length, number] for number, length in enumerate(sizes)]).flatten(1)


def _padded(logits: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(L, B, heads, 3, 3) scores of the words of B sentences, and their lengths."""
    rows = logits.float().reshape(len(logits), -1, len(LABELS), len(LABELS))
    return pad_sequence(list(torch.split(rows, list(sizes)))), torch.tensor(list(sizes), device="cpu")


def _forward(scores: Tensor, lengths: Tensor, may_be: Tensor | None = None) -> Tensor:
    """The logarithms (L, B, heads, 3) of the sums over all paths up to a word that end with each of its labels."""
    there = _there(scores, lengths)
    total, sums = scores[0, :, :, OUTSIDE], []
    for word in range(len(scores)):
        if word:
            step = (total[..., None] + scores[word]).logsumexp(-2)
            step = step if may_be is None else step.masked_fill(~may_be[word], _NEVER)
            total = torch.where(there[word], step, total)
        elif may_be is not None:
            total = total.masked_fill(~may_be[0], _NEVER)
        sums.append(total)
    return torch.stack(sums)


def _backward(scores: Tensor, lengths: Tensor) -> Tensor:
    """The logarithms (L, B, heads, 3) of the sums over all paths from each label of a word to the end."""
    there = _there(scores, lengths)
    total = scores.new_zeros(scores.shape[1:4])
    sums = [total]
    for word in range(len(scores) - 1, 0, -1):
        total = torch.where(there[word], (scores[word] + total[..., None, :]).logsumexp(-1), total)
        sums.append(total)
    return torch.stack(sums[::-1])


def _there(scores: Tensor, lengths: Tensor) -> Tensor:
    """(L, B, 1, 1) whether a sentence has the word."""
    words = torch.arange(len(scores))[:, None] < lengths
    return words[..., None, None].to(scores.device)


def _total(forward: Tensor) -> Tensor:
    """(B, heads) of all paths: those up to the last word, which are kept in what lies behind it."""
    return forward[-1].logsumexp(-1)

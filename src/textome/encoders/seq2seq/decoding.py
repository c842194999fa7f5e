"""Decoding: from a source to targets, one token at a time (greedy, beam search, sampling).

All three run over a batch with cached keys and values, so that a step costs one token of each sequence still in work;
finished ones leave. A model is anything with `step(tokens, cache)` and a cache with `choose(rows)`, as model.py has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Steps(Protocol):
    """What decoding needs of a model; see encoders.seq2seq.model.Transformer."""

    def step(self, tokens: Tensor, cache: Any) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A target without its start and end tokens, its log probability (of the end too), and the score it is ranked by."""

    tokens: tuple[int, ...]
    log_probability: float
    score: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a target.

    start, end      tokens that it begins with, and that ends it
    longest         tokens of each sequence (B,) at most, the end token among them; a target that has as many ends there
    never           tokens that are never chosen, as padding
    """

    start: int
    end: int
    longest: Tensor
    never: tuple[int, ...] = ()


def sample(
    model: Steps,
    cache: Any,
    limits: Limits,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
) -> list[Hypothesis]:
    """One target of each sequence, each token drawn from what the model expects.

    temperature   divides the logits; 0 takes the most probable token (greedy)
    top_k         only the k most probable tokens; 0 keeps all
    top_p         only the most probable tokens whose probabilities first add up to p (Holtzman et al. 2020)

    Raises ValueError for a temperature below 0, and a top_p that is not in (0, 1].
    """
    if temperature < 0 or not 0 < top_p <= 1 or top_k < 0:
        raise ValueError(f"temperature {temperature}, top_k {top_k}, top_p {top_p}: expected >= 0, >= 0, in (0, 1]")
    count = len(limits.longest)
    alive = torch.arange(count)
    tokens = torch.full((count,), limits.start, device=limits.longest.device)
    written: list[list[int]] = [[] for _ in range(count)]
    totals = torch.zeros(count, dtype=torch.float64)
    while len(alive):
        chances = _log_probabilities(model.step(tokens, cache), limits)
        chosen = _draw(chances, temperature, top_k, top_p, generator)
        totals[alive] += chances.gather(1, chosen[:, None])[:, 0].double().cpu()
        for row, token in zip(alive.tolist(), chosen.tolist(), strict=True):
            written[row].append(token)
        position = len(written[int(alive[0])])
        stays = (chosen != limits.end).cpu() & (position < limits.longest.cpu()[alive])
        if not bool(stays.all()):
            kept = stays.nonzero()[:, 0]
            alive, chosen = alive[kept], chosen[kept.to(chosen.device)]
            if len(alive):
                cache.choose(kept.to(chosen.device))
        tokens = chosen
    return [
        Hypothesis(_without_end(row, limits.end), total, total)
        for row, total in zip(written, totals.tolist(), strict=True)
    ]


def greedy(model: Steps, cache: Any, limits: Limits) -> list[Hypothesis]:
    """The target of each sequence that takes the most probable token at every step."""
    return sample(model, cache, limits, temperature=0.0)


def beam(
    model: Steps, cache: Any, limits: Limits, width: int = 4, length_penalty: float = 1.0, best: int = 1
) -> list[list[Hypothesis]]:
    """Up to `best` targets of each sequence, the best first, of those that beam search finds.

    width            targets of each sequence that are followed at once; of their continuations as many, the most probable,
                     are taken, and those that end there leave
    length_penalty   a target of n tokens is ranked by its log probability / n ** length_penalty; 0 favours short ones

    A sequence is done when no target in work can still beat the worst of its `best` finished ones: a log probability only
    falls, so the score of any longer target is at most that of the present sum over the length that favours it most.

    Raises ValueError where more targets are wanted than followed.
    """
    if not 1 <= best <= width:
        raise ValueError(f"best {best}, width {width}: expected 1 <= best <= width")
    device, count = limits.longest.device, len(limits.longest)
    longest = limits.longest.cpu().tolist()
    cache.choose(torch.arange(count, device=device).repeat_interleave(width))
    alive = list(range(count))
    tokens = torch.full((count * width,), limits.start, device=device)
    # Of a sequence's equal beginnings only the first counts, so that the first step finds different tokens.
    sums = torch.full((count, width), float("-inf"), dtype=torch.float64, device=device)
    sums[:, 0] = 0.0
    written: list[list[list[int]]] = [[[] for _ in range(width)] for _ in range(count)]
    finished: list[list[Hypothesis]] = [[] for _ in range(count)]
    position = 0
    while alive:
        position += 1
        chances = _log_probabilities(model.step(tokens, cache), limits).double()
        vocabulary = chances.shape[1]
        totals = (sums[:, :, None] + chances.view(len(alive), width, vocabulary)).flatten(1)
        values, where = totals.topk(min(width, totals.shape[1]))
        rows: list[int] = []
        following: list[int] = []
        kept_sums: list[list[float]] = []
        still: list[int] = []
        for row, (number, some, indices) in enumerate(zip(alive, values.tolist(), where.tolist(), strict=True)):
            goes_on: list[tuple[float, int, int]] = []
            for total, slot in zip(some, indices, strict=True):
                origin, token = divmod(slot, vocabulary)
                if total == float("-inf"):
                    break
                if token == limits.end or position == longest[number]:
                    text = (*written[number][origin], token)
                    score = total / position**length_penalty
                    finished[number].append(Hypothesis(_without_end(text, limits.end), total, score))
                else:
                    goes_on.append((total, origin, token))
            finished[number] = sorted(finished[number], key=lambda item: -item.score)[:best]
            ended = longest[number]
            if not goes_on or _done(finished[number], goes_on[0][0], position, ended, length_penalty, best):
                continue
            goes_on += [(float("-inf"), goes_on[0][1], goes_on[0][2])] * (width - len(goes_on))
            written[number] = [[*written[number][origin], token] for _, origin, token in goes_on]
            still.append(number)
            kept_sums.append([total for total, _, _ in goes_on])
            rows += [row * width + origin for _, origin, _ in goes_on]
            following += [token for _, _, token in goes_on]
        alive = still
        if alive:
            cache.choose(torch.tensor(rows, device=device))
            tokens = torch.tensor(following, device=device)
            sums = torch.tensor(kept_sums, dtype=torch.float64, device=device)
    return finished


def _done(finished: list[Hypothesis], total: float, position: int, longest: int, penalty: float, best: int) -> bool:
    """Whether no continuation of a target with this log probability can enter the finished ones.

    The sum (at most 0) only falls; divided by a growing power of the length it is largest at the longest target for a
    positive penalty, and right after this place otherwise.
    """
    if len(finished) < best:
        return False
    favourable = longest if penalty > 0 else position + 1
    return bool(finished[-1].score >= total / favourable**penalty)


def _log_probabilities(logits: Tensor, limits: Limits) -> Tensor:
    logits = logits.float()
    if limits.never:
        logits[:, list(limits.never)] = float("-inf")
    return logits.log_softmax(-1)


def _draw(chances: Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator | None) -> Tensor:
    """A token for each row of log probabilities (B, vocab_size)."""
    if temperature == 0:
        return chances.argmax(-1)
    scaled = (chances / temperature).log_softmax(-1)
    ordered, indices = scaled.sort(-1, descending=True)
    if top_k:
        ordered[:, top_k:] = float("-inf")
    shares = ordered.softmax(-1)
    # A token stays while those before it do not reach p yet, so the first always does.
    shares = shares.masked_fill(shares.cumsum(-1) - shares >= top_p, 0.0)
    return indices.gather(1, torch.multinomial(shares, 1, generator=generator))[:, 0]


def _without_end(tokens: tuple[int, ...] | list[int], end: int) -> tuple[int, ...]:
    return tuple(tokens[:-1]) if tokens and tokens[-1] == end else tuple(tokens)

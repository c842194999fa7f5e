"""Decoding: from what a model expects next to whole texts (greedy, drawn, or by beam search), on NumPy logits.

All run over a batch, and a step costs one token of each sequence still in work; finished ones leave. Each sequence draws
from a generator of its own, so that its text does not depend on the others in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from textome.runtime.generation.settings import GenerationSettings

Ids = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]
EndedBy = Literal["end", "stop", "length"]
T = TypeVar("T")
# Work that pauses before each run of a model, so that others have their turns; it yields the tokens that the run reads.
Steps = Generator[int, None, T]


class Decoder(Protocol):
    """A model with what it keeps of the sequences in work (B of them), as keys and values of their tokens so far."""

    def step(self, tokens: Ids) -> Floats:
        """The logits (B, vocab_size) of what follows `tokens` (B,), the newest of each sequence."""

    def choose(self, rows: Ids) -> None:
        """Go on with these sequences (M,), in this order; one may be there several times, and those missing are left."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A text without its end token, its log probability (of the end too), the score it is ranked by, and what ended it."""

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended_by: EndedBy


@dataclass(frozen=True, slots=True)
class Limits:
    """What the texts of a batch begin with, and what ends them.

    first       (B) the token of each sequence that the first step reads: a start token, or the last one of its prompt
    max_tokens  (B) tokens of each text at most, the end token among them; a text that has as many ends there
    ends        tokens that end a text
    never       tokens that are never chosen, as padding
    no_repeat   no run of so many tokens occurs twice in a sequence; 0: any may
    histories   (B) tokens before the text that count in `no_repeat`; empty: none
    is_stopped  whether a text ends with what its last token wrote
    """

    first: Sequence[int]
    max_tokens: Sequence[int]
    ends: tuple[int, ...]
    never: tuple[int, ...] = ()
    no_repeat: int = 0
    histories: Sequence[Sequence[int]] = ()
    is_stopped: Callable[[Sequence[int]], bool] = lambda tokens: False

    def repeated(self, times: int) -> Limits:
        """The same for `times` copies of each sequence, which stand side by side."""
        return replace(
            self,
            first=[token for token in self.first for _ in range(times)],
            max_tokens=[count for count in self.max_tokens for _ in range(times)],
            histories=[history for history in self.histories for _ in range(times)],
        )

    def ended_by(self, number: int, tokens: Sequence[int]) -> EndedBy | None:
        """What ends the text of a sequence after its last token; None: it goes on."""
        if tokens[-1] in self.ends:
            return "end"
        if self.is_stopped(tokens):
            return "stop"
        return "length" if len(tokens) >= self.max_tokens[number] else None

    def log_probabilities(self, logits: Floats, numbers: Sequence[int], texts: Sequence[Sequence[int]]) -> Floats:
        """(B, vocab_size) of what may follow each text, from the model's logits; `numbers` are those of its sequence."""
        logits = logits.astype(np.float32)
        logits[:, list(self.never)] = -np.inf
        if self.no_repeat:
            for row, number, text in zip(logits, numbers, texts, strict=True):
                history = self.histories[number] if self.histories else (self.first[number],)
                banned = _repeating([*history, *text], self.no_repeat)
                if np.isfinite(np.delete(row, banned)).any():  # otherwise nothing could be written at all
                    row[banned] = -np.inf
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))  # type: ignore[no-any-return]


def finished(steps: Steps[T]) -> T:
    """The result of all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def generate(
    decoder: Decoder, limits: Limits, settings: GenerationSettings, numbers: Sequence[int] = ()
) -> list[list[Hypothesis]]:
    """As `generating`, at once."""
    return finished(generating(decoder, limits, settings, numbers))


def generating(
    decoder: Decoder, limits: Limits, settings: GenerationSettings, numbers: Sequence[int] = ()
) -> Steps[list[list[Hypothesis]]]:
    """Up to `settings.samples` texts of each sequence, as the settings ask for them; those of a beam stand the best first.

    numbers   (B) by which what is drawn differs between sequences; by default their numbers in the batch
    """
    if settings.beam > 1:
        return (yield from _search(decoder, limits, settings.beam, settings.length_penalty, settings.samples))
    count, samples = len(limits.first), settings.samples
    if samples > 1:
        decoder.choose(np.arange(count).repeat(samples))
    generators = [
        np.random.default_rng([settings.seed, number, sample])
        for number in (numbers or range(count))
        for sample in range(samples)
    ]
    texts = yield from _sample(decoder, limits.repeated(samples), settings, generators)
    return [texts[start : start + samples] for start in range(0, len(texts), samples)]


def sample(
    decoder: Decoder, limits: Limits, settings: GenerationSettings, generators: Sequence[np.random.Generator] = ()
) -> list[Hypothesis]:
    """One text of each sequence: each token is drawn by the sequence's own generator, or the most probable one taken."""
    return finished(_sample(decoder, limits, settings, generators))


def _sample(
    decoder: Decoder, limits: Limits, settings: GenerationSettings, generators: Sequence[np.random.Generator]
) -> Steps[list[Hypothesis]]:
    count = len(limits.first)
    alive, tokens = list(range(count)), np.asarray(limits.first, np.int64)
    texts: list[list[int]] = [[] for _ in range(count)]
    totals: list[float] = [0.0] * count
    endings: list[EndedBy] = ["length"] * count
    while alive:
        yield len(alive)
        expected = limits.log_probabilities(decoder.step(tokens), alive, [texts[number] for number in alive])
        if settings.draws:
            chances = truncated(expected, settings.temperature or 1.0, settings.top_k, settings.top_p)
            chosen = _drawn(chances, [generators[number].random() for number in alive])
        else:
            chosen = expected.argmax(-1)
        kept = []
        for row, (number, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            texts[number].append(token)
            totals[number] += float(expected[row, token])
            if (ending := limits.ended_by(number, texts[number])) is None:
                kept.append(row)
            else:
                endings[number] = ending
        tokens = chosen[kept]
        if kept and len(kept) < len(alive):
            decoder.choose(np.array(kept))
        alive = [alive[row] for row in kept]
    return [_hypothesis(text, total, total, ending) for text, total, ending in zip(texts, totals, endings, strict=True)]


def greedy(decoder: Decoder, limits: Limits) -> list[Hypothesis]:
    """The text of each sequence that takes the most probable token at every step."""
    return sample(decoder, limits, GenerationSettings())


def truncated(log_probabilities: Floats, temperature: float, top_k: int | None, top_p: float | None) -> Floats:
    """The probabilities (B, vocab_size) that tokens are drawn with.

    Log probabilities are divided by the temperature; then only the k most probable tokens stay, and of these only the most
    probable ones whose probabilities first add up to p (Holtzman et al. 2020, section 3.1). Of equally probable tokens the
    first stays.
    """
    scaled = log_probabilities.astype(np.float64)
    with np.errstate(over="ignore"):  # minus infinity is what a tiny temperature means
        scaled = (scaled - scaled.max(-1, keepdims=True)) / temperature
    chances = np.exp(scaled)
    vocabulary = chances.shape[-1]
    if top_k is not None or top_p is not None:
        order = np.argsort(-scaled, axis=-1, kind="stable")
        ordered = np.take_along_axis(chances, order, -1)
        ordered[:, min(top_k or vocabulary, vocabulary) :] = 0.0
        if top_p is not None:
            # A token stays while those before it do not reach p yet, so the first always does.
            shares = ordered / ordered.sum(-1, keepdims=True)
            ordered[shares.cumsum(-1) - shares >= top_p] = 0.0
        np.put_along_axis(chances, order, ordered, -1)
    return chances / chances.sum(-1, keepdims=True)  # type: ignore[no-any-return]


def beam(
    decoder: Decoder, limits: Limits, width: int = 4, length_penalty: float = 1.0, best: int = 1
) -> list[list[Hypothesis]]:
    """Up to `best` texts of each sequence, the best first, of those that beam search finds.

    width            texts of each sequence that are followed at once; of their continuations as many, the most probable,
                     are taken, and those that end there leave
    length_penalty   a text of n tokens is ranked by its log probability / n ** length_penalty; 0 favours short ones

    A sequence is done when no text in work can still beat the worst of its `best` finished ones: a log probability only
    falls, so the score of any longer text is at most that of the present sum over the length that favours it most.

    Raises ValueError where more texts are asked for than followed.
    """
    if not 1 <= best <= width:
        raise ValueError(f"best {best}, width {width}: expected 1 <= best <= width")
    return finished(_search(decoder, limits, width, length_penalty, best))


def _search(
    decoder: Decoder, limits: Limits, width: int, length_penalty: float, best: int
) -> Steps[list[list[Hypothesis]]]:
    count = len(limits.first)
    decoder.choose(np.arange(count).repeat(width))
    alive = list(range(count))
    tokens = np.repeat(np.asarray(limits.first, np.int64), width)
    # Of a sequence's equal beginnings only the first counts, so that the first step finds different tokens.
    sums = np.full((count, width), -np.inf)
    sums[:, 0] = 0.0
    texts: list[list[list[int]]] = [[[] for _ in range(width)] for _ in range(count)]
    finished: list[list[Hypothesis]] = [[] for _ in range(count)]
    position = 0
    while alive:
        yield len(alive) * width
        position += 1
        of_rows = [number for number in alive for _ in range(width)]
        followed = [text for number in alive for text in texts[number]]
        expected = limits.log_probabilities(decoder.step(tokens), of_rows, followed)
        vocabulary = expected.shape[1]
        totals = (sums[:, :, None] + expected.reshape(len(alive), width, vocabulary)).reshape(len(alive), -1)
        rows: list[int] = []
        following: list[int] = []
        kept_sums: list[list[float]] = []
        still: list[int] = []
        for row, (number, slots) in enumerate(zip(alive, _largest(totals, width), strict=True)):
            goes_on: list[tuple[float, int, int]] = []
            for slot in slots:
                total = float(totals[row, slot])
                origin, token = divmod(slot, vocabulary)
                if total == float("-inf"):
                    break
                text = [*texts[number][origin], token]
                if (ending := limits.ended_by(number, text)) is None:
                    goes_on.append((total, origin, token))
                else:
                    finished[number].append(_hypothesis(text, total, total / position**length_penalty, ending))
            finished[number] = sorted(finished[number], key=lambda item: -item.score)[:best]
            max_tokens = limits.max_tokens[number]
            if not goes_on or _done(finished[number], goes_on[0][0], position, max_tokens, length_penalty, best):
                continue
            goes_on += [(float("-inf"), goes_on[0][1], goes_on[0][2])] * (width - len(goes_on))
            texts[number] = [[*texts[number][origin], token] for _, origin, token in goes_on]
            still.append(number)
            kept_sums.append([total for total, _, _ in goes_on])
            rows += [row * width + origin for _, origin, _ in goes_on]
            following += [token for _, _, token in goes_on]
        alive = still
        if alive:
            decoder.choose(np.array(rows))
            tokens, sums = np.array(following), np.array(kept_sums)
    return finished


def _largest(totals: Floats, width: int) -> list[list[int]]:
    """Where the `width` largest numbers of each row stand, the largest first, the first of equal ones first."""
    width = min(width, totals.shape[1])
    positions = np.sort(np.argpartition(-totals, width - 1, axis=-1)[:, :width], axis=-1)
    order = np.argsort(-np.take_along_axis(totals, positions, -1), axis=-1, kind="stable")
    return np.take_along_axis(positions, order, -1).tolist()  # type: ignore[no-any-return]


def _done(finished: list[Hypothesis], total: float, position: int, max_tokens: int, penalty: float, best: int) -> bool:
    """Whether no continuation of a text with this log probability can enter the finished ones.

    The sum (at most 0) only falls; divided by a growing power of the length it is largest at the longest text for a
    positive penalty, and right after this position otherwise.
    """
    if len(finished) < best:
        return False
    favourable = max_tokens if penalty > 0 else position + 1
    return bool(finished[-1].score >= total / favourable**penalty)


def _drawn(chances: Floats, draws: Sequence[float]) -> Ids:
    """A token for each row of probabilities (B, vocab_size): where their sum first exceeds the row's draw from [0, 1)."""
    sums = chances.cumsum(-1)
    exceeds = sums > np.asarray(draws)[:, None] * sums[:, -1:]
    return np.asarray(exceeds.argmax(-1), np.int64)


def _repeating(tokens: Sequence[int], size: int) -> list[int]:
    """The tokens that would end a run of `size` tokens which is there already."""
    if len(tokens) < size:
        return []
    begins = list(tokens[len(tokens) - size + 1 :])
    starts = range(len(tokens) - size + 1)
    return sorted({tokens[at + size - 1] for at in starts if list(tokens[at : at + size - 1]) == begins})


def _hypothesis(tokens: Sequence[int], total: float, score: float, ended_by: EndedBy) -> Hypothesis:
    return Hypothesis(tuple(tokens[:-1] if ended_by == "end" else tokens), total, score, ended_by)

"""The task by which a T5 is pretrained: spans of a text are left out, and written as the target (Raffel et al. 2020,
sections 3.1.4 and 3.3.4).

    source   Thank you <extra_id_0> me to your party <extra_id_1> week.
    target   <extra_id_0> for inviting <extra_id_1> last <extra_id_2>
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from textome.tasks.task import Task
from textome.text.tokenization import Tokenizer

Ids = NDArray[np.int64]


class SpanCorruption(Task[Any, Any]):
    """Writes the spans that a text lacks, by which an encoder-decoder is pretrained.

    probability      the share of tokens that are left out
    mean_span        the mean number of tokens of a span
    dynamic          draws other spans in each pass over a corpus
    held_out         the share of each corpus's documents that is only evaluated on
    held_out_tokens  at most so many of their tokens are read
    """

    has_graph: ClassVar[bool] = False
    trained_by: ClassVar[str] = "span_corruption"
    data_key: ClassVar[str] = "texts"
    losses: ClassVar[tuple[str, ...]] = ("next_token",)

    kind: Literal["span_corruption"] = "span_corruption"
    metric: Literal["accuracy"] = "accuracy"
    probability: float = Field(0.15, gt=0, lt=1)
    mean_span: float = Field(3.0, ge=1)
    dynamic: bool = True
    held_out: float = Field(0.005, ge=0, lt=1)
    held_out_tokens: int = Field(100_000, ge=1)


@dataclass(frozen=True)
class Corrupter:
    """Leaves spans of a sequence of tokens out, each for a sentinel of its own.

    sentinels   the ids of <extra_id_0>, <extra_id_1> ..., in this order
    end         the token that ends source and target
    """

    sentinels: Sequence[int]
    end: int
    probability: float = 0.15
    mean_span: float = 3.0

    @classmethod
    def of(cls, tokenizer: Tokenizer, probability: float = 0.15, mean_span: float = 3.0) -> Self:
        """For a vocabulary. Raises ModelError where it has no sentinels."""
        return cls(tokenizer.sentinel_ids, tokenizer.end_id, probability, mean_span)

    def corrupt(self, ids: Ids, generator: np.random.Generator) -> tuple[Ids, Ids]:
        """Source and target of a sequence (n,) of at least 2 tokens without special ones, both with the end token.

        The target has the spans, each behind its sentinel, and one sentinel more, which ends the last. Spans never touch.
        There are round(n * probability) tokens in them, but at least 1 and at most n - 1.
        """
        source: list[int] = []
        target: list[int] = []
        position = 0
        for number, (start, end) in enumerate(spans := self.spans(len(ids), generator)):
            source += [*ids[position:start].tolist(), self.sentinels[number]]
            target += [self.sentinels[number], *ids[start:end].tolist()]
            position = end
        source += [*ids[position:].tolist(), self.end]
        target += [self.sentinels[len(spans)], self.end]
        return np.array(source, np.int64), np.array(target, np.int64)

    def spans(self, length: int, generator: np.random.Generator) -> list[tuple[int, int]]:
        """Where the spans of a sequence start and end: all ways to cut it so are equally probable."""
        hidden = min(max(round(length * self.probability), 1), length - 1)
        count = max(1, round(hidden / self.mean_span))
        count = min(count, len(self.sentinels) - 1, hidden, length - hidden + 1)
        sizes = _cut(hidden, count, generator)
        # Between spans stands a token at least; before the first and behind the last there may be none.
        gaps = _cut(length - hidden + 2, count + 1, generator)
        starts = np.cumsum(gaps[:-1]) - 1 + np.cumsum([0, *sizes[:-1]])
        return [(int(start), int(start + size)) for start, size in zip(starts, sizes, strict=True)]

    def restored(self, source: Sequence[int], target: Sequence[int]) -> list[int]:
        """The sequence of a source and its target, or of what a model wrote as one; spans that are missing are empty."""
        spans: dict[int, list[int]] = {}
        current: list[int] = []
        known = set(self.sentinels)
        for token in target:
            if token in known:
                current = spans.setdefault(token, [])
            elif token != self.end:
                current.append(token)
        pieces = [spans.get(token, []) if token in known else [token] for token in source if token != self.end]
        return [token for piece in pieces for token in piece]


def _cut(total: int, count: int, generator: np.random.Generator) -> list[int]:
    """`total` as a sum of `count` numbers of at least 1, all such sums being equally probable."""
    cuts = np.sort(generator.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff([0, *cuts.tolist(), total]).tolist()  # type: ignore[no-any-return]

"""The task by which an encoder is pretrained: the hidden tokens of a text are guessed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from textome.tasks.masked_lm import Unit
from textome.tasks.task import HeadShape, Task


class MaskedLanguageModel(Task[Any, Any]):
    """Guesses hidden tokens, by which an encoder is pretrained.

    unit             what is hidden together, see Masker
    probability      the share of tokens that are chosen
    held_out         the share of each corpus's documents that is only evaluated on
    held_out_tokens  at most so many of their tokens are read
    """

    has_graph: ClassVar[bool] = False
    trained_by: ClassVar[str] = "masked_lm"
    data_key: ClassVar[str] = "texts"
    losses: ClassVar[tuple[str, ...]] = ("next_token",)

    kind: Literal["masked_lm"] = "masked_lm"
    metric: Literal["accuracy"] = "accuracy"
    unit: Unit = "word"
    probability: float = Field(0.15, gt=0, lt=1)
    dynamic: bool = True
    next_sentence: bool = False
    held_out: float = Field(0.005, ge=0, lt=1)
    held_out_tokens: int = Field(100_000, ge=1)

    @property
    def head_shape(self) -> HeadShape:
        """There is none: the vocabulary is scored."""
        return HeadShape(0, 0)

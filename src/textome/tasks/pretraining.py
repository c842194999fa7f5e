"""The tasks by which models are pretrained on running text: hidden tokens, or what follows each token, are guessed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from textome.tasks.masked_lm import Masker, Unit
from textome.tasks.task import Task
from textome.text.tokenization import Tokenizer


class Pretraining(Task[Any, Any]):
    """Learns from corpora without labels.

    held_out         the share of each corpus's documents that is only evaluated on
    held_out_tokens  at most so many of their tokens are read
    """

    trained_by: ClassVar[str] = "masked_lm"
    data_key: ClassVar[str] = "texts"
    losses: ClassVar[tuple[str, ...]] = ("next_token",)
    # Whether the model writes from left to right, so that its architecture must be one that sees no later token.
    causal: ClassVar[bool]

    held_out: float = Field(0.005, ge=0, lt=1)
    held_out_tokens: int = Field(100_000, ge=1)

    def masker(self, tokenizer: Tokenizer) -> Masker | None:
        """What hides tokens of a sequence; None where those that follow each other are guessed."""
        raise NotImplementedError


class MaskedLanguageModel(Pretraining):
    """Guesses hidden tokens, by which an encoder is pretrained.

    unit             what is hidden together, see Masker
    probability      the share of tokens that are chosen
    """

    has_graph: ClassVar[bool] = False
    causal: ClassVar[bool] = False

    kind: Literal["masked_lm"] = "masked_lm"
    metric: Literal["accuracy"] = "accuracy"
    unit: Unit = "word"
    probability: float = Field(0.15, gt=0, lt=1)
    dynamic: bool = True
    next_sentence: bool = False

    def masker(self, tokenizer: Tokenizer) -> Masker:
        return Masker.of(tokenizer, self.unit, self.probability)

"""What a user asks of a model that writes: how tokens are chosen, and what ends a text."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from textome.settings import Settings


class GenerationSettings(Settings):
    """How texts are written. Without any of `temperature`, `top_k`, `top_p` and `beam` the most probable token is taken.

    max_new_tokens  tokens of a text at most
    temperature     tokens are drawn; above 1 from flatter probabilities, below 1 from steeper ones
    top_k           draws only from the k most probable tokens
    top_p           draws only from the most probable tokens whose probabilities first add up to p (Holtzman et al. 2020)
    beam            follows so many texts at once, and gives the most probable ones (beam search)
    length_penalty  of beam search: a text of n tokens is ranked by its log probability / n ** length_penalty
    no_repeat       no run of so many tokens occurs twice in a text and its prompt (Paulus et al. 2018, section 2.5); 0: any
    stop            a text ends before the first of these strings
    seed            of what is drawn: the same seed, prompt and position in the input give the same text
    samples         texts for each prompt: several draws, or the best of a beam
    """

    settings_of: ClassVar[str] = "generation"

    max_new_tokens: int = Field(default=128, ge=1)
    temperature: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    top_k: int | None = Field(default=None, ge=1)
    top_p: float | None = Field(default=None, gt=0, le=1)
    beam: int = Field(default=1, ge=1)
    length_penalty: float = Field(default=1.0, allow_inf_nan=False)
    no_repeat: int = Field(default=0, ge=0)
    stop: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    samples: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if "" in self.stop:
            raise ValueError("stop is an empty text, which would end every text at once; leave it out")
        if self.beam > 1 and self.draws:
            raise ValueError("beam search draws nothing; leave out beam, or temperature, top_k and top_p")
        if self.beam > 1 and self.samples > self.beam:
            raise ValueError(
                f"a beam of {self.beam} has no {self.samples} texts; give a beam of at least {self.samples}"
            )
        if self.beam == 1 and self.samples > 1 and not self.draws:
            raise ValueError("several samples would all be the same text; give a temperature, or a beam")
        return self

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn, and not the most probable ones taken."""
        return not (self.temperature is self.top_k is self.top_p is None)

"""Text: what a model of text reads at once."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Text(BaseModel):
    """Texts are read in windows of at most `window` tokens, special ones included, that share `overlap` tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["text"] = "text"
    window: int = Field(ge=8)
    overlap: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap >= self.window - 2:
            raise ValueError(f"the overlap {self.overlap} must be smaller than the window")
        return self

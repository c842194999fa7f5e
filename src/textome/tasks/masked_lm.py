"""Masked language modelling: which tokens of a sequence are hidden, and by what (Devlin et al. 2019, section 3.1).

No PyTorch here: masks are drawn with NumPy, from a generator for each sequence, so that a sequence gets the same mask
whatever batch, process or machine it is trained in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from textome.text.tokenization import Tokenizer

Ids = NDArray[np.int64]
Unit = Literal["word", "token", "span"]

# Of the chosen tokens, these shares become [MASK] and a random token; the rest stay as they are.
MASKED, RANDOM = 0.8, 0.1
# Lengths of spans in words: geometric with p = 0.2, at most 10 (Joshi et al. 2020, section 3.1).
SPAN_RATE, MAX_SPAN_WORDS = 0.2, 10


@dataclass(frozen=True)
class Masker:
    """Hides a share of a sequence's tokens.

    unit          "token" chooses single tokens; "word" all pieces of a word together (whole-word masking); "span" runs of
                  words (SpanBERT), each wholly masked, wholly random or wholly left
    probability   share of tokens to choose. The last word or span may pass it, so that short sequences get one too
    mask_id       the id of [MASK]
    continues     (vocabulary size,) bool, which pieces continue a word
    replacements  ids that may stand in for a token: the vocabulary without special tokens
    masked, random  the shares of the chosen tokens that become [MASK], and another token; the rest stay as they are
    """

    unit: Unit
    probability: float
    mask_id: int
    continues: NDArray[np.bool_]
    replacements: Ids
    masked: float = MASKED
    random: float = RANDOM

    @classmethod
    def of(cls, tokenizer: Tokenizer, unit: Unit = "word", probability: float = 0.15) -> Masker:
        """The masker for a vocabulary. Raises ModelError where it has no mask token."""
        ordinary = np.setdiff1d(np.arange(tokenizer.vocabulary_size), tokenizer.special_ids)
        return cls(unit, probability, tokenizer.mask_id, tokenizer.continuations(), ordinary)

    def mask(self, ids: Ids, generator: np.random.Generator) -> tuple[Ids, NDArray[np.int64]]:
        """The sequence with tokens hidden, and the places of all chosen tokens in ascending order.

        ids   (n,) without special tokens, n at least 1; what is to be predicted at `places` is `ids[places]`
        """
        starts = self._starts(ids)
        sizes = np.diff(np.append(starts, len(ids)))
        budget = max(1, round(self.probability * len(ids)))
        units = self._spans(sizes, budget, generator) if self.unit == "span" else self._words(sizes, budget, generator)
        positions = np.concatenate(
            [np.arange(starts[word], starts[word] + sizes[word]) for unit in units for word in unit]
        )
        if self.unit == "span":
            draws = np.repeat(generator.random(len(units)), [sum(sizes[word] for word in unit) for unit in units])
        else:
            draws = generator.random(len(positions))
        hidden = ids.copy()
        hidden[positions[draws < self.masked]] = self.mask_id
        swapped = positions[(draws >= self.masked) & (draws < self.masked + self.random)]
        hidden[swapped] = generator.choice(self.replacements, len(swapped))
        return hidden, np.sort(positions)

    def _starts(self, ids: Ids) -> NDArray[np.int64]:
        """Where each unit of choice begins: every token, or every first piece of a word."""
        if self.unit == "token":
            return np.arange(len(ids))
        begins = ~self.continues[ids]
        begins[0] = True
        return np.flatnonzero(begins)

    @staticmethod
    def _words(sizes: NDArray[np.int64], budget: int, generator: np.random.Generator) -> list[list[int]]:
        order = generator.permutation(len(sizes))
        before = np.cumsum(sizes[order]) - sizes[order]
        return [[word] for word in order[before < budget].tolist()]

    @staticmethod
    def _spans(sizes: NDArray[np.int64], budget: int, generator: np.random.Generator) -> list[list[int]]:
        """Runs of words that do not overlap, until the budget is reached or no word is left."""
        free = np.ones(len(sizes), bool)
        spans: list[list[int]] = []
        used = 0
        while used < budget and free.any():
            first = int(generator.choice(np.flatnonzero(free)))
            span: list[int] = []
            for word in range(first, min(first + min(int(generator.geometric(SPAN_RATE)), MAX_SPAN_WORDS), len(sizes))):
                if not free[word] or (span and used >= budget):
                    break
                span.append(word)
                free[word] = False
                used += int(sizes[word])
            spans.append(span)
        return spans

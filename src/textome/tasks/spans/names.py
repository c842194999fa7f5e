"""What a vocabulary says of a span: whether its text is a name of the type that a model looks for.

A model has seen few of the names that a terminology lists. A span that it is unsure of is likelier an entity where its text
is a known name of the type, and less likely where it is known as a name of another type. How much, is fitted on annotated
texts: log odds that are added to those of the model's confidence, as a logistic regression over both adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import exp, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat

from textome.tasks.confidences import DEFAULT_MIN_CONFIDENCE
from textome.tasks.spans.iob import BEGIN, INSIDE, ScoredSpan, without_overlaps
from textome.text.tokenization import Tokens, end_of_character
from textome.vocabularies import BUNDLED, open_vocabulary

STANDINGS = ("alone", "shared", "other")
# Not of cell lines, whose names are too often those of genes.
_NAMED_TYPES = ("Chemical", "Disease", "Gene", "Species")
# A name of more words is hardly in a vocabulary.
_MAX_WORDS = 8
_SHIFTS = np.round(np.arange(-4, 4.05, 0.1), 1)
# Weight of the penalty b^2 / 2 on a shift b, as that of as many pairs of one right and one wrong span at its middle.
_PENALTY = 1.0


class NameEvidence(BaseModel):
    """The log odds that a span's text adds to the confidence that it is an entity of a type.

    alone    it is a name of this type only
    shared   it is a name of this type and of another one
    other    it is a name of other types only
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    alone: FiniteFloat = 0.0
    shared: FiniteFloat = 0.0
    other: FiniteFloat = 0.0

    def shifted(self, confidence: float, standing: str | None) -> float:
        """A confidence with what the standing of the text says; None, an unknown text, says nothing."""
        shift = getattr(self, standing) if standing else 0.0
        return logistic(logit(confidence) + shift) if shift else confidence


class NamedSpan(NamedTuple):
    """A span that a model decodes, or one with a known name that it holds for possible."""

    span: ScoredSpan
    standing: str | None


def standing_of(name: str, type: str) -> str | None:
    """How the bundled vocabulary knows a text as a name, see NameEvidence; None where it does not."""
    types = _types_of(name)
    if type in types:
        return "alone" if len(types) == 1 else "shared"
    return "other" if types else None


def with_names(
    decoded: Sequence[ScoredSpan],
    marginals: NDArray[np.float32],
    probability: Callable[[int, int, int, float], float],
    text: str,
    tokens: Tokens | None,
    types: Mapping[int, str],
) -> list[NamedSpan]:
    """What was decoded of heads, and other spans of at least DEFAULT_MIN_CONFIDENCE whose text is a name of their type.

    marginals     log probabilities (m, len(types), 3) of the labels of each word
    probability   of an entity from its first to its last word, of one of the types by its number there, by the log
                  probability of its first label
    text          of the sentence, and its tokens; without any, nothing is added
    types         by head, of those that look for a type of the vocabulary; spans of other heads have no standing
    """
    if tokens is None:
        return [NamedSpan(item, None) for item in decoded]
    starts, ends = tokens.word_starts, tokens.word_ends

    def text_of(first: int, last: int) -> str:
        return text[int(starts[first]) : end_of_character(text, int(ends[last]))]

    spans = [
        NamedSpan(item, standing_of(text_of(item.first, item.last), types[item.head]) if item.head in types else None)
        for item in decoded
    ]
    begins = {(item.first, item.head): item for item in decoded}
    heads = list(types)
    min_log_probability = log(DEFAULT_MIN_CONFIDENCE)
    for first, column in zip(
        *(axis.tolist() for axis in np.nonzero(marginals[..., BEGIN] >= min_log_probability)), strict=True
    ):
        head = heads[column]
        own = begins.get((first, head))
        # Spans that begin at one word exclude each other, so the sum of their confidences is at most 1.
        if own and own.confidence > 1 - DEFAULT_MIN_CONFIDENCE:
            continue
        for last in range(first, min(first + _MAX_WORDS, len(marginals))):
            if last > first and marginals[last, column, INSIDE] < min_log_probability:
                break
            confidence = probability(first, last, column, float(marginals[first, column, BEGIN]))
            if confidence >= DEFAULT_MIN_CONFIDENCE and not (own and own.last == last):
                standing = standing_of(text_of(first, last), types[head])
                if standing in ("alone", "shared"):
                    spans.append(NamedSpan(ScoredSpan(first, last, head, confidence), standing))
    return spans


def resolved(spans: Sequence[NamedSpan], evidence: Mapping[int, NameEvidence]) -> list[ScoredSpan]:
    """The spans with their shifted confidences, in the order of the text; of those of one head that share a word, the most
    confident."""
    shifted = [
        item._replace(confidence=evidence[item.head].shifted(item.confidence, standing))
        if item.head in evidence
        else item
        for item, standing in spans
    ]
    return sorted(without_overlaps(shifted, each_head=True), key=lambda item: (item.first, item.head))


def fitted_evidence(spans: Sequence[tuple[float, str | None, bool]]) -> NameEvidence:
    """The shifts with the least log loss against what is right, each drawn towards 0 by a penalty.

    spans   of each its confidence without a shift, its standing, and whether it is right
    """
    shifts = {}
    for standing in STANDINGS:
        odds = np.array([logit(confidence) for confidence, own, _ in spans if own == standing])[:, None] + _SHIFTS
        right = np.array([is_right for _, own, is_right in spans if own == standing], bool)[:, None]
        losses = np.logaddexp(0, np.where(right, -odds, odds)).sum(axis=0) + _PENALTY * _SHIFTS**2 / 2
        shifts[standing] = float(_SHIFTS[int(losses.argmin())])
    return NameEvidence(**shifts)


def logit(confidence: float) -> float:
    """The log odds of a confidence, which is kept from 0 and 1."""
    share = min(max(confidence, 1e-6), 1 - 1e-6)
    return log(share / (1 - share))


def logistic(odds: float) -> float:
    """The confidence of log odds."""
    return 1 / (1 + exp(-odds))


@lru_cache(maxsize=1 << 16)
def _types_of(name: str) -> tuple[str, ...]:
    vocabulary = open_vocabulary(BUNDLED)
    sections = ((type, vocabulary.section(type)) for type in _NAMED_TYPES)
    return tuple(type for type, section in sections if section is not None and section.look_up(name))

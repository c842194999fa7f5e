"""Which of the concepts with similar names a mention means: a log-linear model over the nearest names.

Similarity alone puts the right concept first for less than half of the diseases that no vocabulary has by name. The model
also weighs words (a label that says less than the mention is broader, and more likely right than one that says more),
whether annotated texts name the concept, whether the document names it or one near it in the tree elsewhere, and whether
the document has the words that its label adds. A further candidate, none of these, has the score 0, so that the
probabilities say when to leave a mention without identifier. The weights were learnt by recipes/vocabulary/near_names.py.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from textome.vocabularies.keys import bag_of, words_of

FEATURES = (
    "similarity", "nearest", "distance to the nearest", "trigrams of the label", "words in the label", "words of the label",
    "number of words", "one word", "in the document", "never used", "most used", "added words in the document", "any",
    "broader than another", "narrower than one in the document", "like one in the document", "stems in the label",
    "head in the label",
)  # fmt: skip
WEIGHTS: tuple[float, ...] = (
    2.81, 0.55, -2.36, 1.05, -0.30, 0.78, -1.39, -0.76, 2.05, -1.15, 0.14, 0.63, -2.63, 0.80, 0.65, -0.45, 1.26, -0.36,
)  # fmt: skip

_PREPOSITIONS = frozenset({"of", "in", "with", "due", "to", "from", "by"})
_STEM = 6  # code points


class Context(NamedTuple):
    """What a document says around a name: the CURIEs of the concepts that it names otherwise, and all its words as
    `keys.bag_of` makes them."""

    curies: frozenset[str] = frozenset()
    words: Collection[str] = ()


def features(
    name: str, labels: Sequence[str], similarities: Sequence[float], curies: Sequence[str], uses: Sequence[int],
    parents: Sequence[Collection[str]], context: Context,
) -> list[list[float]]:  # fmt: skip
    """The values of `FEATURES` for each candidate of a name.

    similarities   of the nearest names, in [0, 1]; 1 of candidates that have the name as a related one
    uses           in annotated texts
    parents        the CURIEs of the next broader concepts"""
    own = bag_of(name).split()
    stems, head = {_stem(word) for word in own}, _stem(bag_of(_head(name)))
    all_parents = set().union(*parents)
    named = [set(each) for curie, each in zip(curies, parents, strict=True) if curie in context.curies]
    own_grams = _grams(own)
    highest, most_uses = max(similarities, default=0.0), max(uses, default=0)
    rows = []
    for label, similarity, curie, count, broader in zip(labels, similarities, curies, uses, parents, strict=True):
        words = bag_of(label).split()
        grams = _grams(words)
        shared = len(set(own) & set(words))
        added = set(words).difference(own)
        label_stems = {_stem(word) for word in words}
        rows.append(
            [
                similarity,
                float(similarity == highest),
                highest - similarity,
                2 * len(own_grams & grams) / max(len(own_grams) + len(grams), 1),
                shared / max(len(own), 1),
                shared / max(len(words), 1),
                len(words) / 5,
                float(len(words) == 1),
                float(curie in context.curies),
                float(count == 0),
                float(count == max(most_uses, 1)),
                float(bool(added) and added.issubset(context.words)),
                1.0,
                float(curie in all_parents),
                float(not context.curies.isdisjoint(broader)),
                float(any(not each.isdisjoint(broader) for each in named)),
                len(stems & label_stems) / max(len(stems), 1),
                float(head in label_stems),
            ]
        )
    return rows


def probabilities(rows: Sequence[Sequence[float]], weights: Sequence[float] = WEIGHTS) -> list[float]:
    """The probability of each candidate; together at most 1, since none of them may be right."""
    scores = [math.fsum(map(float.__mul__, weights, row)) for row in rows]
    highest = max([0.0, *scores])
    total = math.exp(-highest) + math.fsum(math.exp(score - highest) for score in scores)
    return [math.exp(score - highest) / total for score in scores]


def _head(name: str) -> str:
    """The word that says what a name names: the last before a preposition."""
    words = words_of(name)
    end = next((index for index, word in enumerate(words) if index and word in _PREPOSITIONS), len(words))
    return words[end - 1] if words else ""


def _stem(word: str) -> str:
    return word[:_STEM]


def _grams(words: Sequence[str]) -> set[str]:
    return {f"#{word}#"[index : index + 3] for word in words for index in range(len(word))}

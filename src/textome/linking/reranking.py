"""Which of the concepts with similar names a mention means: a log-linear model over the nearest names.

Similarity alone puts the right concept first for less than half of the diseases that no vocabulary has by name. The model
also weighs words (a label that says less than the mention is broader, and more likely right than one that says more), how
often annotated texts name the concept, and whether the document names it elsewhere. A further candidate, none of these,
has the score 0, so that the probabilities say when to leave a mention without identifier. The weights were learnt by
recipes/vocabulary/near_names.py.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from textome.vocabularies.keys import bag_of

FEATURES = (
    "similarity", "similarity above 0.8", "nearest", "distance to the nearest", "trigrams of the label",
    "head in the label", "words in the label", "words of the label", "heading of MeSH", "broader by name",
    "in the document", "uses in annotated texts", "never used", "any",
)  # fmt: skip
WEIGHTS: tuple[float, ...] = (
    2.44, 0.65, 0.94, -1.91, 1.17, 0.04, 1.33, 1.21, 0.49, -0.31, 2.59, 0.01, -1.21, -4.30,
)  # fmt: skip


def features(
    name: str, labels: Sequence[str], similarities: Sequence[float], curies: Sequence[str], uses: Sequence[int],
    is_related: Sequence[bool], in_document: Collection[str],
) -> list[list[float]]:  # fmt: skip
    """The values of `FEATURES` for each candidate of a name.

    similarities   of the nearest names, in [0, 1]; of `is_related` candidates, which have the name as a related one, 1
    uses           in annotated texts
    in_document    the CURIEs of the concepts that the document names otherwise
    """
    own = bag_of(name).split()
    head = bag_of(name.split()[-1]) if name.split() else ""
    own_grams = _grams(own)
    highest = max(similarities, default=0.0)
    rows = []
    for label, similarity, curie, count, related in zip(labels, similarities, curies, uses, is_related, strict=True):
        words = bag_of(label).split()
        grams = _grams(words)
        shared = len(set(own) & set(words))
        rows.append(
            [
                similarity,
                float(similarity > 0.8),
                float(similarity == highest),
                highest - similarity,
                2 * len(own_grams & grams) / max(len(own_grams) + len(grams), 1),
                float(head in words),
                shared / max(len(own), 1),
                shared / max(len(words), 1),
                float(curie.startswith("mesh:D")),
                float(related),
                float(curie in in_document),
                math.log1p(count),
                float(count == 0),
                1.0,
            ]
        )
    return rows


def probabilities(rows: Sequence[Sequence[float]], weights: Sequence[float] = WEIGHTS) -> list[float]:
    """The probability of each candidate; together at most 1, since none of them may be right."""
    scores = [math.fsum(map(float.__mul__, weights, row)) for row in rows]
    highest = max([0.0, *scores])
    total = math.exp(-highest) + math.fsum(math.exp(score - highest) for score in scores)
    return [math.exp(score - highest) / total for score in scores]


def _grams(words: Sequence[str]) -> set[str]:
    return {f"#{word}#"[index : index + 3] for word in words for index in range(len(word))}

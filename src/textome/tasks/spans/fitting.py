"""What is fitted to labelled sentences: candidates for a temperature and a threshold of each type; what known names add."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from textome.tasks.confidences import TEMPERATURES, Candidates, best_threshold
from textome.tasks.examples import Floats
from textome.tasks.spans.iob import ScoredSpan
from textome.tasks.spans.labelling import Labelling
from textome.tasks.spans.names import NamedSpan, NameEvidence, fitted_evidence, resolved


class LabelledSentence(NamedTuple):
    """A sentence, the heads of whose types it is `annotated` for, and of whose words a model gave `scores`.

    gold       its entities as (first word, last word, head)
    entities   that were decoded, without any threshold
    """

    annotated: Collection[int]
    gold: set[tuple[int, int, int]]
    entities: Sequence[ScoredSpan]
    scores: Floats


def candidates(
    labelling: Labelling, types: Sequence[str], sentences: Sequence[LabelledSentence]
) -> dict[str, Candidates]:
    """By type, what was decoded in sentences that are annotated for it, at each temperature."""
    confidences: dict[int, list[list[float]]] = {head: [] for head in range(len(types))}
    right: dict[int, list[bool]] = {head: [] for head in confidences}
    gold = dict.fromkeys(confidences, 0)
    for sentence in sentences:
        for _, _, head in sentence.gold:
            gold[head] += 1
        logits = sentence.scores.reshape(len(sentence.scores), -1, len(labelling.outputs))
        for item in sentence.entities:
            if item.head in sentence.annotated:
                # A copy of the head for each temperature.
                rows = labelling.normalise(logits[:, [item.head] * len(TEMPERATURES)], TEMPERATURES, [len(logits)])
                confidences[item.head].append(
                    [
                        labelling.probability(rows, item.first, item.last, copy, None)
                        for copy in range(len(TEMPERATURES))
                    ]
                )
                right[item.head].append((item.first, item.last, item.head) in sentence.gold)
    return {
        types[head]: Candidates(
            np.array(shares, float).reshape(-1, len(TEMPERATURES)), np.array(right[head], bool), gold[head]
        )
        for head, shares in confidences.items()
        if shares or gold[head]
    }


def fitted_names(
    heads: Mapping[int, str],
    sentences: Sequence[tuple[Collection[int], set[tuple[int, int, int]], Sequence[NamedSpan]]],
) -> tuple[dict[str, NameEvidence], dict[str, float]]:
    """By the names of these heads, what known names add, and the threshold that fits it.

    sentences   the heads that each is annotated for, its entities as (first word, last word, head), and its possible spans
    """
    evidence, thresholds = {}, {}
    for head, name in heads.items():
        own_sentences = [(gold, named) for annotated, gold, named in sentences if head in annotated]
        spans = [(gold, item) for gold, named in own_sentences for item in named if item.span.head == head]
        evidence[name] = fitted_evidence([(it.confidence, way, it[:3] in gold) for gold, (it, way) in spans])
        kept = [
            (item.confidence, item[:3] in gold)
            for gold, named in own_sentences
            for item in resolved([it for it in named if it.span.head == head], {head: evidence[name]})
        ]
        thresholds[name] = best_threshold(kept, sum(it[2] == head for gold, _ in own_sentences for it in gold))
    return evidence, thresholds

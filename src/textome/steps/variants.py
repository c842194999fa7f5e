"""Variants of sequences as entities, by their notation, with normalised identifiers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import ClassVar

from textome.documents import Document, Identifier, Span
from textome.steps.step import StepSettings
from textome.text.variants import find_variants

VARIANT = "Variant"
# What corpora call them.
_TYPES = ("variant", "mutation", "snp", "allele")
# All of 930 that are found in BioRED overlap a variant of the corpus (benchmarks/variants.py).
_CONFIDENCE = 0.99


class Variants(StepSettings):
    """Entities of type Variant, such as `rs1800562` (`dbsnp:rs1800562`) and `V600E` (`hgvs:p.Val600Glu`).

    Their metadata `tmvar` has the components that tmVar and PubTator write (`p|SUB|V|600|E`). Where a variant is annotated
    already nothing is added; what a model takes for another entity inside a notation is left out.
    """

    adds_types: ClassVar[tuple[str, ...]] = (VARIANT,)

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            yield _with_variants(document)


def _with_variants(document: Document) -> Document:
    known = sorted(
        span
        for entity in document.entities
        if any(name in entity.type.lower() for name in _TYPES)
        for span in entity.spans
    )
    known_ends = list(accumulate((span.end for span in known), max))
    known_starts = [span.start for span in known]
    new = []
    for passage in document.passages:
        for variant in find_variants(passage.text, document.text):
            span = Span(variant.span.start + passage.offset, variant.span.end + passage.offset)
            before = bisect_left(known_starts, span.end)
            if before and known_ends[before - 1] > span.start:
                continue
            new.append(
                document.entity(
                    [span],
                    VARIANT,
                    confidence=_CONFIDENCE,
                    identifiers=[Identifier(variant.curie, label=variant.hgvs)],
                    metadata={"tmvar": variant.components},
                )
            )
    if not new:
        return document
    starts = [entity.start for entity in new]
    referred = {target for relation in document.relations for _, target in relation.arguments}
    kept = []
    for entity in document.entities:
        number = bisect_right(starts, entity.start) - 1
        inside = number >= 0 and entity.end <= new[number].end
        if entity.confidence is None or entity.id in referred or not inside:
            kept.append(entity)
    return document.with_annotations(kept, document.relations).with_new_entities(new)

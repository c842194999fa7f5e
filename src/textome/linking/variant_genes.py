"""The gene of a variant, where the text says it: "BRAF V600E", "the C282Y mutation in the HFE gene"."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from textome.documents import Document, Entity
from textome.patterns import lazy_pattern

_MAX_GAP = 45
# From the end of the gene to the variant, and from the end of the variant to the gene.
_GENE_FIRST = lazy_pattern(
    r"[\s(:,/-]*(?:(?:genes?|proteins?|mutations?|mutants?|variants?|polymorphisms?|alleles?|SNPs?|rs|[cgp]\.)[\s(:,-]*){0,2}"
)
_VARIANT_FIRST = lazy_pattern(
    r"[\s)\]]*(?:(?:mutations?|mutants?|variants?|polymorphisms?|alleles?|substitutions?|SNPs?)\s+)?"
    r"(?:(?:in|of|within|on|at)\s+(?:the\s+)?(?:(?:human|mouse)\s+)?)?",
    re.IGNORECASE,
)


def with_genes_of_variants(document: Document) -> Document:
    """The document whose variants have the metadata `gene`: the CURIE of the gene that stands beside them, or its name
    where it has none. A gene right before a variant is preferred to one after it; one further away is none."""
    variants = [number for number, entity in enumerate(document.entities) if "tmvar" in entity.metadata]
    genes = [entity for entity in document.entities if _is_gene(entity)] if variants else []
    if not genes:
        return document
    genes.sort(key=lambda entity: entity.start)
    starts = [entity.start for entity in genes]
    entities = list(document.entities)
    for number in variants:
        variant = entities[number]
        gene = _gene_beside(document.text, variant, genes, bisect_left(starts, variant.start))
        if gene and "gene" not in variant.metadata:
            name = gene.curies[0] if gene.curies else gene.text
            entities[number] = replace(variant, metadata={**variant.metadata, "gene": name})
    return document.with_annotations(entities, document.relations)


def _is_gene(entity: Entity) -> bool:
    return entity.type.casefold() in ("gene", "geneorgeneproduct", "protein") and len(entity.spans) == 1


def _gene_beside(text: str, variant: Entity, genes: Sequence[Entity], index: int) -> Entity | None:
    if index and _is_gap(_GENE_FIRST, text, genes[index - 1].end, variant.start):
        return genes[index - 1]
    if index < len(genes) and _is_gap(_VARIANT_FIRST, text, variant.end, genes[index].start):
        return genes[index]
    return None


def _is_gap(pattern: re.Pattern[str], text: str, start: int, end: int) -> bool:
    return 0 <= end - start <= _MAX_GAP and pattern.fullmatch(text, start, end) is not None

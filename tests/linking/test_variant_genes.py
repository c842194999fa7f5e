"""A variant is tied to the gene that stands beside it, and to none further away."""

from __future__ import annotations

import pytest

from textome.documents import Document, Identifier
from textome.linking.variant_genes import with_genes_of_variants


def document(text, variant, genes):
    plain = Document.from_text(text, "d")
    start = text.index(variant)
    entities = [plain.entity([(start, start + len(variant))], "Variant", metadata={"tmvar": "p|SUB|V|600|E"})]
    for gene, curie in genes:
        start = text.index(gene)
        identifiers = [Identifier(curie)] if curie else []
        entities.append(plain.entity([(start, start + len(gene))], "Gene", identifiers=identifiers))
    return plain.with_annotations(sorted(entities, key=lambda entity: entity.start))


@pytest.mark.parametrize(
    ("text", "variant", "gene"),
    [
        ("Tumours with BLU1 V600E grew.", "V600E", "g:1"),
        ("Tumours with BLU1-V600E grew.", "V600E", "g:1"),
        ("Of the BLU1 gene (c.35delG) one was seen.", "c.35delG", "g:1"),
        ("The V600E mutation in the BLU1 gene, not in RED2.", "V600E", "g:1"),
        ("We saw V600E of human BLU1.", "V600E", "g:1"),
        ("BLU1 was lost. Later on, V600E was seen in mice and men.", "V600E", None),
        ("BLU1 and the variant of other genes, V600E.", "V600E", None),
    ],
)
def test_the_gene_beside_a_variant(text, variant, gene):
    genes = [("BLU1", "g:1")] + ([("RED2", "g:2")] if "RED2" in text else [])
    tied = with_genes_of_variants(document(text, variant, genes))
    (entity,) = [item for item in tied.entities if item.type == "Variant"]
    assert entity.metadata.get("gene") == gene


def test_a_gene_without_identifier_is_named_and_what_the_input_says_stays():
    plain = document("BLU1 V600E", "V600E", [("BLU1", None)])
    tied = with_genes_of_variants(plain)
    assert tied.entities[1].metadata["gene"] == "BLU1"
    assert with_genes_of_variants(tied) == tied


def test_a_document_without_variants_or_genes_stays_as_it_is():
    for genes in ([], [("BLU1", "g:1")]):
        plain = document("BLU1 V600E", "V600E", genes)
        kept = plain.with_annotations([item for item in plain.entities if item.type == "Gene" or not genes])
        assert with_genes_of_variants(kept) is kept

"""Raw identifier fields of corpora, and the CURIEs that they stand for."""

from __future__ import annotations

import pytest

from textome.formats.reading.identifiers import from_curies, to_curie, to_curies


@pytest.mark.parametrize(
    ("raw", "kind", "curies"),
    [
        ("C0018099", "T047", ("umls:C0018099",)),
        ("UMLS:C0018099", "T047", ("umls:C0018099",)),
        ("D006073", "Disease", ("mesh:D006073",)),
        ("C537734|D006073", "Disease", ("mesh:C537734", "mesh:D006073")),
        ("C000657245", "Disease", ("mesh:C000657245",)),
        ("D00607312", "Disease", ("D00607312",)),
        ("p|Allele|V|600", "ProteinAllele", ("p|Allele|V|600",)),
        ("c|DEL|5,000|", "CopyNumberVariant", ("c|DEL|5,000|",)),
        ("|SUB|C||G", "Own", ("|SUB|C||G",)),
        ("tmVar:c|SUB|G|35|A;HGVS:c.35G>A;RS#:12", "Own", ("tmVar:c|SUB|G|35|A;HGVS:c.35G>A;RS#:12",)),
        ("672|675", "Gene", ("ncbigene:672", "ncbigene:675")),
    ],
)
def test_the_vocabulary_is_told_and_no_variant_is_cut(raw: str, kind: str, curies: tuple[str, ...]) -> None:
    assert to_curies(raw, kind) == curies
    assert to_curies(from_curies(curies), kind) == curies


def test_a_reference_has_the_prefix_as_bioregistry_writes_it() -> None:
    references = ("MESH:D006073", "mesh:D006073", "UMLS:C0018099", "GO:0008150", "plain")
    assert [to_curie(reference) for reference in references] == [
        *("mesh:D006073", "mesh:D006073", "umls:C0018099", "GO:0008150", "plain")
    ]

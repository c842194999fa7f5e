"""Which notations are variants, and what they are after HGVS and tmVar."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.text.variants import find_variants


@pytest.mark.parametrize(
    ("text", "mention", "curie", "components"),
    [
        ("The SNP rs123456 was rare.", "rs123456", "dbsnp:rs123456", "rs123456"),
        ("Seen in rs 123456.", "rs 123456", "dbsnp:rs123456", "rs123456"),
        ("The mutation V600E here.", "V600E", "hgvs:p.Val600Glu", "p|SUB|V|600|E"),
        ("The mutant KRAS-G12D here.", "G12D", "hgvs:p.Gly12Asp", "p|SUB|G|12|D"),
        ("The mutant G93A here.", "G93A", "hgvs:p.Gly93Ala", "p|SUB|G|93|A"),
        ("A nonsense mutation Q673X.", "Q673X", "hgvs:p.Gln673Ter", "p|SUB|Q|673|X"),
        ("It is p.V600E (hot).", "p.V600E", "hgvs:p.Val600Glu", "p|SUB|V|600|E"),
        ("It is (p.Val600Glu) here.", "p.Val600Glu", "hgvs:p.Val600Glu", "p|SUB|V|600|E"),
        ("It is p.(Val600Glu) here.", "p.(Val600Glu)", "hgvs:p.Val600Glu", "p|SUB|V|600|E"),
        ("It is p.Tyr65*, bad.", "p.Tyr65*", "hgvs:p.Tyr65Ter", "p|SUB|Y|65|X"),
        ("It is Val600Glu.", "Val600Glu", "hgvs:p.Val600Glu", "p|SUB|V|600|E"),
        ("It is Val 600 to Glu.", "Val 600 to Glu", "hgvs:p.Val600Glu", "p|SUB|V|600|E"),
        ("It is Arg59Ter.", "Arg59Ter", "hgvs:p.Arg59Ter", "p|SUB|R|59|X"),
        ("The frameshift p.Gly59AlafsX8.", "p.Gly59AlafsX8", "hgvs:p.Gly59AlafsTer8", "p|FS|G|59|A|8"),
        ("The frameshift Y59fs.", "Y59fs", "hgvs:p.Tyr59fs", "p|FS|Y|59||"),
        ("The deletion F508del.", "F508del", "hgvs:p.Phe508del", "p|DEL|508|F"),
        ("The deletion ΔF508.", "ΔF508", "hgvs:p.Phe508del", "p|DEL|508|F"),
        ("It is c.677C>T here.", "c.677C>T", "hgvs:c.677C>T", "c|SUB|C|677|T"),
        ("It is 677 C --> T here.", "677 C --> T", "hgvs:c.677C>T", "c|SUB|C|677|T"),
        ("The polymorphism C677T.", "C677T", "hgvs:c.677C>T", "c|SUB|C|677|T"),
        ("It is g.3318-15C>T here.", "g.3318-15C>T", "hgvs:g.3318-15C>T", "g|SUB|C|3318-15|T"),
        ("It is -1082(G/A) here.", "-1082(G/A)", "hgvs:c.-1082G>A", "c|SUB|G|-1082|A"),
        ("It is C-344T here.", "C-344T", "hgvs:c.-344C>T", "c|SUB|C|-344|T"),
        ("It is IVS3 + 18C > T here.", "IVS3 + 18C > T", "hgvs:c.IVS3+18C>T", "c|SUB|C|IVS3+18|T"),
        ("It is c.35delG here.", "c.35delG", "hgvs:c.35delG", "c|DEL|35|G"),
        ("It is c.715_717delGTC here.", "c.715_717delGTC", "hgvs:c.715_717delGTC", "c|DEL|715_717|GTC"),
        ("It is 5382insC here.", "5382insC", "hgvs:c.5382insC", "c|INS|5382|C"),
        ("It is c.10dupA here.", "c.10dupA", "hgvs:c.10dupA", "c|DUP|10|A|"),
    ],
)
def test_notations(text, mention, curie, components):
    assert [(text[slice(*item.span)], item.curie, item.components) for item in find_variants(text)] == [
        (mention, curie, components)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "T47D cells and MCF7 cells grew.",
        "A mutation in T47D cells and in S100P.",
        "C57BL/6 mice with a mutation, HEK293T, U87MG and H1299.",
        "The mutant strains H5N1, E2F and A549.",
        "Mutations of Cys2-His2 fingers.",
        "A genotype of 251A/A.",
        "R01 and 5 mg/kg of a variant, 10:30.",
        "The variant was rsomething123.",
        "V600E",
    ],
)
def test_what_is_no_variant(text):
    assert find_variants(text) == []


def test_words_of_mutations_may_stand_elsewhere_in_the_document():
    assert len(find_variants("V600E", "Mutations of BRAF\nV600E")) == 1


_PIECES = st.sampled_from(
    ["V600E", "p.", "rs", "12", "del", "C>T", "-", " ", "(", "IVS3", "fs", "Val", "mutant ", "İ", "🧬", "\n"]
)


@settings(deadline=None, max_examples=200)
@given(st.lists(_PIECES | st.characters(), max_size=30).map("".join))
def test_offsets_lie_in_any_text_in_order(text):
    end = 0
    for item in find_variants(text):
        assert end <= item.span.start < item.span.end <= len(text)
        end = item.span.end


@pytest.mark.parametrize(
    "unit", ["rs1 ", "V600E ", "1", "1 ", "p.", "C>T ", "1-1", "mutant A10C ", "IVS1", "12del ", "-1 "]
)
def test_half_a_megabyte_is_not_slow(unit):
    text = unit * (500_000 // len(unit))
    started = time.process_time()
    find_variants(text)
    assert time.process_time() - started < 20

"""Which definitions of abbreviations are found, where they stand, and that no text is slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.text.abbreviations import find_abbreviations


def pairs(text: str) -> list[tuple[str, str]]:
    return [(text[slice(*item.short)], text[slice(*item.long)]) for item in find_abbreviations(text)]


@pytest.mark.parametrize(
    ("text", "short", "long"),
    [
        ("We saw chronic kidney disease (CKD) in rats.", "CKD", "chronic kidney disease"),
        ("CKD (chronic kidney disease) is common.", "CKD", "chronic kidney disease"),
        ("Mice with GVHD [graft-versus-host disease] died.", "GVHD", "graft-versus-host disease"),
        ("It kills (acute myeloid leukaemia, AML) often.", "AML", "acute myeloid leukaemia"),
        ("It kills (AML, acute myeloid leukaemia) often.", "AML", "acute myeloid leukaemia"),
        ("The peripheral blood mononuclear cells (PBMCs) grew.", "PBMCs", "peripheral blood mononuclear cells"),
        ("Levels of arachidonic acid (AA) rose.", "AA", "arachidonic acid"),
        ("A gas exchange during general anaesthesia (GA).", "GA", "general anaesthesia"),
        ("Growth of Escherichia coli (E. coli) stopped.", "E. coli", "Escherichia coli"),
        ("Given interferon gamma (IFN-γ; 10 ng) daily.", "IFN-γ", "interferon gamma"),
        ("Given interferon-γ (IFNg) daily.", "IFNg", "interferon-γ"),
        ("Inhaled nitrous oxide (N2O) helps.", "N2O", "nitrous oxide"),
        ("The forced expiratory volume in 1 second (FEV(1)) fell.", "FEV(1)", "forced expiratory volume in 1 second"),
        ("All had non-small cell disease (SCD) here.", "SCD", "small cell disease"),
        ("Drugs (cefalexin (CFX), others) help.", "CFX", "cefalexin"),
        ("Both FGF/hepatocyte growth factor (HGF) rose.", "HGF", "hepatocyte growth factor"),
        ("The adrenal hormone epinephrine (E) rose.", "E", "epinephrine"),
        ("The drug tetrodotoxin(TTX) kills.", "TTX", "tetrodotoxin"),
        ("Rubbed in FADA cream (fast acting dental anaesthetic) twice.", "FADA", "fast acting dental anaesthetic"),
        ("With magnetic resonance imaging (abbreviated MRI) we saw it.", "MRI", "magnetic resonance imaging"),
        ("Old words end. Renal failure (RF) began.", "RF", "Renal failure"),
        # What begins the short form may end the long form.
        ("At a low ambient pressure (P(a)) it boils.", "P(a)", "ambient pressure"),
        ("The 30-item Lisbon Memory Scale (LMS-30) was used.", "LMS-30", "30-item Lisbon Memory Scale"),
        ("The turkey adenovirus (AVT) spread.", "AVT", "turkey adenovirus"),
        ("A three-dimensional (3D) picture.", "3D", "three-dimensional"),
        ("The oestrogen receptor (ER) was there.", "ER", "oestrogen receptor"),
        ("The junctional adhesion molecule (JAMs) family.", "JAMs", "junctional adhesion molecule"),
        ("Ten kilobases (kb) long.", "kb", "kilobases"),
        ("A non-ionised blue current (IB(N)) flowed.", "IB(N)", "non-ionised blue current"),
        ("Labelled with Technetium-99m-blue acid (99mTc-BA) here.", "99mTc-BA", "Technetium-99m-blue acid"),
        ("Rise of granite factor beta (the GFB gene) and others.", "GFB", "granite factor beta"),
        ("Plants without GRANITE (GRA) died.", "GRA", "GRANITE"),
        ("In dystrophic granite (GD) it rose.", "GD", "dystrophic granite"),
        ("The ataxia granite (A-G) patients.", "A-G", "ataxia granite"),
        # Some symbols share no letters with their names.
        ("Less serum potassium (K) there.", "K", "potassium"),
        ("The release of serotonin (5-HT; 3 nM) rose.", "5-HT", "serotonin"),
        ("Made by Penguin Aircraft Corp. (PAC) in May.", "PAC", "Penguin Aircraft Corp."),
    ],
)
def test_definitions(text, short, long):
    assert pairs(text) == [(short, long)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "()",
        "(CKD)",
        "Two ways: adding salt (a) and boiling (b), or as before (B).",
        "It rose after (i) intake of iron, (ii) infusion.",
        "The percentage (5 mg) and the patients (10 %) per group (P < 0.05) in (2001).",
        "Six mice (see Table 2) and more men (Fig. 3) were measured (n = 5).",
        "Some of the tested extracts (tea) were eaten; many animals (mice) died.",
        "The tumour suppressor (p53) was lost.",
        "Anna Novak (AN was here) said so.",
        "Of granite blue (5-HT) and calcium (K) much.",
        "After pre-granite stones (SP) it rose.",
        "One BD sequence (BD(+)) and one without.",
        "Known was BeGra1, a green rack (BeGra2).",
        "We gave zinc plus ultraviolet A (PUVA) then.",
        "Hidden in brackets that never close (ABC",
        "Some poly(A) tails and N(6) atoms.",
        "This group was third (CKD). Chronic kidney disease was fourth.",
    ],
)
def test_what_is_no_definition(text):
    assert pairs(text) == []


def test_a_bracket_may_hold_several_short_forms_of_one_long_form():
    found = pairs("Tumour necrosis factor (TNF; TNFa, p < 0.05) and partial least squares (PLS-1 and PLS-2) fell.")
    assert ("TNF", "Tumour necrosis factor") in found
    assert [short for short, long in found if long == "partial least squares"] == ["PLS-1", "PLS-2"]
    assert all("<" not in short for short, _ in found)


def test_words_that_short_forms_of_genes_leave_out_may_be_skipped():
    assert pairs("The Ras homolog gene family, member A (RhoA) fell.") == [
        ("RhoA", "Ras homolog gene family, member A")
    ]


def test_in_a_list_no_letter_need_agree():
    text = "They took magnesium oxide (MGO), phenytoin (DPH), and the pill of the day (QD)."
    assert pairs(text) == [("MGO", "magnesium oxide"), ("DPH", "phenytoin"), ("QD", "pill of the day")]
    assert pairs("They took magnesium oxide (MGO), and eleven were phenytoin (DPH).") == [("MGO", "magnesium oxide")]


def test_several_in_one_text_keep_their_places():
    text = "🧬 tumour necrosis factor (TNF), interleukin 6 (IL-6) and C-reactive protein (CRP).\nTNF rose."
    assert pairs(text) == [
        ("TNF", "tumour necrosis factor"),
        ("IL-6", "interleukin 6"),
        ("CRP", "C-reactive protein"),
    ]


_PIECES = st.sampled_from(
    [
        "\n",
        "(",
        ")",
        "[",
        "]",
        " ",
        ", ",
        "; ",
        ". ",
        "-",
        "/",
        "CKD",
        "chronic ",
        "kidney ",
        "disease ",
        "İ",
        "ß",
        "2",
        "🧬",
        "\n",
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(_PIECES | st.characters(), max_size=40).map("".join))
def test_offsets_lie_in_any_text(text):
    for item in find_abbreviations(text):
        assert 0 <= item.short.start < item.short.end <= len(text)
        assert 0 <= item.long.start < item.long.end <= len(text)
        assert item.long.end <= item.short.start or item.short.end <= item.long.start
        assert len(text[slice(*item.long)]) > len(text[slice(*item.short)])


@pytest.mark.parametrize(
    "unit",
    ["(", "(a", "a (b) ", "aaaa (aaaa) ", "chronic kidney disease (CKD) ", "x(", "(ABC, ", "a" * 300 + " (AAA) "],
)
def test_a_hundred_kilobytes_are_not_slow(unit):
    text = unit * (100_000 // len(unit))
    started = time.process_time()
    find_abbreviations(text)
    assert time.process_time() - started < 20

"""Names of genes in the forms that terminologies have them in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.linking.gene_names import series_of, spellings


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("alpha-blue", "blue alpha"),
        ("blue receptor type II", "blue receptor 2"),
        ("type 2 blue receptor", "blue receptor ii"),
        ("receptor for blue factor", "blue factor receptor"),
        ("blue proteins", "blue"),
        ("blue (BL) factor", "blue factor"),
        ("BLU1a", "BLU1 alpha"),
        ("type 1 blue green receptor", "blue green receptor type 1"),
        ("BLU4A", "BLU4"),
        ("BLU3KO", "BLU3"),
        ("BLU2b", "BLU2"),
        ("BLU-1 beta", "BLU-1"),
        ("BL2U1a", "BL2U1"),
        ("BLU-2KD", "BLU-2"),
        ("BL5 receptor", "BL5R"),
        ("BLU5 receptor alpha", "BLU5R alpha"),
    ],
)
def test_a_name_has_the_form_of_the_terminology(name, form):
    assert form in list(spellings(name))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("BLU1/2", ["BLU1", "BLU2"]),
        ("Blu-2/3/5", ["Blu-2", "Blu-3", "Blu-5"]),
        ("BLU1 and 2", ["BLU1", "BLU2"]),
        ("BLU-2, and -9", ["BLU-2", "BLU-9"]),
        ("BLU17/13", ["BLU17", "BLU13"]),
        ("BLU100A8/A9", ["BLU100A8", "BLU100A9"]),
        ("BLU1A9 and 1A1", ["BLU1A9", "BLU1A1"]),
        ("Bl-T1 and -T2", ["Bl-T1", "Bl-T2"]),
        ("BLUalpha/betaII", ["BLUalpha", "BLUbetaII"]),
        ("BLU-I/II", ["BLU-I", "BLU-II"]),
        ("BLU1", []),
        ("BLU1/GR2", []),
    ],
)
def test_a_series_is_several_names(name, names):
    assert series_of(name) == names


@given(st.text(max_size=40))
def test_forms_are_few_and_differ_from_the_name(name):
    forms = list(spellings(name))
    assert len(forms) <= 25
    assert name not in forms

"""Names of diseases in the forms that terminologies have them in."""

from __future__ import annotations

import pytest

from textome.linking.disease_names import other_heads


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("gallbladder dysfunction", "gallbladder disease"),
        ("hepatic injury", "liver disease"),
        ("liver metastases", "liver cancer"),
        ("bluase-deficient", "bluase deficiency"),
        ("bladder inflammation", "cystitis"),
        ("chronic liver inflammation", "hepatitis"),
        ("inflammation of the kidney", "nephritis"),
        ("renal fibrosis", "kidney fibrosis"),
        ("thrombocytopenic", "thrombocytopenia"),
    ],
)
def test_a_name_has_the_form_of_the_terminology(name, form):
    assert form in list(other_heads(name))

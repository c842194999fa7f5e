"""What is dropped as no prose, and which languages are told apart."""

from __future__ import annotations

import pytest

from corpus_texts import text
from textome.corpus.filters import LanguageFilter, QualityLimits, fault_of, repeated_share

PROSE = [sentence + "." for sentence in text(1, 8).split(".") if sentence]


@pytest.mark.parametrize(
    ("sentences", "fault"),
    [
        (PROSE, None),
        (
            ["α-Synuclein and 5-hydroxy-6-methoxyindole-2-carboxylic acid bind to N-acetyl-d-glucosamine."] * 1 + PROSE,
            None,
        ),
        (["Too short."], "too short"),
        ([], "too short"),
        (["a b c d e f g"] * 8, "word length"),
        (["deoxyribonucleoside triphosphohydrolase-like"] * 12, "word length"),
        ([f"| {number} ± {number} | --- // == |" for number in range(100, 140)], "symbols"),
        ([f"{number} {number + 1}.5 mg" for number in range(100, 140)], "few words"),
        ([*PROSE[:2], *["Click here to see the full text of this article."] * 9], "repetition"),
    ],
)
def test_faults(sentences: list[str], fault: str | None) -> None:
    assert fault_of(sentences) == fault


def test_limits_can_be_moved() -> None:
    assert fault_of(["Four short words here."], QualityLimits(min_words=4)) is None
    assert fault_of(PROSE, QualityLimits(min_words=10_000)) == "too short"


def test_repeated_share() -> None:
    assert repeated_share([]) == 0
    assert repeated_share(["ab", "cd"]) == 0
    assert repeated_share(["ab", "cdef", "ab"]) == 0.25


LANGUAGES = {
    "en": "We measured blood pressure in forty patients before and after the treatment, and found no difference.",
    "de": "Wir haben den Blutdruck bei vierzig Patienten vor und nach der Behandlung gemessen, ohne einen Unterschied.",
    "pt": "Medimos a pressão arterial em quarenta pacientes antes e depois do tratamento e não encontramos diferença.",
    "fr": "Nous avons mesuré la pression artérielle de quarante patients avant et après le traitement, sans différence.",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_are_told_apart(language: str) -> None:
    assert LanguageFilter([language]).keeps(LANGUAGES[language])
    assert not LanguageFilter([other for other in LANGUAGES if other != language]).keeps(LANGUAGES[language])

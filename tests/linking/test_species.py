"""The species of genes."""

from __future__ import annotations

import math

from textome.documents import Document
from textome.linking.species import FEATURES, HUMAN, MOUSE, WEIGHTS, GeneSpecies, by_words


def test_words_say_of_which_species_a_text_speaks():
    clinic = by_words("We enrolled volunteers; polymorphisms were associated with risk in this cohort of carriers.")
    bench = by_words(
        "Knockout mice lacking the allele were viable; murine embryos of null mutants died. Mice were wild-type."
    )
    assert clinic[HUMAN] > clinic[MOUSE]
    assert bench[MOUSE] > bench[HUMAN]
    assert math.isclose(sum(map(math.exp, clinic.values())), 1)


def test_each_feature_has_a_weight():
    species = GeneSpecies(Document.from_text("BLU1 in mice", "d"), {"BLU1": [HUMAN]})
    assert len(species.features("BLU1", [(0, 4)], HUMAN)) == len(FEATURES) == len(WEIGHTS)


def test_the_species_in_the_sentence_counts():
    species = GeneSpecies(Document.from_text("In mice Blu1 was found.", "d"))
    probabilities = species.probabilities("Blu1", [(8, 12)], [HUMAN, MOUSE])
    assert probabilities[MOUSE] > 0.5 > probabilities[HUMAN]

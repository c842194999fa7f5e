"""The concepts with similar names, by how probable it is that a mention means them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.linking.reranking import FEATURES, WEIGHTS, Context, features, probabilities

NAME = "severe blue lung fever"


def rows(labels, similarities, uses=None, in_document=(), words=(), parents=None):
    curies = [f"mesh:D{number}" for number in range(len(labels))]
    context = Context(frozenset(in_document), words)
    nothing = [0] * len(labels)
    return features(NAME, labels, similarities, curies, uses or nothing, parents or [()] * len(labels), context)


def test_each_feature_has_a_weight():
    assert len(WEIGHTS) == len(FEATURES) == len(rows(["a"], [0.5])[0])


def test_features_say_what_their_names_say():
    (row,) = rows(["Blue Fever"], [0.9], [1], {"mesh:D0"})
    values = dict(zip(FEATURES, row, strict=True))
    assert values["similarity"] == 0.9
    assert values["words in the label"] == 0.5
    assert values["words of the label"] == 1.0
    assert values["number of words"] == 0.4
    assert values["in the document"] == values["most used"] == 1.0
    assert values["never used"] == values["one word"] == 0.0


def test_the_words_that_a_label_adds_are_looked_for_in_the_document():
    each = rows(["Blue Green Fever", "Blue Red Fever", "Fever"], [0.9, 0.9, 0.9], [4, 1, 0], words={"green", "fever"})
    values = [dict(zip(FEATURES, row, strict=True)) for row in each]
    assert [item["added words in the document"] for item in values] == [1.0, 0.0, 0.0]
    assert [item["one word"] for item in values] == [0.0, 0.0, 1.0]
    assert [item["most used"] for item in values] == [1.0, 0.0, 0.0]


def test_the_tree_says_which_candidate_is_broader_and_which_is_near_what_the_document_names():
    parents = [["mesh:D9"], ["mesh:D0", "mesh:D8"], ["mesh:D9"]]
    each = rows(
        ["Fever", "Blue Fever", "Lung Rash"], [0.9, 0.9, 0.9], in_document={"mesh:D8", "mesh:D2"}, parents=parents
    )
    values = [dict(zip(FEATURES, row, strict=True)) for row in each]
    assert [item["broader than another"] for item in values] == [1.0, 0.0, 0.0]
    assert [item["narrower than one in the document"] for item in values] == [0.0, 1.0, 0.0]
    assert [item["like one in the document"] for item in values] == [1.0, 0.0, 1.0]
    assert [item["head in the label"] for item in values] == [1.0, 1.0, 0.0]
    assert [item["stems in the label"] for item in values] == [0.25, 0.5, 0.25]


def test_of_equal_names_the_one_that_texts_use_is_likelier():
    often, never = probabilities(rows(["Blue Fever", "Blue Fever"], [0.8, 0.8], [50, 0]))
    assert often > never


def test_the_more_similar_name_is_likelier():
    high, low = probabilities(rows(["Blue Lung Fever", "Blue Rash"], [0.95, 0.62]))
    assert high > low


@given(st.lists(st.tuples(st.text(max_size=20), st.floats(0, 1)), max_size=6))
def test_probabilities_leave_room_for_none_of_them(candidates):
    labels, similarities = [label for label, _ in candidates], [similarity for _, similarity in candidates]
    values = probabilities(rows(labels, similarities))
    assert all(0 <= value <= 1 for value in values)
    assert sum(values) <= 1 + 1e-12


def test_probabilities_are_those_of_a_softmax_with_a_candidate_of_score_zero():
    weights = [0.0] * len(FEATURES)
    weights[0] = 2.0
    (value,) = probabilities(rows(["a"], [0.5]), weights)
    assert value == pytest.approx(math.e / (1 + math.e))

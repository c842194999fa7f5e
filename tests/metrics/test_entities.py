from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2, Tokens

from textome.errors import InputError
from textome.metrics.entities import PRF, score_entities, spans_from_iob2

TAGS = [
    "O",
    "B-Disease",
    "I-Disease",
    "B-Gene",
    "I-Gene",
    "B-Cell-Line",
    "I-Cell-Line",
    "B",
    "I",
    "B-",
    "I--Gene",
    "O-x",
]


@st.composite
def tagged_corpora(draw):
    """Sentences with gold and predicted tags that are often illegal and often agree."""
    gold, predicted = [], []
    for _ in range(draw(st.integers(1, 6))):
        tags = draw(st.lists(st.sampled_from(TAGS), min_size=1, max_size=8))
        gold.append(tags)
        predicted.append([draw(st.sampled_from([tag, tag, draw(st.sampled_from(TAGS))])) for tag in tags])
    return gold, predicted


@given(st.lists(st.sampled_from(TAGS), max_size=12))
@example(["I-Gene"])
@example(["B-Gene", "I-Disease", "I-Gene"])
@example(["B-Gene", "B-Gene", "I-Gene", "I-Gene"])
@settings(deadline=None, max_examples=300)
def test_spans_are_those_of_seqeval(tags):
    expected = {(entity.start, entity.end, entity.tag) for entity in Tokens(tags, IOB2).entities}
    assert spans_from_iob2(tags) == expected


@pytest.mark.parametrize(("tags", "spans"), [
    ([], set()),
    (["B-Gene", "I-Gene", "O", "B-Gene"], {(0, 2, "Gene"), (3, 4, "Gene")}),
    (["O", "I-Gene", "I-Gene"], set()),
    (["B-Gene", "I-Disease"], {(0, 1, "Gene")}),
    (["B", "I"], {(0, 2, "_")}),
])  # fmt: skip
def test_spans_by_hand(tags, spans):
    assert spans_from_iob2(tags) == spans


@pytest.mark.parametrize("tag", ["E-Gene", "", "gene", "b-Gene"])
def test_a_tag_of_another_scheme_is_named(tag):
    with pytest.raises(InputError, match=f"tag 2: {tag!r} is not an IOB2 tag"):
        spans_from_iob2(["O", tag])


@given(tagged_corpora(), st.sampled_from([0, 1]))
@example(([["O"]], [["O"]]), 0)
@example(([["O"]], [["O"]]), 1)
@example(([["O"]], [["B-Gene"]]), 1)
@example(([["B-Gene"]], [["O"]]), 1)
@settings(deadline=None, max_examples=300)
def test_scores_equal_seqeval_to_the_last_digit(corpus, zero_division):
    gold, predicted = corpus
    scores = score_entities(
        [spans_from_iob2(tags) for tags in gold],
        [spans_from_iob2(tags) for tags in predicted],
        zero_division=zero_division,
    )
    assert _figures(scores.types.values()) == _seqeval(gold, predicted, None, zero_division)
    assert _figures([scores.micro]) == _seqeval(gold, predicted, "micro", zero_division)
    assert _figures([scores.weighted]) == _seqeval(gold, predicted, "weighted", zero_division)
    if scores.types:
        assert _figures([scores.macro]) == _seqeval(gold, predicted, "macro", zero_division)


def test_many_types_are_averaged_in_the_order_of_seqeval():
    """NumPy adds long columns pairwise, so only a long one shows a sum in another order."""
    generator = np.random.default_rng(7)
    tags = [f"{letter}-T{number}" for letter in "BI" for number in range(300)] + ["O"]
    gold = [generator.choice(tags, 40).tolist() for _ in range(400)]
    predicted = [np.where(generator.random(40) < 0.6, row, generator.choice(tags, 40)).tolist() for row in gold]
    scores = score_entities([spans_from_iob2(row) for row in gold], [spans_from_iob2(row) for row in predicted])
    assert _figures([scores.macro]) == _seqeval(gold, predicted, "macro", 0)
    assert _figures([scores.weighted]) == _seqeval(gold, predicted, "weighted", 0)


@pytest.mark.parametrize("zero_division", [0.0, 1.0])
def test_nothing_to_find_and_nothing_found(zero_division):
    scores = score_entities([set(), set()], [set(), set()], zero_division=zero_division)
    assert scores.types == {}
    for score in (scores.micro, scores.macro, scores.weighted):
        assert (score.precision, score.recall, score.f1) == (zero_division,) * 3
    assert score_entities([], [], zero_division=zero_division).micro.f1 == zero_division


def test_counts_by_hand():
    gold = [{(0, 2, "Gene"), (5, 6, "Disease")}, {(1, 3, "Gene")}]
    predicted = [[(0, 2, "Gene"), (0, 2, "Gene"), (5, 6, "Gene")], [(1, 2, "Gene")]]
    scores = score_entities(gold, predicted)
    assert scores.types == {"Disease": PRF(0, 0, 1), "Gene": PRF(1, 2, 1)}
    assert scores.micro == PRF(1, 2, 2)
    assert math.isclose(scores.micro.f1, 1 / 3)
    assert math.isclose(scores.macro.f1, 0.2)
    assert math.isclose(scores.weighted.f1, 0.4 * 2 / 3)


def test_the_same_span_in_another_unit_does_not_count():
    assert score_entities([{(0, 1, "Gene")}, set()], [set(), {(0, 1, "Gene")}]).micro == PRF(0, 1, 1)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 units of gold entities, but 1 of predicted ones"):
        score_entities([set(), set()], [set()])


def _figures(scores):
    return [(score.precision, score.recall, score.f1) for score in scores]


def _seqeval(gold, predicted, average, zero_division):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = precision_recall_fscore_support(
            gold, predicted, average=average, scheme=IOB2, zero_division=zero_division
        )[:3]
    if average is None:
        return list(zip(*(column.tolist() for column in columns), strict=True))
    return [tuple(columns)]

"""Texts to units and scores back to labels, without a model: the scores are made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bound_task import BoundTask
from textome.datasets.labelled import LabelledSentences, LabelledText
from textome.errors import InputError
from textome.tasks.classification import Classification
from textome.tasks.examples import sentence_examples, softmax
from textome.tasks.sentence_classification import SentenceClassification
from textome.text.tokenization import Tokenizer
from tiny import make_base

WORDS = ["aspirin", "gout", "took", "daily", "malaria", "insulin"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(make_base(tmp_path_factory.mktemp("base") / "base"))


def bound(tokenizer: Tokenizer, window: int, overlap: int, **fields: Any) -> BoundTask:
    return BoundTask(Classification(**({"labels": ("no", "yes")} | fields)), tokenizer, window, overlap)


def text(words: int) -> str:
    return " ".join(WORDS[number % len(WORDS)] for number in range(words))


def test_a_long_text_is_read_whole_in_windows(tokenizer):
    task = bound(tokenizer, 16, 4)
    units = task.examples([LabelledText("1", text(50)), LabelledText("2", text(5))])
    assert {len(unit.input_ids) <= 16 for unit in units} == {True}
    assert sum(unit.weight for unit in units if unit.record == 0) == 50
    assert [unit.record for unit in units].count(1) == 1
    # Probabilities are the mean over windows, weighted by the tokens that each answers for.
    scores = [np.array([[0.0, float(number)]], np.float32) for number in range(len(units))]
    first = task.probabilities(2, units, scores)[0]
    shares = [softmax(row[0].astype(float)) for unit, row in zip(units, scores, strict=True) if unit.record == 0]
    weights = [unit.weight for unit in units if unit.record == 0]
    assert first == pytest.approx(np.average(shares, axis=0, weights=weights))


def test_several_labels_hold_if_any_window_shows_them(tokenizer):
    task = bound(tokenizer, 16, 4, labels=("a", "b"), multi_label=True)
    item = LabelledText("1", text(30), None, ("b",))
    units = task.examples([item])
    scores = [np.full((1, 2), -4, np.float32) for _ in units]
    scores[-1][0, 1] = 4
    (found,) = task.decode([item], units, scores)
    assert found.labels == ("b",)
    assert found.scores["a"] < 0.02
    assert task.targets(units[0], item).tolist() == [[0.0, 1.0]]
    assert task.targets(units[0], LabelledText("2", "x")).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(("first", "second"), [(4, 60), (60, 4)])
def test_of_a_pair_the_longer_text_is_cut_and_the_shorter_stands_beside_every_window(tokenizer, first, second):
    task = bound(tokenizer, 20, 4)
    units = task.examples([LabelledText("1", text(first), text(second))])
    assert len(units) > 3
    assert sum(unit.weight for unit in units) == 60
    for unit in units:
        lengths = [int((unit.token_type_ids == number).sum()) for number in (0, 1)]
        assert min(lengths) >= 1
        assert len(unit.input_ids) <= 20
        assert 4 + 1 + (first == 4) == lengths[0 if first == 4 else 1]


def test_a_pair_of_two_long_texts_is_refused(tokenizer):
    task = bound(tokenizer, 20, 4)
    with pytest.raises(InputError, match=r"record q7: the shorter text of the pair has 15 tokens"):
        task.examples([LabelledText("q7", text(15), text(30))])
    with pytest.raises(InputError, match="record q8: a text without any word"):
        task.examples([LabelledText("q8", " ")])


def test_markers_give_their_states(tokenizer):
    task = bound(tokenizer, 32, 8, markers=("<<", "[["))
    (unit,) = task.examples([LabelledText("1", "took << aspirin >> daily [[ gout ]]")])
    vocabulary = tokenizer.vocabulary()
    assert task.head_shape == (2, 3, (), 0)
    (unmarked,) = task.examples([LabelledText("2", "took aspirin daily")])
    assert unmarked.positions.tolist() == [[0, 0, 0]]
    assert unit.positions[0, 0] == 0
    assert unit.positions[0, 1] == 2  # behind [CLS] and "took"
    assert unit.positions[0, 2] > unit.positions[0, 1]
    assert vocabulary[unit.input_ids[0]] == "[CLS]"


def test_labels_are_checked(tokenizer):
    task = bound(tokenizer, 16, 4)
    (unit,) = task.examples([LabelledText("1", "gout")])
    assert task.targets(unit, LabelledText("1", "gout", None, ("yes",))).tolist() == [[1]]
    with pytest.raises(InputError, match="record 1: the label 'perhaps' is none of the model's: no, yes"):
        task.targets(unit, LabelledText("1", "gout", None, ("perhaps",)))
    with pytest.raises(InputError, match="expected one label, found yes, no"):
        task.targets(unit, LabelledText("1", "gout", None, ("yes", "no")))


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(8, 40))
def test_every_sentence_is_scored_once_with_what_stands_around_it(tokenizer, lengths, size):
    sentences = tokenizer.encode([text(length) for length in lengths])
    units = sentence_examples(0, sentences, tokenizer, size)
    pieces = [number for number, tokens in enumerate(sentences) for _ in range(0, max(1, len(tokens.ids)), size - 2)]
    assert [number for unit in units for number in unit.sentences] == pieces
    assert [unit.start for unit in units] == np.cumsum([0, *(len(unit.positions) for unit in units)])[:-1].tolist()
    for unit in units:
        assert len(unit.input_ids) <= size
        assert (unit.input_ids[unit.positions] == tokenizer.end_id).all()
    if sum(length + 1 for length in lengths) < size:
        assert len(units) == 1


def test_sentences_of_an_abstract_get_their_labels(tokenizer):
    task = BoundTask(SentenceClassification(labels=("aim", "result")), tokenizer, 12)
    item = LabelledSentences("1", ("took aspirin", text(25), "gout"), ("aim", "", "result"))
    units = task.examples([item])
    targets = np.concatenate([task.targets(unit, item) for unit in units]).ravel().tolist()
    assert targets == [0, -100, -100, -100, 1]
    scores = [np.tile(np.array([[2.0, 0.0]], np.float32), (len(unit.positions), 1)) for unit in units]
    scores[-1][-1] = [0.0, 2.0]
    (found,) = task.decode([item], units, scores)
    assert [guess.labels for guess in found] == [("aim",), ("aim",), ("result",)]

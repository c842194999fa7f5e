"""What is hidden: as much as asked, whole words where asked, and by what the paper says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.tasks.masked_lm import Masker, Unit

VOCABULARY = 200
MASK = 3
CONTINUES = np.arange(VOCABULARY) >= 120
ORDINARY = np.arange(5, VOCABULARY)


def masker(unit: Unit, probability: float = 0.15) -> Masker:
    return Masker(unit, probability, MASK, CONTINUES, ORDINARY)


sequences = st.lists(st.integers(5, VOCABULARY - 1), min_size=1, max_size=60).map(np.array)


@given(sequences, st.sampled_from(["word", "token", "span"]), st.floats(0.01, 0.9), st.integers(0, 2**32))
def test_only_chosen_places_change_and_at_least_one_is_chosen(ids, unit, probability, seed):
    hidden, places = masker(unit, probability).mask(ids, np.random.default_rng(seed))
    assert len(places) >= 1
    assert np.array_equal(places, np.unique(places))
    untouched = np.setdiff1d(np.arange(len(ids)), places)
    assert np.array_equal(hidden[untouched], ids[untouched])
    assert not np.isin(hidden, [0, 1, 2, 4]).any()  # no special token but the mask


@given(sequences, st.sampled_from(["word", "span"]), st.integers(0, 2**32))
def test_a_word_is_chosen_whole_or_not_at_all(ids, unit, seed):
    _, places = masker(unit).mask(ids, np.random.default_rng(seed))
    words = np.cumsum(~CONTINUES[ids])
    assert not set(words[places]) & set(words[np.setdiff1d(np.arange(len(ids)), places)])


@given(sequences, st.integers(0, 2**32))
def test_the_same_generator_gives_the_same_mask(ids, seed):
    first, second = (masker("word").mask(ids, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("unit", ["word", "token", "span"])
def test_shares_are_those_of_the_paper(unit):
    generator = np.random.default_rng(0)
    chosen = masked = kept = total = 0
    for _ in range(600):
        ids = generator.integers(5, VOCABULARY, 100)
        hidden, places = masker(unit).mask(ids, generator)
        total += len(ids)
        chosen += len(places)
        masked += int((hidden[places] == MASK).sum())
        kept += int((hidden[places] == ids[places]).sum())
    # Words and spans are not cut, so the last one may pass the share that was asked for.
    assert 0.15 <= chosen / total < 0.18
    assert masked / chosen == pytest.approx(0.8, abs=0.03)
    assert kept / chosen == pytest.approx(0.1, abs=0.02)


def test_every_word_has_the_same_chance():
    ids = np.array([10, 20, 130, 131, 30, 40, 50])
    counts = np.zeros(len(ids))
    for seed in range(3000):
        counts[masker("token").mask(ids, np.random.default_rng(seed))[1]] += 1
    assert counts == pytest.approx(counts.mean(), rel=0.2)


def test_spans_are_runs_of_words_with_the_published_mean_length():
    generator = np.random.default_rng(0)
    ids = generator.integers(5, 120, 4000)  # single-piece words only
    runs = []
    for _ in range(30):
        _, places = masker("span", 0.02).mask(ids, generator)
        runs += [len(run) for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)]
    # The geometric distribution with p = 0.2, cut at 10, has mean 3.8 (Joshi et al. 2020).
    assert 3.2 < np.mean(runs) < 4.6

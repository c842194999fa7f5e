"""Span corruption: what is left out and what stays make the text again, and as much is left out as was asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.corpus.vocabulary import train_with_sentinels
from textome.errors import ModelError
from textome.tasks.span_corruption import Corrupter
from textome.text.tokenization import SENTINELS, Tokenizer

SENTINEL_IDS = list(range(1000, 900, -1))
texts = st.lists(st.integers(3, 800), min_size=2, max_size=300).map(np.array)
shares = st.floats(0.01, 0.9)


@given(texts, shares, st.floats(1, 10), st.integers(0, 2**32))
def test_source_and_target_make_the_text_again(text: np.ndarray, share: float, mean: float, seed: int) -> None:
    corrupter = Corrupter(SENTINEL_IDS, 1, share, mean)
    source, target = corrupter.corrupt(text, np.random.default_rng(seed))
    assert corrupter.restored(source.tolist(), target.tolist()) == text.tolist()
    sentinels = [token for token in source.tolist() if token > 900]
    assert sentinels == SENTINEL_IDS[: len(sentinels)]
    assert [token for token in target.tolist() if token > 900] == SENTINEL_IDS[: len(sentinels) + 1]
    assert source[-1] == target[-1] == 1


@given(st.integers(2, 2000), shares, st.floats(1, 10), st.integers(0, 2**32))
def test_spans_hold_the_share_of_tokens_and_never_touch(length: int, share: float, mean: float, seed: int) -> None:
    corrupter = Corrupter(SENTINEL_IDS, 1, share, mean)
    spans = corrupter.spans(length, np.random.default_rng(seed))
    hidden = sum(end - start for start, end in spans)
    assert hidden == min(max(round(length * share), 1), length - 1)
    assert len(spans) <= len(SENTINEL_IDS) - 1
    assert all(start < end for start, end in spans)
    assert all(end < start for (_, end), (start, _) in pairwise(spans))
    assert spans[0][0] >= 0
    assert spans[-1][1] <= length


def test_every_token_is_left_out_equally_often_and_spans_have_their_mean_length() -> None:
    corrupter, generator = Corrupter(SENTINEL_IDS, 1, 0.15, 3.0), np.random.default_rng(7)
    counts, spans = np.zeros(100), 0
    for _ in range(4000):
        for start, end in corrupter.spans(100, generator):
            counts[start:end] += 1
            spans += 1
    assert counts.sum() / 4000 == 15
    assert counts.sum() / spans == 3
    inner = counts[15:85] / 4000
    assert abs(inner.mean() - 0.15) < 0.02
    assert inner.std() < 0.02


def test_a_vocabulary_with_sentinels_in_the_layout_of_t5() -> None:
    sentences = [f"Patients with asthma took {number} tablets of salbutamol daily." for number in range(60)]
    tokenizer = train_with_sentinels(sentences, 240)
    tokens = tokenizer.vocabulary()
    assert tokens[:3] == ["<pad>", "</s>", "<unk>"]
    assert tokens[-100:] == list(SENTINELS[::-1])
    assert (tokenizer.start_id, tokenizer.end_id) == (0, 1)
    (encoded,) = tokenizer.encode(["Patients took salbutamol daily."])
    assert tokenizer.decode(encoded.ids.tolist()) == "Patients took salbutamol daily."


def test_a_vocabulary_without_sentinels_is_refused() -> None:
    with pytest.raises(ModelError, match="the vocabulary has no sentinels"):
        Corrupter.of(Tokenizer.load("src/textome/bundled/default"))

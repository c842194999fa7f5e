"""Targets, windows and decoding of the entity task."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letters import letter_tokenizer
from textome.tasks.entities import Entities
from textome.tasks.spans import iob
from textome.tasks.spans.mentions import Sentence
from textome.tasks.windows import windows
from textome.text.tokenization import Tokens

TOKENIZER = letter_tokenizer()


def tokens_of(lengths: list[int]) -> Tokens:
    """Tokens of words with these numbers of pieces, set apart by one space."""
    return TOKENIZER.encode([" ".join("a" * length for length in lengths)])[0]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(3, 40), st.data())
def test_windows_cover_each_token_once_with_context(lengths: list[int], size: int, data: st.DataObject) -> None:
    tokens = tokens_of(lengths)
    overlap = data.draw(st.integers(0, size - 1))
    cut = windows(tokens, size, overlap)
    kept = [number for window in cut for number in range(window.keep_start, window.keep_end)]
    assert kept == list(range(len(tokens.ids)))
    for window in cut:
        assert window.start <= window.keep_start < window.keep_end <= window.end
        assert window.end - window.start <= size


@pytest.mark.parametrize("total", [509, 510, 511, 512, 513, 1020, 1021, 5000])
def test_windows_around_the_limit(total: int) -> None:
    tokens = tokens_of([1] * total)
    cut = windows(tokens, 510, 128)
    assert (len(cut) == 1) == (total <= 510)
    assert sum(window.keep_end - window.keep_start for window in cut) == total
    for before, after in itertools.pairwise(cut):  # at least half of the overlap on both sides of every seam
        assert before.end - before.keep_end >= 63
        assert after.keep_start - after.start >= 63


def test_examples_hold_every_word_once() -> None:
    tokens = tokens_of([3, 1, 4, 1, 5, 9, 2, 6] * 20)
    labels = iob.targets(tokens, [iob.Mention(0, 9, 0)], 2, [0])
    task, text = Entities(types=("A", "B")), " ".join("a" * length for length in [3, 1, 4, 1, 5, 9, 2, 6] * 20)
    record = Sentence(text, (iob.Mention(0, 9, 0),), (0,))
    examples = task.examples([record], TOKENIZER, 32, 10)
    assert len(examples) > 5
    assert np.concatenate([task.targets(example, record) for example in examples]).tolist() == labels.tolist()
    for example in examples:
        assert example.input_ids[0] == TOKENIZER.start_id
        assert example.input_ids[-1] == TOKENIZER.end_id
        assert set(example.input_ids[example.positions].tolist()) == {TOKENIZER._tokenizer.token_to_id("a")}


def test_targets_align_to_words_and_leave_other_heads_alone() -> None:
    text = "Anti-TNF drugs (e.g. etanercept)."
    tokens = TOKENIZER.encode([text])[0]
    start = text.index("etanercept")
    labels = iob.targets(tokens, [iob.Mention(0, 8, 1), iob.Mention(start, start + 10, 2)], 4, [1, 2])
    words = [text[a:b] for a, b in zip(tokens.word_starts, tokens.word_ends, strict=True)]
    assert words == ["Anti", "-", "TNF", "drugs", "(", "e", ".", "g", ".", "etanercept", ")", "."]
    assert labels[:, 0].tolist() == [iob.IGNORED] * 12
    assert labels[:, 1].tolist() == [1, 2, 2] + [0] * 9
    assert labels[:, 2].tolist() == [0] * 9 + [1, 0, 0]


def test_a_mention_rules_out_other_types_where_nothing_is_known_of_them() -> None:
    tokens = TOKENIZER.encode(["breast cancer cell line"])[0]
    mentions = [iob.Mention(0, 13, 0), iob.Mention(7, 18, 1)]
    labels = iob.targets(tokens, mentions, 4, [0, 1], {0: [1, 2], 1: [0, 3]})
    assert labels[:, 0].tolist() == [1, 2, 0, 0]  # what is annotated stays, be it against the rule
    assert labels[:, 1].tolist() == [0, 1, 2, 0]
    assert labels[:, 2].tolist() == [0, 0, iob.IGNORED, iob.IGNORED]
    assert labels[:, 3].tolist() == [iob.IGNORED, 0, 0, iob.IGNORED]


def test_the_longest_of_overlapping_mentions_of_one_type_is_kept() -> None:
    tokens = TOKENIZER.encode(["breast cancer cell line"])[0]
    labels = iob.targets(tokens, [iob.Mention(7, 13, 0), iob.Mention(0, 13, 0), iob.Mention(14, 18, 0)], 1, [0])
    assert labels[:, 0].tolist() == [1, 2, 1, 0]


def scores_for(labels: list[list[int]]) -> np.ndarray:
    logits = np.zeros((len(labels), len(labels[0]), 3), np.float32)
    for word, head in np.ndindex(logits.shape[:2]):
        logits[word, head, labels[word][head]] = 12.0
    return iob.log_probabilities(logits)


def decoded(scores: np.ndarray) -> list[iob.ScoredSpan]:
    (spans,) = iob.decode(scores, None, [len(scores)])
    return spans


@given(st.lists(st.integers(0, 6), max_size=6), st.integers(0, 2**32 - 1))
def test_sentences_are_decoded_together_as_each_alone(lengths: list[int], seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(sum(lengths), 2, 3)).astype(np.float32) * 2
    scores = iob.log_probabilities(logits)
    apart = [decoded(rows) for rows in np.split(scores, np.cumsum(lengths)[:-1])] if lengths else []
    assert iob.decode(scores, None, lengths) == apart
    for rows, spans in zip(np.split(scores, np.cumsum(lengths)[:-1]), apart, strict=False):
        for item in spans:
            assert item.confidence == pytest.approx(iob.span_probability(rows, *item[:3]), rel=1e-5)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_decoding_is_the_most_probable_legal_sequence(length: int, seed: int) -> None:
    """Against trying every label sequence."""
    scores = iob.log_probabilities(np.random.default_rng(seed).normal(size=(length, 1, 3)).astype(np.float32) * 2)
    legal = [
        labels
        for labels in itertools.product(range(3), repeat=length)
        if all(now != iob.INSIDE or before != iob.OUTSIDE for before, now in zip((0, *labels), labels, strict=False))
    ]
    best = max(legal, key=lambda labels: sum(float(scores[step, 0, label]) for step, label in enumerate(labels)))
    spans, start = [], None
    for step, label in enumerate((*best, iob.OUTSIDE)):
        if start is not None and label != iob.INSIDE:
            spans.append((start, step - 1))
            start = None
        if label == iob.BEGIN:
            start = step
    assert [(found.first, found.last) for found in decoded(scores)] == spans


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=1, max_size=12))
def test_heads_are_decoded_apart_and_confidence_is_a_probability(labels: list[list[int]]) -> None:
    scores = scores_for(labels)
    together = decoded(scores)
    apart = [found._replace(head=head) for head in range(3) for found in decoded(scores[:, head : head + 1])]
    assert sorted(together) == sorted(apart)
    assert all(0.0 <= found.confidence <= 1.0 for found in together)


def test_confidence_is_the_probability_of_the_span() -> None:
    probabilities = np.array([[0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.6, 0.1, 0.3]], np.float32)[:, None, :]
    (found,) = decoded(np.log(probabilities))
    assert (found.first, found.last) == (0, 1)
    assert found.confidence == pytest.approx(0.8 * 0.7 * (1 - 0.3), rel=1e-5)


@given(
    st.lists(
        st.builds(
            iob.ScoredSpan, st.integers(0, 9), st.integers(0, 9), st.integers(0, 2), st.sampled_from([0.2, 0.5, 0.9])
        ),
        max_size=8,
        unique=True,
    )
)
def test_entities_without_overlaps(items: list[iob.ScoredSpan]) -> None:
    found = [item for item in items if item.first <= item.last]
    kept = iob.without_overlaps(found)
    assert kept == [item for item in found if item in kept]
    words = [word for item in kept for word in range(item.first, item.last + 1)]
    assert len(words) == len(set(words))
    for item in found:
        rivals = [other for other in kept if other.first <= item.last and item.first <= other.last]
        assert max(other.confidence for other in rivals) >= item.confidence


def test_temperature_is_applied_to_each_head() -> None:
    logits = np.array([[[2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]], np.float32)
    scores = np.exp(iob.log_probabilities(logits, np.array([1.0, 2.0], np.float32)))
    assert scores[0, 0, 0] == pytest.approx(np.exp(2) / (np.exp(2) + 2), rel=1e-5)
    assert scores[0, 1, 0] == pytest.approx(np.exp(1) / (np.exp(1) + 2), rel=1e-5)


def test_of_entities_with_the_same_words_one_is_kept_but_for_other_heads() -> None:
    spans = [
        iob.ScoredSpan(first, last, head, confidence)
        for first, last, head, confidence in ((0, 1, 0, 0.6), (0, 1, 1, 0.8), (0, 1, 2, 0.3), (0, 0, 0, 0.2))
    ]
    assert iob.with_one_type(spans, {0: 1, 1: 1}) == spans[1:]
    assert iob.with_one_type(spans, {0: 1, 1: 0}) == [spans[0], *spans[2:]]
    assert iob.with_one_type(spans, {0: 1, 1: 0, 2: 0}) == [spans[0], spans[3]]
    assert iob.with_one_type(spans, {}) == spans

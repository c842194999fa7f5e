"""The random field over labels: against all paths, one by one, and PyTorch's loss against the same."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from textome.tasks.spans import crf
from textome.tasks.spans.iob import BEGIN, IGNORED, INSIDE, OUTSIDE
from textome.training.chains import chain_loss, chain_marginals
from textome.training.losses import LOSSES, LossOptions

Path = tuple[int, ...]
scores = arrays(np.float32, st.tuples(st.integers(1, 5), st.just(2), st.just(9)), elements=st.floats(-5, 5, width=32))


def paths_of(rows: NDArray[np.float32], legal: bool) -> dict[Path, float]:
    """The log probability of each sequence of labels, of the scores (m, 9) of one head."""
    totals = {}
    for path in product(range(3), repeat=len(rows)):
        steps = list(zip((OUTSIDE, *path), path, strict=False))
        if not legal or (OUTSIDE, INSIDE) not in steps:
            totals[path] = sum(float(row[3 * before + label]) for row, (before, label) in zip(rows, steps, strict=True))
    whole = np.logaddexp.reduce(list(totals.values()))
    return {path: total - float(whole) for path, total in totals.items()}


def is_entity(path: Path, first: int, last: int) -> bool:
    labels = path[first : last + 1]
    return labels == (BEGIN, *[INSIDE] * (last - first)) and path[last + 1 : last + 2] != (INSIDE,)


@settings(deadline=None, max_examples=40)
@given(scores)
def test_marginals_entities_and_confidences_are_those_of_all_paths(rows: NDArray[np.float32]) -> None:
    steps = crf.chain(rows)
    certain = np.exp(crf.marginals(steps))
    (found,) = crf.decode(rows, None, [len(rows)])
    for head in range(2):
        paths = paths_of(rows[:, head], legal=True)
        for word, label in product(range(len(rows)), range(3)):
            share = sum(np.exp(log) for path, log in paths.items() if path[word] == label)
            assert abs(share - certain[word, head, label]) < 1e-4
        own = [(item.first, item.last) for item in found if item.head == head]
        best = next(path for path in paths if [span for span in spans(len(rows)) if is_entity(path, *span)] == own)
        assert paths[best] > max(paths.values()) - 1e-4
        for item in found:
            if item.head == head:
                share = sum(np.exp(log) for path, log in paths.items() if is_entity(path, item.first, item.last))
                assert abs(share - item.confidence) < 1e-4
                assert abs(share - crf.span_probability(steps, *item[:3])) < 1e-4


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 6), max_size=6), st.floats(0.1, 300), st.integers(0, 2**32 - 1))
def test_sentences_are_decoded_together_as_each_alone(lengths: list[int], scale: float, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(sum(lengths), 2, 9)).astype(np.float32) * scale
    temperature, apart = np.array([1, 2], np.float32), np.split(rows, np.cumsum(lengths)[:-1])[: len(lengths)]
    assert crf.decode(rows, temperature, lengths) == [crf.decode(own, temperature, [len(own)])[0] for own in apart]
    for own in apart:
        assert np.allclose(np.exp(crf.chain(own, temperature)).sum(axis=-1), 1, atol=1e-5)


def spans(words: int) -> list[tuple[int, int]]:
    return [(first, last) for first in range(words) for last in range(first, words)]


@settings(deadline=None, max_examples=40)
@given(scores, scores, st.data())
def test_the_loss_is_that_of_all_paths_which_agree_with_the_known_labels(
    one: NDArray[np.float32], two: NDArray[np.float32], data: st.DataObject
) -> None:
    sentences = [one, two]
    words = sum(map(len, sentences))
    labels = data.draw(arrays(np.int64, (words, 2), elements=st.sampled_from([OUTSIDE, BEGIN, INSIDE, IGNORED])))
    sizes = list(map(len, sentences))
    expected = 0.0
    for rows, known in zip(sentences, np.split(labels, [sizes[0]]), strict=True):
        for head in range(2):
            agreeing = [
                log
                for path, log in paths_of(rows[:, head], legal=False).items()
                if all(label in (here, IGNORED) for here, label in zip(path, known[:, head], strict=True))
            ]
            expected -= float(np.logaddexp.reduce(agreeing)) / words
    logits = torch.from_numpy(np.concatenate(sentences).reshape(words, -1)).requires_grad_()
    loss = chain_loss(logits, torch.from_numpy(labels), sizes)
    assert abs(loss.item() - expected) < 1e-3
    loss.backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


@settings(deadline=None, max_examples=40)
@given(scores)
def test_the_marginals_of_training_are_those_of_all_paths(rows: NDArray[np.float32]) -> None:
    both = np.concatenate([rows, rows[:1]])
    logs = chain_marginals(torch.from_numpy(both.reshape(len(both), -1)), [len(rows), 1])
    found = logs.exp().numpy().reshape(len(both), 2, 3)
    for head in range(2):
        paths = paths_of(rows[:, head], legal=False)
        for word, label in product(range(len(rows)), range(3)):
            share = sum(np.exp(log) for path, log in paths.items() if path[word] == label)
            assert abs(share - found[word, head, label]) < 1e-4


@pytest.mark.parametrize("loss", ["iob", "crf"])
def test_probabilities_of_labels_are_learnt_as_they_are(loss: str) -> None:
    generator, sizes, outputs = np.random.default_rng(2), [2, 1], {"iob": 3, "crf": 9}[loss]
    scores = generator.normal(0, 2, (3, 2, outputs)).astype(np.float32)
    soft = generator.dirichlet([1, 1, 1], (3, 2)).astype(np.float32)
    soft[1, 0] = np.nan  # not known
    expected = 0.0
    for start, end in ((0, 2), (2, 3)):
        for word, head in product(range(start, end), range(2)):
            if np.isnan(soft[word, head, 0]):
                continue
            if loss == "iob":
                logs = scores[word, head] - np.logaddexp.reduce(scores[word, head])
            else:
                paths = paths_of(scores[start:end, head], legal=False).items()
                logs = [
                    np.logaddexp.reduce([log for path, log in paths if path[word - start] == at]) for at in range(3)
                ]
            expected -= float(np.dot(soft[word, head], logs)) / 3
    logits = torch.from_numpy(scores.reshape(3, -1)).requires_grad_()
    value = LOSSES[loss].value(logits, torch.from_numpy(soft.reshape(3, -1)), sizes, LossOptions())
    assert abs(value.item() - expected) < 1e-4
    value.backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_chains_of_many_sentences_are_those_of_each(lengths: list[int], seed: int) -> None:
    scores = np.random.default_rng(seed).normal(0, 3, (sum(lengths), 2, 9)).astype(np.float32)
    steps = crf.chain(scores, np.array([1.0, 2.0], np.float32), lengths)
    certain = crf.marginals(steps, lengths)
    for rows, own, shares in zip(
        *(np.split(item, np.cumsum(lengths)) for item in (scores, steps, certain)), strict=True
    ):
        alone = crf.chain(rows, np.array([1.0, 2.0], np.float32))
        np.testing.assert_allclose(np.exp(own), np.exp(alone), atol=1e-6)
        np.testing.assert_allclose(np.exp(shares), np.exp(crf.marginals(alone)), atol=1e-6)

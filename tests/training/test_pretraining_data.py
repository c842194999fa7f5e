"""Sequences, plans and batches: nothing lost, nothing doubled, the same for every process."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textome.corpus.store import Corpus
from textome.tasks.masked_lm import Masker
from textome.text.tokenization import Tokenizer
from textome.training.pretraining.data import (
    SHORTEST,
    Assembler,
    Mixture,
    Sequences,
    _cut,
    held_out,
    prefetched,
)
from textome.training.recipe import load_recipe
from tiny import make_pretraining_recipe

LENGTH = 14


@pytest.fixture(scope="module")
def corpus_and_tokenizer(tmp_path_factory) -> tuple[Corpus, Tokenizer]:
    folder = tmp_path_factory.mktemp("texts")
    load_recipe(make_pretraining_recipe(folder))
    tokenizer = Tokenizer.load(folder / "base")
    return Corpus.open(folder / "texts", tokenizer), tokenizer


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_document_is_cut_between_sentences_where_it_can_be(sizes):
    bounds = np.cumsum([0, *sizes]).tolist()
    runs = _cut(bounds, LENGTH)
    assert all(SHORTEST <= end - start <= LENGTH for start, end in runs)
    covered = [token for start, end in runs for token in range(start, end)]
    assert len(covered) == len(set(covered))
    # Only pieces too short to teach anything are left out.
    left = sorted(set(range(bounds[-1])) - set(covered))
    assert all(len(run) < SHORTEST for run in np.split(left, np.flatnonzero(np.diff(left) > 1) + 1))
    # A sentence that fits is never cut: no run begins or ends inside it.
    for first, last in pairwise(bounds):
        if last - first <= LENGTH:
            assert not any(first < place < last for run in runs for place in run)


def test_sequences_hold_the_documents_tokens(corpus_and_tokenizer):
    corpus, _ = corpus_and_tokenizer
    everything = np.ones(corpus.num_documents, bool)
    sequences = Sequences.of(corpus, LENGTH, everything)
    documents = ["/".join(map(str, np.concatenate(corpus.document(n)))) for n in range(corpus.num_documents)]
    for number in range(len(sequences)):
        assert any("/".join(map(str, sequences.ids(number))) in document for document in documents)
        assert all(0 < place < sequences.length(number) for place in sequences.breaks(number))


def test_held_out_documents_are_apart_from_the_others(corpus_and_tokenizer):
    corpus, _ = corpus_and_tokenizer
    mask = held_out(corpus, 0.3)
    assert 0 < mask.sum() < len(mask)
    train, test = (Sequences.of(corpus, LENGTH, chosen) for chosen in (~mask, mask))
    assert not set(map(tuple, train.rows.tolist())) & set(map(tuple, test.rows.tolist()))
    assert np.array_equal(mask, held_out(corpus, 0.3))


def test_each_pass_reads_every_sequence_once_in_another_order(corpus_and_tokenizer):
    corpus, _ = corpus_and_tokenizer
    sequences = Sequences.of(corpus, LENGTH, np.ones(corpus.num_documents, bool))
    mixture = Mixture((sequences,), (1.0,), 64, seed=3)
    drawn = [item for number in range(6) for batch in mixture.block(number) for item in batch]
    first = [number for _, turn, number in drawn if turn == 0]
    assert sorted(first) == list(range(len(sequences)))
    second = [number for _, turn, number in drawn if turn == 1]
    assert len(second) == len(set(second)) > 0
    assert mixture.block(4) == Mixture((sequences,), (1.0,), 64, seed=3).block(4)


def test_weights_are_shares_of_sequences(corpus_and_tokenizer):
    corpus, _ = corpus_and_tokenizer
    half = np.arange(corpus.num_documents) % 2 == 0
    sources = tuple(Sequences.of(corpus, LENGTH, mask) for mask in (half, ~half))
    drawn = [
        item for number in range(8) for batch in Mixture(sources, (0.8, 0.2), 64, 0).block(number) for item in batch
    ]
    assert sum(source == 0 for source, _, _ in drawn) / len(drawn) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_batch_restores_its_sequences(corpus_and_tokenizer, pairs):
    corpus, tokenizer = corpus_and_tokenizer
    sequences = Sequences.of(corpus, LENGTH, np.ones(corpus.num_documents, bool))
    mixture = Mixture((sequences,), (1.0,), 96, 0)
    assembler = Assembler(mixture, tokenizer, Masker.of(tokenizer), next_sentence=pairs)
    followed = 0
    for drawn in mixture.block(0):
        batch = assembler.batch(drawn)
        restored = batch.input_ids.clone()
        restored[batch.masked_positions] = batch.targets
        bounds = batch.layout.cu_seqlens.tolist()
        found = [restored[start:end].tolist() for start, end in pairwise(bounds)]
        assert len(found) == len(drawn)
        assert all(item[0] == tokenizer.start_id and item[-1] == tokenizer.end_id for item in found)
        assert batch.layout.num_tokens <= 96
        expected = sorted(sequences.ids(number).tolist() for _, _, number in drawn)
        if not pairs:
            assert sorted(item[1:-1] for item in found) == expected
            continue
        kinds = batch.token_type_ids.tolist()
        for number, item in enumerate(found):
            part = kinds[bounds[number] : bounds[number + 1]]
            middle = item.index(tokenizer.end_id)
            assert part == [0] * (middle + 1) + [1] * (len(item) - middle - 1)
            if batch.follows[number] == 0:
                joined = [*item[1:middle], *item[middle + 1 : -1]]
                assert any(joined == ids[: len(joined)] and len(ids) - len(joined) <= 1 for ids in expected)
                followed += 1
    assert not pairs or followed > 0


def test_masks_change_with_the_pass_only_where_they_are_dynamic(corpus_and_tokenizer):
    corpus, tokenizer = corpus_and_tokenizer
    sequences = Sequences.of(corpus, LENGTH, np.ones(corpus.num_documents, bool))
    mixture = Mixture((sequences,), (1.0,), 96, 0)
    for dynamic in (True, False):
        assembler = Assembler(mixture, tokenizer, Masker.of(tokenizer), dynamic)
        turns = [assembler.batch([(0, turn, number) for number in range(20)]) for turn in (0, 1)]
        same = turns[0].masked_positions.tolist() == turns[1].masked_positions.tolist()
        assert same is not dynamic


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_made_ahead_are_those_of_the_plan_in_its_order(corpus_and_tokenizer, workers):
    corpus, tokenizer = corpus_and_tokenizer
    sequences = Sequences.of(corpus, LENGTH, np.ones(corpus.num_documents, bool))
    mixture = Mixture((sequences,), (1.0,), 64, seed=3)
    assembler = Assembler(mixture, tokenizer, Masker.of(tokenizer))
    start = len(mixture.block(0)) - 2  # so that the next block is reached
    found = list(islice(prefetched(assembler, mixture, 0, start, workers, False), 5))
    planned = list(islice(mixture.onward(0, start), 5))
    assert [(item.block, item.number) for item in found] == [(block, number) for block, number, _ in planned]
    assert found[-1].block == 1
    for item, (_, _, drawn) in zip(found, planned, strict=True):
        assert item.input_ids.equal(assembler.batch(drawn).input_ids)


@pytest.mark.parametrize("pairs", [False, True])
def test_the_parts_of_a_batch_are_the_batch(corpus_and_tokenizer, pairs):
    corpus, tokenizer = corpus_and_tokenizer
    sequences = Sequences.of(corpus, LENGTH, np.ones(corpus.num_documents, bool))
    mixture = Mixture((sequences,), (1.0,), 96, 0)
    assembler = Assembler(mixture, tokenizer, Masker.of(tokenizer), next_sentence=pairs)
    for drawn in mixture.block(0):
        batch = assembler.batch(drawn)
        for budget in (1, 30, 96):
            parts = batch.cut(budget)
            assert all(part.num_tokens <= budget or len(part.sizes) == 1 for part in parts)
            for name in ("input_ids", "targets", *(("token_type_ids", "follows") if pairs else ())):
                assert torch.cat([getattr(part, name) for part in parts]).equal(getattr(batch, name))
            starts = np.cumsum([0, *(part.num_tokens for part in parts[:-1])])
            places = [part.masked_positions + int(start) for part, start in zip(parts, starts, strict=True)]
            assert torch.cat(places).equal(batch.masked_positions)
            assert [size for part in parts for size in part.sizes] == batch.sizes
            assert {part.whole for part in parts} == {(len(batch.targets), len(batch.sizes))}

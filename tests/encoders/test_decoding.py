"""Decoding: with a cache as without, beam 1 as greedy, a wide beam as trying everything."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from textome.encoders.layers.packing import Layout
from textome.encoders.seq2seq.decoding import Hypothesis, Limits, beam, greedy, sample
from textome.encoders.seq2seq.model import Transformer, TransformerConfig

START, END = 1, 2


class Rows:
    """A cache that remembers whole targets, for a model that is a table of logits by what was written before."""

    def __init__(self, rows: int) -> None:
        self.written: list[tuple[int, ...]] = [()] * rows
        self.numbers = list(range(rows))

    def choose(self, rows: Tensor) -> None:
        self.written = [self.written[row] for row in rows.tolist()]
        self.numbers = [self.numbers[row] for row in rows.tolist()]


class Table:
    """Logits that depend on the sequence and on everything written so far; counts the rows that it computes."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self.vocabulary, self.seed, self.steps = vocabulary, seed, 0

    def logits(self, number: int, written: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, number, written)) % 2**31)
        return 2 * torch.randn(self.vocabulary, generator=generator)

    def step(self, tokens: Tensor, cache: Rows) -> Tensor:
        cache.written = [(*row, token) for row, token in zip(cache.written, tokens.tolist(), strict=True)]
        self.steps += len(tokens)
        return torch.stack([self.logits(*pair) for pair in zip(cache.numbers, cache.written, strict=True)])


def everything(table: Table, number: int, longest: int, never: tuple[int, ...], penalty: float) -> list[Hypothesis]:
    """Every target there is, the best first."""
    found = []
    words = [token for token in range(table.vocabulary) if token not in (END, *never)]
    for length in range(1, longest + 1):
        for body in itertools.product(words, repeat=length - 1):
            for last in [END] if length < longest else [END, *words]:
                total, written = 0.0, (START,)
                for token in (*body, last):
                    logits = table.logits(number, written)
                    logits[list(never)] = float("-inf")
                    total += float(logits.log_softmax(-1)[token])
                    written = (*written, token)
                text = body if last == END else (*body, last)
                found.append(Hypothesis(text, total, total / length**penalty))
    return sorted(found, key=lambda item: -item.score)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.6, 1.0]), st.integers(1, 3))
def test_a_beam_as_wide_as_all_targets_finds_the_best_ones(seed: int, penalty: float, best: int) -> None:
    longest = torch.tensor([3, 2, 3])
    table = Table(5, seed)
    limits = Limits(START, END, longest, never=(0, START))
    found = beam(table, Rows(3), limits, width=40, length_penalty=penalty, best=best)
    for number, hypotheses in enumerate(found):
        expected = everything(table, number, int(longest[number]), limits.never, penalty)[:best]
        assert [item.tokens for item in hypotheses] == [item.tokens for item in expected]
        for item, other in zip(hypotheses, expected, strict=True):
            assert item.log_probability == pytest.approx(other.log_probability, abs=1e-4)
            assert item.score == pytest.approx(other.score, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.sampled_from([0.0, 1.0]))
def test_a_beam_of_one_is_greedy(seed: int, longest: list[int], penalty: float) -> None:
    limits = Limits(START, END, torch.tensor(longest), never=(0, START))
    one = beam(Table(6, seed), Rows(len(longest)), limits, width=1, length_penalty=penalty)
    for (item,), other in zip(one, greedy(Table(6, seed), Rows(len(longest)), limits), strict=True):
        assert item.tokens == other.tokens
        assert item.log_probability == pytest.approx(other.log_probability, abs=1e-5)


def test_finished_sequences_cost_nothing_more() -> None:
    class Counting(Table):
        def logits(self, number: int, written: tuple[int, ...]) -> Tensor:
            logits = torch.zeros(5)
            logits[END if len(written) > number else 3] = 9.0
            return logits

    table = Counting(5, 0)
    found = greedy(table, Rows(4), Limits(START, END, torch.tensor([9, 9, 9, 2])))
    assert [item.tokens for item in found] == [(), (3,), (3, 3), (3, 3)]
    assert table.steps == 1 + 2 + 3 + 2


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_a_model_decodes_as_it_scores_whole_targets(search: str) -> None:
    """With cached keys and values, over sources of different lengths: the same as scoring every target from its start."""
    torch.manual_seed(5)
    config = TransformerConfig(vocab_size=20, d_model=16, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
                               decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16)  # fmt: skip
    model = Transformer(config).eval()
    torch.nn.init.normal_(model.shared.weight, std=0.8)
    lengths = [4, 9, 1]
    layout, source = Layout.of(lengths), torch.randint(3, 20, (14,))
    limits = Limits(1, 2, torch.tensor([12, 6, 9]), never=(0, 1))
    with torch.no_grad():
        memory = model.encode(source, layout)
        cache = model.cache(memory, layout)
        found = [[item] for item in greedy(model, cache, limits)] if search == "greedy" else beam(
            model, cache, limits, width=4, best=3
        )  # fmt: skip
        for number, hypotheses in enumerate(found):
            start = sum(lengths[:number])
            own = memory[start : start + lengths[number]], Layout.of(lengths[number : number + 1])
            for item in hypotheses:
                ended = len(item.tokens) < int(limits.longest[number])
                text = [*item.tokens, *([2] if ended else [])]
                target = torch.tensor([1, *text[:-1]])
                logits = model.decode(target, Layout.of([len(target)]), *own)
                logits[:, [0, 1]] = float("-inf")
                chances = logits.log_softmax(-1)
                expected = float(chances[torch.arange(len(text)), torch.tensor(text)].sum())
                assert item.log_probability == pytest.approx(expected, abs=1e-4)
                if search == "greedy":
                    assert chances.argmax(-1).tolist() == text


def test_sampling_keeps_to_its_bounds_and_to_the_probabilities() -> None:
    class Fixed(Table):
        def logits(self, number: int, written: tuple[int, ...]) -> Tensor:
            return torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def drawn(**options: float) -> list[float]:
        limits = Limits(START, 9, torch.ones(4000, dtype=torch.int64))
        found = sample(Fixed(4, 0), Rows(4000), limits, generator=torch.Generator().manual_seed(1), **options)
        return [sum(item.tokens == (token,) for item in found) / 4000 for token in range(4)]

    assert drawn() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    assert drawn(top_k=2) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert drawn(top_p=0.75) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert drawn(top_p=0.2) == [1, 0, 0, 0]
    cold = [share**2 for share in (0.5, 0.3, 0.15, 0.05)]
    assert drawn(temperature=0.5) == pytest.approx([share / math.fsum(cold) for share in cold], abs=0.03)
    for wrong in ({"temperature": -1}, {"top_p": 0.0}, {"top_k": -1}):
        with pytest.raises(ValueError, match="expected"):
            drawn(**wrong)
    with pytest.raises(ValueError, match="1 <= best <= width"):
        beam(Table(4, 0), Rows(1), Limits(START, END, torch.tensor([3])), width=2, best=3)

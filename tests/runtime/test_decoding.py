"""Decoding: with a cache as without, beam 1 as greedy, a wide beam as trying everything, draws by their own bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.encoders.layers.packing import Layout
from textome.encoders.seq2seq.model import Transformer, TransformerConfig
from textome.errors import InputError
from textome.runtime.generation.decoding import (
    Floats,
    Hypothesis,
    Ids,
    Limits,
    beam,
    generate,
    greedy,
    sample,
    truncated,
)
from textome.runtime.generation.settings import GenerationSettings
from textome.training.translation.translator import SourceDecoder

START, END = 1, 2


class Table:
    """Logits that depend on the sequence and on all that it has so far; counts the rows that it computes."""

    def __init__(self, vocabulary: int, seed: int, rows: int, first: int = 0) -> None:
        self.vocabulary, self.seed, self.steps = vocabulary, seed, 0
        self.texts: list[tuple[int, ...]] = [()] * rows
        self.numbers = list(range(first, first + rows))

    def logits(self, number: int, text: tuple[int, ...]) -> Floats:
        generator = np.random.default_rng([self.seed, number, *text])
        return 2 * generator.standard_normal(self.vocabulary)

    def step(self, tokens: Ids) -> Floats:
        self.texts = [(*row, token) for row, token in zip(self.texts, tokens.tolist(), strict=True)]
        self.steps += len(tokens)
        return np.stack([self.logits(*pair) for pair in zip(self.numbers, self.texts, strict=True)])

    def choose(self, rows: Ids) -> None:
        self.texts = [self.texts[row] for row in rows.tolist()]
        self.numbers = [self.numbers[row] for row in rows.tolist()]


def limits_of(longest: Sequence[int], never: tuple[int, ...] = (0, START), **more: object) -> Limits:
    return Limits([START] * len(longest), longest, (END,), never, **more)  # type: ignore[arg-type]


def everything(table: Table, number: int, longest: int, never: tuple[int, ...], penalty: float) -> list[Hypothesis]:
    """Every text there is, the best first."""
    hypotheses = []
    words = [token for token in range(table.vocabulary) if token not in (END, *never)]
    for length in range(1, longest + 1):
        for body in itertools.product(words, repeat=length - 1):
            for last in [END] if length < longest else [END, *words]:
                total, text = 0.0, (START,)
                for token in (*body, last):
                    logits = table.logits(number, text)
                    logits[list(never)] = -np.inf
                    total += float(logits[token] - np.logaddexp.reduce(logits))
                    text = (*text, token)
                tokens = body if last == END else (*body, last)
                ended_by = "end" if last == END else "length"
                hypotheses.append(Hypothesis(tokens, total, total / length**penalty, ended_by))
    return sorted(hypotheses, key=lambda item: -item.score)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.6, 1.0]), st.integers(1, 3))
def test_a_beam_as_wide_as_all_texts_finds_the_best_ones(seed: int, penalty: float, best: int) -> None:
    longest = [3, 2, 3]
    table = Table(5, seed, 3)
    limits = limits_of(longest)
    for number, hypotheses in enumerate(beam(table, limits, width=40, length_penalty=penalty, best=best)):
        expected = everything(table, number, longest[number], limits.never, penalty)[:best]
        assert [item.tokens for item in hypotheses] == [item.tokens for item in expected]
        assert [item.ended_by for item in hypotheses] == [item.ended_by for item in expected]
        for item, other in zip(hypotheses, expected, strict=True):
            assert item.log_probability == pytest.approx(other.log_probability, abs=1e-4)
            assert item.score == pytest.approx(other.score, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.sampled_from([0.0, 1.0]))
def test_a_beam_of_one_is_greedy_and_so_is_a_temperature_near_nothing(
    seed: int, longest: list[int], penalty: float
) -> None:
    limits, rows = limits_of(longest), len(longest)
    one = beam(Table(6, seed, rows), limits, width=1, length_penalty=penalty)
    cold = generate(Table(6, seed, rows), limits, GenerationSettings(temperature=1e-300, seed=seed))
    for (item,), (drawn,), other in zip(one, cold, greedy(Table(6, seed, rows), limits), strict=True):
        assert item.tokens == drawn.tokens == other.tokens
        assert item.ended_by == drawn.ended_by == other.ended_by
        assert item.log_probability == pytest.approx(other.log_probability, abs=1e-5)


SETTINGS = [
    GenerationSettings(),
    GenerationSettings(temperature=1.3, seed=4, samples=3),
    GenerationSettings(top_k=3, top_p=0.9, no_repeat=2),
    GenerationSettings(beam=4, samples=2),
]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 9), min_size=2, max_size=5), st.sampled_from(SETTINGS), st.data())
def test_a_text_does_not_depend_on_its_batch(
    seed: int, longest: list[int], asked: GenerationSettings, data: st.DataObject
) -> None:
    together = generate(Table(6, seed, len(longest)), limits_of(longest), asked)
    cut = data.draw(st.integers(1, len(longest) - 1))
    apart = [
        text
        for numbers in (range(cut), range(cut, len(longest)))
        for text in generate(
            Table(6, seed, len(numbers), numbers[0]),
            limits_of([longest[number] for number in numbers]),
            asked,
            list(numbers),
        )
    ]
    assert apart == together
    assert all(len(texts) <= asked.samples for texts in together)


def test_finished_sequences_cost_nothing_more() -> None:
    class Counting(Table):
        def logits(self, number: int, text: tuple[int, ...]) -> Floats:
            logits = np.zeros(5)
            logits[END if len(text) > number else 3] = 9.0
            return logits

    table = Counting(5, 0, 4)
    hypotheses = greedy(table, limits_of([9, 9, 9, 2], never=()))
    assert [item.tokens for item in hypotheses] == [(), (3,), (3, 3), (3, 3)]
    assert [item.ended_by for item in hypotheses] == ["end", "end", "end", "length"]
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
    limits = limits_of([12, 6, 9])
    with torch.no_grad():
        memory = model.encode(source, layout)
        decoder = SourceDecoder(model, [ids.numpy() for ids in source.split(lengths)])
        texts = [[item] for item in greedy(decoder, limits)] if search == "greedy" else beam(
            decoder, limits, width=4, best=3
        )  # fmt: skip
        for number, hypotheses in enumerate(texts):
            start = sum(lengths[:number])
            own = memory[start : start + lengths[number]], Layout.of(lengths[number : number + 1])
            for item in hypotheses:
                text = [*item.tokens, *([2] if item.ended_by == "end" else [])]
                target = torch.tensor([1, *text[:-1]])
                logits = model.decode(target, Layout.of([len(target)]), *own)
                logits[:, [0, 1]] = float("-inf")
                chances = logits.log_softmax(-1)
                expected = float(chances[torch.arange(len(text)), torch.tensor(text)].sum())
                assert item.log_probability == pytest.approx(expected, abs=1e-4)
                if search == "greedy":
                    assert chances.argmax(-1).tolist() == text


class Fixed(Table):
    """The same probabilities whatever was written."""

    chances = (0.5, 0.3, 0.15, 0.05)

    def logits(self, number: int, text: tuple[int, ...]) -> Floats:
        return np.log(self.chances)


def test_draws_keep_to_the_probabilities() -> None:
    def drawn(**options: float) -> list[float]:
        asked = GenerationSettings.of({"seed": 1, "samples": 4000, **options})
        (texts,) = generate(Fixed(4, 0, 1), Limits([START], [1], ()), asked)
        return [sum(item.tokens == (token,) for item in texts) / 4000 for token in range(4)]

    assert drawn(temperature=1) == pytest.approx(Fixed.chances, abs=0.03)
    assert drawn(top_k=2) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert drawn(top_p=0.75) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert drawn(top_p=0.2) == [1, 0, 0, 0]
    cold = [share**2 for share in Fixed.chances]
    assert drawn(temperature=0.5) == pytest.approx([share / math.fsum(cold) for share in cold], abs=0.03)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=12, unique=True),
    st.floats(0.1, 5),
    st.none() | st.integers(1, 15),
    st.none() | st.floats(0.01, 1),
)
def test_what_may_be_drawn_is_what_transformers_draws_from(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    chances = truncated(np.array([logits]), temperature, top_k, top_p)
    scores = TemperatureLogitsWarper(temperature)(None, torch.tensor([logits], dtype=torch.float64))
    scores = scores if top_k is None else TopKLogitsWarper(top_k)(None, scores)
    expected = scores.softmax(-1) if top_p is None else TopPLogitsWarper(top_p)(None, scores).softmax(-1)
    ordered = scores.softmax(-1).sort(descending=True).values.cumsum(-1)
    if top_p is None or float((ordered - top_p).abs().min()) > 1e-6:  # at p itself rounding decides
        assert chances == pytest.approx(expected.numpy(), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([{}, {"temperature": 2.0}, {"beam": 3}]))
def test_no_run_of_tokens_occurs_twice(seed: int, size: int, options: dict[str, float]) -> None:
    history = (3, 4, 3, START)
    limits = Limits([START], [3 if size == 1 else 12], (), no_repeat=size, histories=[history])
    asked = GenerationSettings.of({"no_repeat": size, "seed": seed, **options})
    ((text,),) = generate(Table(7, seed, 1), limits, asked)
    whole = [*history, *text.tokens]
    runs = [tuple(whole[at : at + size]) for at in range(len(whole) - size + 1)]
    new = runs[len(history) - size + 1 :]
    assert len(set(new)) == len(new)
    assert not set(new) & set(runs[: len(history) - size + 1])


def test_where_every_token_would_repeat_any_may() -> None:
    limits = Limits([0], [5], (), no_repeat=1)
    (text,) = greedy(Table(2, 0, 1), limits)
    assert len(text.tokens) == 5


def test_a_text_ends_after_what_stops_it() -> None:
    class Counting(Table):
        def logits(self, number: int, text: tuple[int, ...]) -> Floats:
            return 9.0 * np.eye(9)[text[-1] + 1]

    for asked in (GenerationSettings(), GenerationSettings(beam=2)):
        limits = limits_of([6, 2], never=(), is_stopped=lambda tokens: tokens[-1] == 5)
        limits = Limits([2, 2], limits.max_tokens, (8,), is_stopped=limits.is_stopped)
        (one,), (other,) = generate(Counting(9, 0, 2), limits, asked)
        assert (one.tokens, one.ended_by) == ((3, 4, 5), "stop")
        assert (other.tokens, other.ended_by) == ((3, 4), "length")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"stop": ("",)}, "stop is an empty text"),
        ({"beam": 2, "temperature": 1.0}, "draws nothing"),
        ({"beam": 2, "samples": 3}, "a beam of at least 3"),
        ({"samples": 2}, "the same text"),
        ({"tempratur": 1.0}, "tempratur"),
    ],
)
def test_settings_that_are_wrong_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GenerationSettings.of(wrong)


def test_more_texts_than_a_beam_follows_are_refused() -> None:
    with pytest.raises(ValueError, match="1 <= best <= width"):
        beam(Table(4, 0, 1), limits_of([3]), width=2, best=3)
    assert sample(Table(4, 0, 0), limits_of([]), GenerationSettings()) == []

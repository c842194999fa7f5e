"""The sequence model: packed convolutions against PyTorch's, packing, gradients, and a text encoder's weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.layers.packing import Layout
from textome.encoders.sequence.model import Halving, SequenceModel
from textome.inputs.records import Segment, Segments, Shape
from textome.training.modality.data import pack_sequences

CONFIG = BertConfig(
    vocab_size=11,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=12,
    initializer_range=0.3,
)
SHAPES = {"sound": Shape("vectors", 5, (9,), downsamplings=2), "words": Shape("tokens", 11, (6,), mask_id=4)}


def items() -> list[Segments]:
    generator = np.random.default_rng(0)

    def sound(frames: int) -> Segment:
        tokens = (frames + 3) // 4
        return Segment(generator.normal(size=(frames, 5)).astype(np.float32), np.arange(tokens)[:, None])

    def words(count: int) -> Segment:
        return Segment(generator.integers(0, 11, count), np.arange(count)[:, None])

    return [
        {"sound": sound(7), "words": words(3)},
        {"words": words(5)},
        {"sound": sound(1)},
        {"sound": sound(18), "words": words(2)},
    ]


def test_halving_is_a_convolution_with_stride_two():
    torch.manual_seed(0)
    halving = Halving(3, 4)
    convolution = nn.Conv1d(3, 4, 3, stride=2, padding=1)
    with torch.no_grad():
        convolution.weight.copy_(halving.linear.weight.view(4, 3, 3).transpose(1, 2))
        convolution.bias.copy_(halving.linear.bias)
    lengths = [1, 2, 5, 8]
    frames = torch.randn(sum(lengths), 3)
    halved = [-(-length // 2) for length in lengths]
    found = halving(frames, Layout.of(lengths), Layout.of(halved)).split(halved)
    for part, sequence in zip(found, frames.split(lengths), strict=True):
        expected = functional.gelu(convolution(sequence.T[None]))[0].T
        torch.testing.assert_close(part, expected)


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_sequence_scores_the_same_alone_and_in_a_batch(pooling: str):
    torch.manual_seed(0)
    model = SequenceModel(CONFIG, SHAPES, 3, pooling).eval()
    together = model(pack_sequences(items(), SHAPES))
    alone = torch.cat([model(pack_sequences([item], SHAPES)) for item in items()])
    assert together.shape == (4, 3)
    torch.testing.assert_close(together, alone)


def test_positions_matter_and_the_mean_is_the_mean():
    torch.manual_seed(0)
    model = SequenceModel(CONFIG, {"words": SHAPES["words"]}, 3, "mean").eval()
    values, positions = np.array([3, 7, 7]), np.arange(3)[:, None]
    shapes = {"words": SHAPES["words"]}
    one = pack_sequences([{"words": Segment(values, positions)}], shapes)
    turned = pack_sequences([{"words": Segment(values[::-1].copy(), positions[::-1].copy())}], shapes)
    other = pack_sequences([{"words": Segment(values[::-1].copy(), positions)}], shapes)
    torch.testing.assert_close(model(one), model(turned))
    assert (model(one) - model(other)).abs().max() > 1e-3
    hidden = model.hidden(one)
    torch.testing.assert_close(model.pooled(hidden, one.layout)[0], hidden.mean(0))


def test_every_weight_learns():
    torch.manual_seed(0)
    model = SequenceModel(CONFIG, SHAPES, 3)
    model(pack_sequences(items(), SHAPES)).square().sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_hidden_tokens_are_scored_by_their_own_table():
    torch.manual_seed(0)
    shapes = {"words": SHAPES["words"]}
    model = SequenceModel(CONFIG, shapes, 0).eval()
    batch = pack_sequences([items()[1]], shapes)
    all_of_them, some = model(batch), model(batch, torch.tensor([2, 4]))
    assert all_of_them.shape == (6, 11)
    torch.testing.assert_close(all_of_them[[2, 4]], some)
    with pytest.raises(ValueError, match="only tokens can be hidden"):
        SequenceModel(CONFIG, {"sound": SHAPES["sound"]}, 0)


def test_text_gives_what_the_text_encoder_gives():
    """With all of a text encoder's weights, [CLS] and words become exactly its states."""
    torch.manual_seed(0)
    text = Bert(CONFIG).eval()
    shapes = {"words": Shape("tokens", 11, (6,), text=True), "sound": SHAPES["sound"]}
    model = SequenceModel(CONFIG, shapes, 3).eval()
    model.start_from(text, 2, ("words",))
    words = torch.tensor([5, 9, 1, 10])
    expected = text(torch.cat([torch.tensor([2]), words]), Layout.of([5]))
    batch = pack_sequences([{"words": Segment(words.numpy(), np.arange(4)[:, None])}], shapes)
    torch.testing.assert_close(model.hidden(batch), expected)
    torch.testing.assert_close(model.embedders["sound"].norm.weight, text.embeddings.norm.weight)

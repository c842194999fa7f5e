"""T5 against `transformers`, and its cached steps against the whole target."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.models.t5.modeling_t5 import T5Attention

from textome.encoders.checkpoint import load_tensors, to_hugging_face, write_tensors
from textome.encoders.distances import bucket_of_distance
from textome.encoders.layers.packing import Layout
from textome.encoders.t5 import T5Config
from textome.encoders.t5.model import T5
from textome.runtime.generation.decoding import Limits, beam
from textome.training.translation.translator import SourceDecoder

SIZES = {
    "vocab_size": 50,
    "d_model": 32,
    "d_kv": 6,
    "d_ff": 40,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
}
V1_0 = {"feed_forward_proj": "relu", "tie_word_embeddings": True}
V1_1 = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
VERSIONS = pytest.mark.parametrize("version", [V1_0, V1_1], ids=["v1.0", "v1.1"])
SOURCES, TARGETS = [9, 3, 1, 12, 30, 30], [2, 11, 5, 1, 25, 7]


def theirs_of(version: dict[str, object], **sizes: int) -> transformers.T5ForConditionalGeneration:
    """A model with random weights; the output matrix of v1.1 is one of its own, as in the published checkpoints."""
    torch.manual_seed(3)
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**SIZES | version | sizes)).eval()
    if not version["tie_word_embeddings"]:
        model.lm_head.weight = nn.Parameter(torch.randn(50, 32))
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=float("norm" in name), std=0.3)
    return model


def ours_of(theirs: transformers.T5ForConditionalGeneration, version: dict[str, object], **sizes: int) -> T5:
    model = T5(T5Config.from_dict(SIZES | version | sizes)).eval()
    load_tensors(model, theirs.state_dict(), "theirs")
    return model


def random_ids(lengths: list[int], seed: int) -> Tensor:
    return torch.randint(3, 50, (sum(lengths),), generator=torch.Generator().manual_seed(seed))


def padded(tokens: Tensor, lengths: list[int]) -> Tensor:
    return pad_sequence(list(tokens.split(lengths)), batch_first=True)


def their_logits(theirs: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    mask = torch.arange(max(SOURCES)) < torch.tensor(SOURCES)[:, None]
    rows = theirs(
        input_ids=padded(source, SOURCES), attention_mask=mask.long(), decoder_input_ids=padded(target, TARGETS)
    ).logits
    return torch.cat([row[:length] for row, length in zip(rows, TARGETS, strict=True)])


@VERSIONS
def test_logits_and_gradients_equal_transformers(version: dict[str, object]) -> None:
    theirs = theirs_of(version)
    ours = ours_of(theirs, version)
    source, target = random_ids(SOURCES, 1), random_ids(TARGETS, 2)
    expected = their_logits(theirs, source, target)
    actual = ours(source, Layout.of(SOURCES), target, Layout.of(TARGETS))
    assert (actual - expected).abs().max() < 1e-4
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(4))
    (actual * weights).sum().backward()
    (expected * weights).sum().backward()
    gradient, other = ours.encoder.biases.weight.grad, theirs.encoder.block[0].layer[0].SelfAttention
    assert gradient is not None
    assert torch.allclose(gradient, other.relative_attention_bias.weight.grad, rtol=1e-3, atol=1e-3)


@VERSIONS
def test_the_hugging_face_layout_both_ways(version: dict[str, object], tmp_path: Path) -> None:
    """What `transformers` writes is read; what is written, `transformers` reads, and gives the same logits."""
    theirs = theirs_of(version)
    theirs.save_pretrained(tmp_path / "theirs")
    model = T5(T5Config.from_dict(SIZES | version)).eval()
    load_tensors(model, load_file(tmp_path / "theirs" / "model.safetensors"), "theirs")
    ours = tmp_path / "ours"
    ours.mkdir()
    write_tensors(ours / "model.safetensors", to_hugging_face(model))
    (ours / "config.json").write_text(json.dumps(model.config.to_dict()), encoding="utf-8")
    again = transformers.T5ForConditionalGeneration.from_pretrained(ours).eval()
    assert again.config.scale_decoder_outputs == model.config.scales_outputs
    source, target = random_ids(SOURCES, 1), random_ids(TARGETS, 2)
    actual = model(source, Layout.of(SOURCES), target, Layout.of(TARGETS))
    assert (actual - their_logits(again, source, target)).abs().max() < 1e-4


@VERSIONS
def test_cached_steps_give_the_logits_of_the_whole_target(version: dict[str, object]) -> None:
    model = ours_of(theirs_of(version), version)
    sources, length = [9, 3, 12], 15
    source, target = random_ids(sources, 1), random_ids([length] * 3, 2)
    layout = Layout.of(sources)
    whole = model(source, layout, target, Layout.of([length] * 3)).view(3, length, -1)
    cache = model.cache(model.encode(source, layout), layout)
    steps = torch.stack([model.step(column, cache) for column in target.view(3, length).T], 1)
    assert (steps - whole).abs().max() < 1e-4


def test_beam_search_equals_that_of_transformers() -> None:
    theirs = theirs_of(V1_0, num_decoder_layers=2)  # its cache has room for as many layers as the encoder has
    model = ours_of(theirs, V1_0, num_decoder_layers=2)
    source = random_ids([12], 5)
    limits = Limits(first=[0], max_tokens=[10], ends=(1,), never=(0,))
    with torch.no_grad():
        (found,) = beam(SourceDecoder(model, [source.numpy()]), limits, 3)
        expected = theirs.generate(
            source[None], num_beams=3, max_new_tokens=10, early_stopping=False, bad_words_ids=[[0]], do_sample=False
        )
    tokens = [token for token in expected[0].tolist()[1:] if token > 1]
    assert list(found[0].tokens) == tokens


@pytest.mark.parametrize("causal", [False, True])
def test_buckets_equal_those_of_transformers(causal: bool) -> None:
    distances = np.arange(-300, 300)
    for buckets, farthest in ((32, 128), (8, 20), (64, 256)):
        expected = T5Attention._relative_position_bucket(torch.from_numpy(distances), not causal, buckets, farthest)
        assert np.array_equal(bucket_of_distance(distances, buckets, farthest, causal), expected.numpy())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"feed_forward_proj": "gated-tanh"}, "feed_forward_proj 'gated-tanh' is not one of relu"),
        ({"relative_attention_num_buckets": 30}, "30 is not a multiple of 4"),
        ({"model_type": "mt5"}, "the architecture is 'mt5'"),
    ],
)
def test_what_is_not_supported(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        T5Config.from_dict(SIZES | values)

"""The encoder-decoder against PyTorch's own attention, `torch.nn.Transformer` and Hugging Face's Marian."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.layers.attention import attend_across
from textome.encoders.layers.packing import Layout
from textome.encoders.seq2seq.model import Attention, Transformer, TransformerConfig, sinusoids

SIZES = {
    "vocab_size": 50,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 64,
    "activation_function": "relu",
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "pad_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
LENGTHS = [([5], [7]), ([4, 4], [6, 6]), ([9, 3, 1, 12], [2, 11, 5, 1]), ([64], [64])]


def random_ids(lengths: list[int], seed: int) -> Tensor:
    return torch.randint(3, 50, (sum(lengths),), generator=torch.Generator().manual_seed(seed))


def padded(tokens: Tensor, lengths: list[int]) -> Tensor:
    return pad_sequence(list(tokens.split(lengths)), batch_first=True)


def randomise(model: nn.Module) -> None:
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "embed_positions" not in name:
            nn.init.normal_(parameter, mean=float("norm.weight" in name), std=0.15)


@pytest.mark.parametrize(("sources", "targets"), LENGTHS)
def test_logits_and_gradients_equal_marian(sources: list[int], targets: list[int]) -> None:
    theirs = transformers.MarianMTModel(transformers.MarianConfig(**SIZES, scale_embedding=True)).eval()
    randomise(theirs)
    ours = Transformer(TransformerConfig.from_dict(theirs.config.to_dict())).eval()
    load_tensors(ours, theirs.state_dict(), "marian")
    source, target = random_ids(sources, 1), random_ids(targets, 2)
    mask = padded(torch.ones_like(source), sources)
    expected = theirs(
        input_ids=padded(source, sources), attention_mask=mask, decoder_input_ids=padded(target, targets)
    ).logits
    expected = torch.cat([row[:length] for row, length in zip(expected, targets, strict=True)])
    found = ours(source, Layout.of(sources), target, Layout.of(targets))
    assert (found - expected).abs().max() < 1e-5
    for logits in (found, expected):
        logits.square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters() if parameter.grad is not None}
    twin = Transformer(ours.config)
    twin.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in twin.state_dict().items()})
    load_tensors(twin, {**theirs.state_dict(), **gradients}, "gradients", fresh=("bias",))
    for (name, parameter), gradient in zip(ours.named_parameters(), twin.parameters(), strict=True):
        if name != "bias":
            assert (parameter.grad - gradient).abs().max() < 1e-5, name


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_swish_as_marian_calls_it_is_silu() -> None:
    """The activation of all published Marian models."""
    config = transformers.MarianConfig(**SIZES | {"activation_function": "swish"}, scale_embedding=True)
    theirs = transformers.MarianMTModel(config).eval()
    randomise(theirs)
    ours = Transformer(TransformerConfig.from_dict(config.to_dict())).eval()
    load_tensors(ours, theirs.state_dict(), "marian")
    ids, targets = random_ids([5], 1), random_ids([4], 2)
    with torch.no_grad():
        expected = theirs(input_ids=ids[None], decoder_input_ids=targets[None]).logits[0]
        found = ours(ids, Layout.of([5]), targets, Layout.of([4]))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_norm_before_equals_pytorch() -> None:
    ours = Transformer(TransformerConfig(**SIZES, scale_embedding=False, normalize_before=True)).eval()
    randomise(ours)
    theirs = nn.Transformer(32, 4, 2, 3, 48, 0.0, "relu", norm_first=True, batch_first=True)
    for layer in theirs.decoder.layers:
        layer.linear1, layer.linear2 = nn.Linear(32, 40), nn.Linear(40, 32)
    for mine, other in ((ours.encoder, theirs.encoder), (ours.decoder, theirs.decoder)):
        for layer, copy in zip(mine, other.layers, strict=True):
            norms = ["attention_norm", "across_norm", "feed_forward_norm"][:: 2 if mine is ours.encoder else 1]
            for number, name in enumerate(norms, 1):
                getattr(copy, f"norm{number}").load_state_dict(getattr(layer, name).state_dict())
            copy.linear1.load_state_dict(layer.feed_forward.expand.state_dict())
            copy.linear2.load_state_dict(layer.feed_forward.contract.state_dict())
            join(layer.attention, copy.self_attn)
            if mine is ours.decoder:
                join(layer.across, copy.multihead_attn)
    theirs.encoder.norm.load_state_dict(ours.encoder_norm.state_dict())
    theirs.decoder.norm.load_state_dict(ours.decoder_norm.state_dict())
    sources, targets = [9, 3, 7], [4, 8, 2]
    source, target = random_ids(sources, 1), random_ids(targets, 2)
    hidden = [
        padded(ours.shared(ids) + sinusoids(64, 32)[Layout.of(lengths).position_ids], lengths)
        for ids, lengths in ((source, sources), (target, targets))
    ]
    empty = [~Layout.of(lengths).mask() for lengths in (sources, targets)]
    causal = nn.Transformer.generate_square_subsequent_mask(8).isinf()
    states = theirs(
        *hidden, tgt_mask=causal, src_key_padding_mask=empty[0], tgt_key_padding_mask=empty[1],
        memory_key_padding_mask=empty[0],
    )  # fmt: skip
    expected = states[~empty[1]] @ ours.shared.weight.T + ours.bias[0]
    found = ours(source, Layout.of(sources), target, Layout.of(targets))
    assert (found - expected).abs().max() < 1e-5


def join(ours: Attention, theirs: nn.MultiheadAttention) -> None:
    """The same weights in PyTorch's layout."""
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.memory.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.memory.bias]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


def test_attention_across_equals_multihead_attention() -> None:
    torch.manual_seed(1)
    ours = Attention(TransformerConfig(**SIZES), 4).eval()
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    join(ours, theirs)
    sources, targets = [6, 2, 9], [3, 5, 1]
    hidden, memory = torch.randn(9, 32), torch.randn(17, 32)
    found = ours(hidden, Layout.of(targets), memory, Layout.of(sources))
    rows, columns = padded(hidden, targets), padded(memory, sources)
    expected, _ = theirs(rows, columns, columns, key_padding_mask=~Layout.of(sources).mask())
    assert (found - expected[Layout.of(targets).mask()]).abs().max() < 1e-6
    plain = attend_across(*(torch.ones(3, 1, 2),) * 3, Layout.of([3]), Layout.of([3]), causal=True)
    assert torch.equal(plain, torch.ones(3, 1, 2))


def test_rows_and_tokens_are_the_same_both_ways() -> None:
    for lengths in ([3, 1, 5], [4, 4], [2]):
        layout, tokens = Layout.of(lengths), torch.arange(sum(lengths))[:, None].float()
        rows = layout.padded(tokens)
        assert rows.shape == (len(lengths), max(lengths), 1)
        assert torch.equal(layout.packed(rows), tokens)
        assert torch.equal(rows[layout.mask()], tokens)


@pytest.mark.parametrize("before", [False, True])
def test_steps_with_a_cache_equal_the_whole_target(before: bool) -> None:
    model = Transformer(TransformerConfig(**SIZES, normalize_before=before, learned_positions=before)).eval()
    randomise(model)
    sources = [9, 3, 7]
    layout, source, target = Layout.of(sources), random_ids(sources, 1), random_ids([6] * 3, 2).view(3, 6)
    with torch.no_grad():
        whole = model(source, layout, target.flatten(), Layout.of([6] * 3)).view(3, 6, -1)
        cache = model.cache(model.encode(source, layout), layout)
        for place in range(6):
            assert (model.step(target[:, place], cache) - whole[:, place]).abs().max() < 1e-5
            if place == 2:
                order = torch.tensor([2, 0])
                cache.choose(order)
                target, whole = target[order], whole[order]


def test_a_checkpoint_is_read_by_transformers(tmp_path: Path) -> None:
    config = TransformerConfig(**SIZES)
    ours = Transformer(config).eval()
    randomise(ours)
    save_file(to_hugging_face(ours), tmp_path / "model.safetensors", metadata={"format": "pt"})
    described = SIZES | {"model_type": "marian", "architectures": ["MarianMTModel"], "scale_embedding": True}
    (tmp_path / "config.json").write_text(json.dumps(described))
    theirs = transformers.MarianMTModel.from_pretrained(tmp_path).eval()
    source, target = random_ids([5, 5], 1), random_ids([4, 4], 2)
    with torch.no_grad():
        expected = theirs(input_ids=source.view(2, 5), decoder_input_ids=target.view(2, 4)).logits.view(8, -1)
        found = ours(source, Layout.of([5, 5]), target, Layout.of([4, 4]))
    assert (found - expected).abs().max() < 1e-5
    again = Transformer(config)
    load_tensors(again, load_file(tmp_path / "model.safetensors"), "saved")
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True))


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="not a multiple of encoder_attention_heads 3"):
        TransformerConfig(vocab_size=9, d_model=32, encoder_attention_heads=3)
    with pytest.raises(ValueError, match="activation_function 'maxout'"):
        TransformerConfig(vocab_size=9, activation_function="maxout")
    model = Transformer(TransformerConfig(**SIZES))
    with pytest.raises(ValueError, match="65 tokens is longer than the model's 64"):
        model.encode(random_ids([65], 1), Layout.of([65]))

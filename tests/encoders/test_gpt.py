"""GPT-2 against `transformers`: same weights, same numbers, in ragged batches without padding, both ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from textome.encoders.build import build_masked_lm, read_encoder_config
from textome.encoders.checkpoint import load_tensors, to_hugging_face, write_tensors
from textome.encoders.interface import MaskedLM
from textome.encoders.layers.packing import Layout
from textome.errors import ModelError

SIZES = {"vocab_size": 97, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 96, "initializer_range": 0.2}
LENGTHS = [3, 7, 7, 40, 90, 1]
# GPT-NeoX with these settings is GPT-2 with rotary positions.
NEOX = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 96,
    "hidden_act": "gelu_new",
    "rotary_pct": 1.0,
    "use_parallel_residual": False,
    "tie_word_embeddings": True,
    "layer_norm_eps": 1e-5,
}
ROTARY = {"model_type": "textome-gpt", "rotary_theta": 10000.0}


def shaken(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """With other weights than one or zero everywhere."""
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def reference(**extra: object) -> transformers.GPT2LMHeadModel:
    torch.manual_seed(0)
    return shaken(transformers.GPT2LMHeadModel(transformers.GPT2Config(**(SIZES | extra))))


def ours_of(theirs: transformers.GPT2LMHeadModel) -> MaskedLM:
    model = build_masked_lm(read_encoder_config(theirs.config.to_dict()))
    load_tensors(model, theirs.state_dict(), "reference")
    return model.eval()


def sequences() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 97, (length,), generator=generator) for length in LENGTHS]


def logits_of(model: MaskedLM, ids: list[torch.Tensor]) -> torch.Tensor:
    layout = Layout.of([len(row) for row in ids])
    return model(torch.cat(ids), layout, torch.arange(layout.num_tokens))[0]


@pytest.mark.parametrize("extra", [{}, {"activation_function": "relu", "n_inner": 40, "layer_norm_epsilon": 1e-3}])
def test_logits_equal_those_of_transformers(extra: dict[str, object]) -> None:
    """Each sequence alone there, all of them packed here."""
    theirs, ids = reference(**extra), sequences()
    ours = ours_of(theirs)
    with torch.no_grad():
        expected = torch.cat([theirs(row[None]).logits[0] for row in ids])
        assert (logits_of(ours, ids) - expected).abs().max() < 1e-4


def test_gradients_equal_those_of_transformers() -> None:
    theirs, ids, weights = reference(), sequences(), torch.randn(sum(LENGTHS), 97)
    for module in theirs.modules():  # which else would drop in training
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    ours = ours_of(theirs)
    (logits_of(ours, ids) * weights).sum().backward()
    (torch.cat([theirs(row[None]).logits[0] for row in ids]) * weights).sum().backward()
    names = ours.tensor_names()
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        expected = gradients[names.prefix + names.names[name][0].removeprefix(names.prefix)].grad
        expected = expected.t() if name in names.transposed else expected
        assert torch.allclose(parameter.grad, expected, rtol=1e-3, atol=2e-3), name


def test_checkpoints_are_written_as_transformers_reads_them(tmp_path: Path) -> None:
    theirs, ids = reference(), sequences()
    ours = ours_of(theirs)
    write_tensors(tmp_path / "model.safetensors", to_hugging_face(ours))
    theirs.config.save_pretrained(tmp_path)
    again, loading = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    with torch.no_grad():
        for row in ids:
            assert torch.equal(again.eval()(row[None]).logits, theirs(row[None]).logits)


def test_rotary_positions_equal_those_of_gpt_neox() -> None:
    torch.manual_seed(0)
    theirs = shaken(transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**NEOX)))
    theirs.tie_weights()
    ours = build_masked_lm(read_encoder_config(SIZES | ROTARY)).eval()
    pairs = {
        "attention_norm": "input_layernorm",
        "attention.project": "attention.query_key_value",
        "attention.output": "attention.dense",
        "feed_forward_norm": "post_attention_layernorm",
        "feed_forward.expand": "mlp.dense_h_to_4h",
        "feed_forward.contract": "mlp.dense_4h_to_h",
    }
    state, source = ours.state_dict(), theirs.state_dict()
    state["encoder.embeddings.word_embeddings.weight"] = source["gpt_neox.embed_in.weight"]
    for kind in ("weight", "bias"):
        state[f"encoder.norm.{kind}"] = source[f"gpt_neox.final_layer_norm.{kind}"]
        for number in range(3):
            for name, other in pairs.items():
                tensor = source[f"gpt_neox.layers.{number}.{other}.{kind}"]
                if name == "attention.project":  # there by head, and then query, key and value
                    tensor = tensor.view(4, 3, 8, -1).transpose(0, 1).reshape(tensor.shape)
                state[f"encoder.layers.{number}.{name}.{kind}"] = tensor
    ours.load_state_dict(state)
    ids = sequences()
    with torch.no_grad():
        expected = torch.cat([theirs(row[None]).logits[0] for row in ids])
        assert (logits_of(ours, ids) - expected).abs().max() < 1e-4


def test_no_token_sees_what_follows_it() -> None:
    ours, (*_, row, _) = ours_of(reference()), sequences()
    changed = torch.cat([row[:50], (row[50:] + 1) % 97])
    with torch.no_grad():
        before, after = logits_of(ours, [row]), logits_of(ours, [changed])
    assert torch.equal(before[:50], after[:50])
    assert not torch.allclose(before[50:], after[50:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"rotary_theta": 10000.0}, "rotary_theta is for"),
        ({"model_type": "textome-gpt"}, "they need it"),
        ({"n_head": 5}, "not a multiple"),
        ({"activation_function": "gelu_old"}, "gelu_old"),
    ],
)
def test_settings_that_are_not_computed_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_encoder_config({"model_type": "gpt2"} | SIZES | changes)


def test_what_does_not_fit_is_refused() -> None:
    model = build_masked_lm(read_encoder_config({"model_type": "gpt2"} | SIZES))
    tensors = to_hugging_face(model)
    tensors["transformer.h.0.attn.c_attn.weight"] = tensors["transformer.h.0.attn.c_attn.weight"].t()
    with pytest.raises(ModelError, match=r"c_attn.weight has shape \(96, 32\), expected \(32, 96\)"):
        load_tensors(model, tensors, "reference")
    with pytest.raises(ValueError, match="longer than the model's 96 positions"):
        logits_of(model, [torch.zeros(97, dtype=torch.int64)])
    with pytest.raises(ValueError, match="next_sentence"):
        build_masked_lm(read_encoder_config({"model_type": "gpt2"} | SIZES), next_sentence=True)

"""ModernBERT against `transformers`: same weights, same numbers, in ragged batches without padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from onnxruntime import InferenceSession
from safetensors.torch import save_file

from graphs import logits, lone_session
from textome.encoders.build import architecture, build_encoder, build_masked_lm, read_encoder_config
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.heads import TaskModel, TokenClassifier
from textome.encoders.interface import CheckpointModel
from textome.encoders.layers.packing import Layout
from textome.errors import ModelError
from textome.runtime.graph import Precision, build_graph
from textome.runtime.graph_weights import graph_weights
from textome.tasks import HeadShape

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 128,
    "local_attention": 12,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "cls_token_id": 1,
    "eos_token_id": 2,
    "sep_token_id": 2,
    "initializer_range": 0.2,
}
BIASES = {"attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True}
LENGTHS = [3, 7, 7, 40, 90, 1]


def reference(cls: type = transformers.ModernBertModel, **extra: object) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    model = cls(transformers.ModernBertConfig(**(SIZES | extra), attn_implementation="eager"))
    for parameter in model.parameters():  # also what starts as one or zero
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def filled(model: CheckpointModel, theirs: transformers.PreTrainedModel) -> CheckpointModel:
    load_tensors(model, theirs.state_dict(), "reference")
    return model.eval()


def sequences() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 97, (length,), generator=generator) for length in LENGTHS]


@pytest.mark.parametrize(
    "extra", [{}, BIASES, {"local_attention": 2, "hidden_activation": "gelu_new"}, {"hidden_activation": "silu"}]
)
def test_hidden_states_equal_those_of_transformers(extra: dict[str, object]) -> None:
    """Each sequence alone there, all of them packed here; some are longer than the window."""
    theirs = reference(**extra)
    ours = filled(build_encoder(read_encoder_config(theirs.config.to_dict())), theirs)
    ids = sequences()
    with torch.no_grad():
        found = ours(torch.cat(ids), Layout.of(LENGTHS))
        expected = torch.cat([theirs(row[None]).last_hidden_state[0] for row in ids])
    assert (found - expected).abs().max() < 2e-5


def test_gradients_equal_those_of_transformers() -> None:
    theirs = reference()
    ours = filled(build_encoder(read_encoder_config(theirs.config.to_dict())), theirs)
    ids, weights = sequences(), torch.randn(sum(LENGTHS), 32)
    (ours(torch.cat(ids), Layout.of(LENGTHS)) * weights).sum().backward()
    (torch.cat([theirs(row[None]).last_hidden_state[0] for row in ids]) * weights).sum().backward()
    names, given = ours.tensor_names().names, dict(ours.named_parameters())
    for name, parameter in given.items():
        expected = theirs.get_parameter(names[name][0]).grad
        assert torch.allclose(parameter.grad, expected, atol=1e-4 * float(expected.abs().max())), name


def test_masked_words_are_scored_as_in_transformers() -> None:
    theirs = reference(transformers.ModernBertForMaskedLM)
    ours = filled(build_masked_lm(read_encoder_config(theirs.config.to_dict())), theirs)
    ids, positions = sequences()[3], torch.tensor([0, 5, 39])
    with torch.no_grad():
        logits, follows = ours(ids, Layout.of([40]), positions)
        expected = theirs(ids[None]).logits[0][positions]
    assert follows is None
    assert (logits - expected).abs().max() < 1e-4


def test_labels_of_tokens_are_scored_as_in_transformers() -> None:
    theirs = reference(transformers.ModernBertForTokenClassification, num_labels=6)
    ours = filled(TokenClassifier(read_encoder_config(theirs.config.to_dict()), 6), theirs)
    ids = sequences()
    with torch.no_grad():
        found = ours(torch.cat(ids), Layout.of(LENGTHS))
        expected = torch.cat([theirs(row[None]).logits[0] for row in ids])
    assert (found - expected).abs().max() < 1e-4


def test_labels_of_texts_are_scored_as_in_transformers() -> None:
    row = architecture(read_encoder_config({"model_type": "modernbert"}))
    theirs = reference(transformers.ModernBertForSequenceClassification, num_labels=3, **row.config)
    ours = filled(TaskModel(read_encoder_config(theirs.config.to_dict()), {"topic": (3, 1)}), theirs)
    ids, layout = sequences(), Layout.of(LENGTHS)
    with torch.no_grad():
        found = ours("topic", torch.cat(ids), layout, layout.cu_seqlens[:-1].long()[:, None])
        expected = torch.cat([theirs(row[None]).logits for row in ids])
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("extra", [{}, BIASES])
@pytest.mark.parametrize("kind", ["ForMaskedLM", "ForTokenClassification"])
def test_checkpoints_go_both_ways(kind: str, extra: dict[str, object], tmp_path: Path) -> None:
    cls = getattr(transformers, f"ModernBert{kind}")
    theirs = reference(cls, **extra)
    config = read_encoder_config(theirs.config.to_dict())
    ours = filled(build_masked_lm(config) if kind == "ForMaskedLM" else TokenClassifier(config, 2), theirs)
    theirs.config.save_pretrained(tmp_path)
    save_file(to_hugging_face(ours), tmp_path / "model.safetensors", metadata={"format": "pt"})
    again, report = cls.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_a_configuration_of_the_first_checkpoints_is_that_of_today() -> None:
    old = SIZES | {"global_attn_every_n_layers": 2, "global_rope_theta": 5000.0, "local_rope_theta": None}
    config = read_encoder_config(old | {"model_type": "modernbert"})
    assert config.windows == (None, 6, None, 6)
    assert (config.theta(None), config.theta(6)) == (5000.0, 10_000.0)
    theirs = transformers.ModernBertConfig(**(SIZES | {"global_attn_every_n_layers": 2, "global_rope_theta": 5000.0}))
    assert read_encoder_config(theirs.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "'yarn' are not supported"),
        ({"layer_types": ["chunked_attention"] * 22}, "chunked_attention"),
        ({"num_hidden_layers": 3, "layer_types": ["full_attention"]}, "1 of 3 layers"),
        ({"hidden_activation": "mish"}, "'mish' is not one of"),
        ({"hidden_size": 100, "num_attention_heads": 3}, "not a multiple"),
    ],
)
def test_what_is_not_supported_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_encoder_config({"model_type": "modernbert"} | values)


def test_more_tokens_than_positions_poolers_and_pairs_are_refused() -> None:
    config = read_encoder_config({"model_type": "modernbert"} | SIZES)
    with pytest.raises(ValueError, match="longer than the model's 128 positions"):
        build_encoder(config)(torch.zeros(129, dtype=torch.long), Layout.of([129]))
    with pytest.raises(ValueError, match="no pooler"):
        build_encoder(config, pooler=True)
    with pytest.raises(ValueError, match="next_sentence"):
        build_masked_lm(config, next_sentence=True)


def written(theirs: transformers.PreTrainedModel, path: Path, precision: Precision, heads: object = None) -> Path:
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    path.write_bytes(build_graph(tensors, theirs.config.to_dict(), precision, heads).SerializeToString())  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("extra", [{}, BIASES, {"hidden_activation": "silu"}])
def test_the_graph_computes_what_transformers_does_whatever_stands_beside(
    extra: dict[str, object], tmp_path: Path
) -> None:
    theirs = reference(transformers.ModernBertForTokenClassification, num_labels=6, **extra)
    session = lone_session(written(theirs, tmp_path / "model.fp32.onnx", "fp32"))
    ids = sequences()
    rows = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=5).numpy()
    scores = logits(session, rows, LENGTHS)
    for row, length, found in zip(ids, LENGTHS, scores, strict=True):
        with torch.no_grad():
            expected = theirs(row[None]).logits[0].numpy()
        assert np.abs(found[:length].reshape(length, 6) - expected).max() < 1e-4
        alone = logits(session, row[None].numpy(), [length])[0]
        assert np.abs(found[:length] - alone).max() < 1e-4


def test_int8_is_close(tmp_path: Path) -> None:
    theirs = reference(transformers.ModernBertForTokenClassification, num_labels=6, initializer_range=0.1)
    rows, lengths = sequences()[4][None].numpy(), np.array([90])
    exact, rounded = (
        logits(lone_session(written(theirs, tmp_path / f"model.{precision}.onnx", precision)), rows, lengths)  # type: ignore[arg-type]
        for precision in ("fp32", "int8")
    )
    assert np.abs(exact - rounded).mean() < 0.1 * np.abs(exact).mean()


def test_the_graph_has_a_head_for_each_task(tmp_path: Path) -> None:
    """Over tokens, over [CLS] and over two places, each with the layer that ModernBERT's heads have."""
    sizes = {"tags": (5, 0), "topic": (3, 1), "pairs": (4, 2)}
    torch.manual_seed(2)
    config = transformers.ModernBertConfig(**SIZES).to_dict()
    model = TaskModel(read_encoder_config(config), sizes).eval()
    heads = {name: HeadShape(labels, states) for name, (labels, states) in sizes.items()}
    tensors = {name: tensor.numpy() for name, tensor in to_hugging_face(model).items()}
    session = InferenceSession(build_graph(tensors, config, "fp32", heads).SerializeToString())
    ids = sequences()[3]
    places = torch.tensor([[4, 30]])
    feeds = {"input_ids": ids[None].numpy(), "attention_mask": np.ones((1, 40), np.int32)}
    feeds |= {"token_type_ids": np.zeros((1, 40), np.int64), "pairs.places": places[None].numpy()}
    found = dict(zip(sizes, session.run(list(sizes), feeds), strict=True))
    for name, chosen in (("tags", torch.arange(40)), ("topic", torch.tensor([[0]])), ("pairs", places)):
        with torch.no_grad():
            expected = model(name, ids, Layout.of([40]), chosen).numpy()
        assert np.abs(found[name].reshape(expected.shape) - expected).max() < 1e-4


def test_weights_are_read_back_from_a_graph(tmp_path: Path) -> None:
    theirs = reference(transformers.ModernBertForTokenClassification, num_labels=6)
    path = written(theirs, tmp_path / "model.fp32.onnx", "fp32")
    tensors = graph_weights(path, theirs.config.to_dict())
    assert tensors.keys() == theirs.state_dict().keys()
    for name, tensor in theirs.state_dict().items():
        assert np.array_equal(tensors[name], tensor.numpy()), name


def test_a_graph_of_another_setting_is_refused() -> None:
    scaled = {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}
    with pytest.raises(ModelError, match="'yarn' are not supported"):
        build_graph({}, {"model_type": "modernbert"} | SIZES | scaled, "fp32")

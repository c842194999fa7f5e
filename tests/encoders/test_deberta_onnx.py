"""The exported graphs of DeBERTa against the Hugging Face model with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from graphs import logits, lone_session
from textome.encoders.deberta.onnx import distance_rows
from textome.encoders.deberta.relative import distance_buckets
from textome.errors import ModelError
from textome.runtime.batching import Batch
from textome.runtime.graph import build_graph
from textome.runtime.session import Session
from textome.tasks import HeadShape

SIZES = {
    "vocab_size": 120,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 128,
    "num_labels": 6,
    "relative_attention": True,
    "type_vocab_size": 0,
}
V3 = {
    "position_buckets": 16,
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
}
KINDS: dict[str, dict[str, Any]] = {
    "v3": V3,
    "v2 with its convolution": V3 | {"conv_kernel_size": 3, "conv_act": "gelu", "conv_groups": 2},
    "own keys, all distances": {"pos_att_type": ["c2p", "p2c"], "max_relative_positions": 40, "type_vocab_size": 2},
    "content to position only": V3 | {"pos_att_type": ["c2p"], "share_att_key": False, "conv_kernel_size": 5},
    "no relative positions": {"relative_attention": False, "pos_att_type": []},
    "narrow embeddings": V3 | {"embedding_size": 32},
}


def reference(**extra: Any) -> transformers.DebertaV2ForTokenClassification:
    torch.manual_seed(0)
    model = transformers.DebertaV2ForTokenClassification(transformers.DebertaV2Config(**SIZES | extra))
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("LayerNorm.weight" in name), std=0.08)
    return model.eval()


def written(model: torch.nn.Module, config: dict[str, Any], folder: Path, precision: Any, **heads: HeadShape) -> Path:
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items() if "position_ids" not in name}
    path = folder / f"model.{precision}.onnx"
    path.write_bytes(build_graph(tensors, config, precision, heads or None).SerializeToString())
    return path


@pytest.mark.parametrize("lengths", [[2], [128], [3, 2, 90, 41]])
@pytest.mark.parametrize("kind", KINDS)
def test_fp32_logits_equal_pytorch(kind: str, lengths: list[int], tmp_path: Path) -> None:
    model = reference(**KINDS[kind])
    ids = np.random.default_rng(1).integers(1, 120, (len(lengths), max(lengths)))
    sizes = np.array(lengths)
    mask = torch.arange(ids.shape[1])[None] < torch.from_numpy(sizes)[:, None]
    with torch.no_grad():
        expected = model(torch.from_numpy(ids), attention_mask=mask.long()).logits.numpy()
    session = lone_session(written(model, model.config.to_dict(), tmp_path, "fp32"))
    found = logits(session, ids, sizes).reshape(expected.shape)
    assert np.abs(found - expected)[mask.numpy()].max() < 1e-4


def test_int8_stays_near_and_is_a_quarter_as_large(tmp_path: Path) -> None:
    model = reference(**KINDS["v2 with its convolution"] | {"vocab_size": 4000})
    config = model.config.to_dict()
    paths = [written(model, config, tmp_path, precision) for precision in ("fp32", "int8")]
    assert paths[1].stat().st_size < 0.4 * paths[0].stat().st_size
    ids = np.random.default_rng(1).integers(1, 4000, (3, 60))
    full, small = (logits(lone_session(path), ids, [60, 9, 33]) for path in paths)
    for row, length in enumerate((60, 9, 33)):
        one, two = (scores[row, :length].ravel() for scores in (full, small))
        assert np.corrcoef(one, two)[0, 1] > 0.99


def test_bf16_stays_near_and_is_about_half_as_large(tmp_path: Path) -> None:
    model = reference(**KINDS["v2 with its convolution"] | {"vocab_size": 4000})
    paths = [written(model, model.config.to_dict(), tmp_path, precision) for precision in ("fp32", "bf16")]
    assert paths[1].stat().st_size < 0.6 * paths[0].stat().st_size
    ids = np.random.default_rng(1).integers(1, 4000, (2, 60))
    full, half = (logits(lone_session(path), ids, [60, 60]) for path in paths)
    assert 0 < np.abs(full - half).mean() < 0.02 * np.abs(full).std()


def test_tasks_over_deberta_ask_for_token_types_and_places(tmp_path: Path) -> None:
    model = reference(**V3)
    tensors = torch.nn.Module()
    tensors.deberta = model.deberta
    heads = {"one": HeadShape(3, 1), "three": HeadShape(2, 3)}
    tensors.heads = torch.nn.ModuleDict()
    for name, head in heads.items():
        layers = {
            "dense": torch.nn.Linear(64 * head.num_pooled_positions, 64),
            "classifier": torch.nn.Linear(64, head.num_labels),
        }
        tensors.heads[name] = torch.nn.ModuleDict(layers)
    path = written(tensors, model.config.to_dict(), tmp_path, "fp32", **heads)
    session = Session(path, {"one": HeadShape(3, 1), "three": HeadShape(2, 3)}, threads=1)
    ids, sizes = np.random.default_rng(1).integers(1, 120, (2, 20)), np.array([20, 12])
    places = np.array([[[0, 4, 9], [0, 0, 0]], [[0, 1, 11], [5, 2, 3]]])
    (found,) = session.run(["three"], Batch(ids, None, sizes, places))
    mask = torch.arange(20)[None] < torch.from_numpy(sizes)[:, None]
    with torch.no_grad():
        hidden = model.deberta(torch.from_numpy(ids), attention_mask=mask.long()).last_hidden_state
        joined = torch.stack([hidden[row, where].flatten(1) for row, where in enumerate(torch.from_numpy(places))])
        head = tensors.heads["three"]
        expected = head["classifier"](torch.tanh(head["dense"](joined))).numpy()
    assert np.abs(found - expected).max() < 1e-4
    assert session.run(["one"], Batch(ids, np.ones_like(ids), sizes))[0].shape == (2, 3)


@pytest.mark.parametrize(("buckets", "max_relative_position"), [(0, 40), (16, 128), (256, 512)])
def test_rows_of_distances_are_those_of_training(buckets: int, max_relative_position: int) -> None:
    expected = distance_buckets(512, buckets, max_relative_position, torch.device("cpu"))
    assert (distance_rows(512, buckets, max_relative_position) == expected.numpy()).all()


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    model = reference(**KINDS["v2 with its convolution"])
    with pytest.raises(ModelError, match="the activation 'quick_gelu' cannot be exported"):
        written(model, model.config.to_dict() | {"conv_act": "quick_gelu"}, tmp_path, "fp32")
    with pytest.raises(ModelError, match="missing: deberta\\.embeddings"):
        build_graph({}, model.config.to_dict(), "fp32")
    with pytest.raises(ModelError, match="the architecture is 'llama'"):
        build_graph({}, {"model_type": "llama"}, "fp32")

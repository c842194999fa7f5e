"""Tokens that leave early: never changes nothing, and what leaves depends on a sentence alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import logits
from textome.encoders import EXIT_THRESHOLD
from textome.encoders.early_exit import EarlyExit
from textome.errors import ModelError
from textome.runtime.batching import Batch
from textome.runtime.graph import build_graph
from textome.runtime.graph_weights import graph_constant, graph_ranges, graph_weights
from textome.runtime.hidden_states import hidden_states_output
from textome.runtime.session import Session
from textome.tasks import HeadShape

SIZES = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "num_labels": 6,
}
OUTSIDE = np.array([5, -5, -4, 6, -6, -5], np.float32)
HEADS = {"entities": HeadShape(6, 0)}
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def model() -> transformers.BertForTokenClassification:
    torch.manual_seed(0)
    model = transformers.BertForTokenClassification(transformers.BertConfig(**SIZES))
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("LayerNorm.weight" in name), std=0.2)
    return model.eval()


@pytest.fixture(scope="module")
def weights(model: transformers.BertForTokenClassification) -> tuple[dict[str, Any], dict[str, Any]]:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}, model.config.to_dict()


def gate(depth: int = 2, threshold: float = 0.0) -> EarlyExit:
    """Its score is a random direction of the hidden states: ReLU of it, less ReLU of its opposite."""
    direction = np.random.default_rng(depth).normal(size=(1, 32))
    dense = np.concatenate([direction, -direction])
    return EarlyExit(depth, dense, np.zeros(2), np.array([[1.0, -1.0]]), np.zeros(1), threshold, OUTSIDE)


RANGES = (-12.0, 12.0)


def written(weights: tuple[dict[str, Any], dict[str, Any]], path: Path, early_exit: EarlyExit | None) -> Path:
    tensors, config = weights
    names = [node.input[0] for node in build_graph(tensors, config, "fp32").graph.node if node.op_type == "MatMul"]
    ranges = dict.fromkeys(names, RANGES)
    path.write_bytes(build_graph(tensors, config, "int8", None, ranges, early_exit).SerializeToString())
    return path


@pytest.fixture(scope="module")
def plain(weights: tuple[dict[str, Any], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(written(weights, tmp_path_factory.mktemp("plain") / "model.int8.onnx", None), HEADS, 1)


@pytest.fixture(scope="module")
def path(weights: tuple[dict[str, Any], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(weights, tmp_path_factory.mktemp("exit") / "model.int8.onnx", gate())


def drawn(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(sum(sizes)).integers(1, 90, (len(sizes), max(sizes)))


@settings(max_examples=40, deadline=None)
@given(lengths)
def test_without_a_gate_in_use_scores_are_those_of_the_whole_model_bit_for_bit(
    plain: Session, path: Path, sizes: list[int]
) -> None:
    whole, found = (logits(session, drawn(sizes), sizes) for session in (plain, Session(path, HEADS, 1, None, False)))
    for row, length in enumerate(sizes):
        assert np.array_equal(found[row, :length], whole[row, :length])


@settings(max_examples=40, deadline=None)
@given(lengths)
def test_what_a_text_gets_does_not_depend_on_its_batch(path: Path, sizes: list[int]) -> None:
    session, ids = Session(path, HEADS, 1), drawn(sizes)
    together = logits(session, ids, sizes)
    for row, length in enumerate(sizes):
        alone = logits(session, ids[row : row + 1, :length], [length])[0]
        assert np.array_equal((alone == OUTSIDE).all(-1), (together[row, :length] == OUTSIDE).all(-1))
        np.testing.assert_allclose(together[row, :length], alone, atol=0.05)


def test_tokens_that_leave_are_outside_and_the_others_are_not(path: Path) -> None:
    sizes = [40, 31, 7]
    scores = logits(Session(path, HEADS, 1), drawn(sizes), sizes)
    left = [(scores[row, :length] == OUTSIDE).all(-1) for row, length in enumerate(sizes)]
    assert 0.1 < np.concatenate(left).mean() < 0.9


@pytest.mark.parametrize("sizes", [[1], [1, 30], [5, 5, 5]])
def test_where_all_tokens_leave_all_are_outside(
    weights: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path, sizes: list[int]
) -> None:
    path = written(weights, tmp_path / "model.int8.onnx", gate(threshold=1e9))
    scores = logits(Session(path, HEADS, 1), drawn(sizes), sizes)
    assert (scores == OUTSIDE).all()


def test_tokens_that_left_serve_as_keys_and_values(
    model: transformers.BertForTokenClassification, weights: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    """Against the layers of transformers, with the hidden states of tokens that left put back after each layer."""
    ids = torch.from_numpy(drawn([30]))
    with torch.no_grad():
        hidden = model.bert(ids, output_hidden_states=True).hidden_states[1]
        scores = hidden.double() @ torch.from_numpy(gate(1).dense[0])
        early_exit = gate(1, float(scores.median()) + 1e-3)
        stays = scores > early_exit.threshold
        for layer in model.bert.encoder.layer[1:]:
            output = layer(hidden)
            hidden = torch.where(stays[..., None], output[0] if isinstance(output, tuple) else output, hidden)
        expected = torch.where(stays[..., None], model.classifier(hidden), torch.from_numpy(OUTSIDE))
    assert 0 < stays.sum() < 30
    path = tmp_path / "model.fp32.onnx"
    path.write_bytes(build_graph(*weights, "fp32", early_exit=early_exit).SerializeToString())
    np.testing.assert_allclose(logits(Session(path, HEADS, 1), ids.numpy(), [30]), expected.numpy(), atol=1e-4)


def test_hidden_states_are_those_of_the_whole_model(
    weights: tuple[dict[str, Any], dict[str, Any]], plain: Session, path: Path
) -> None:
    states, batch = hidden_states_output(weights[1], False), Batch(drawn([20, 9]), None, np.array([20, 9]))
    whole, found = (Session(name, HEADS, 1, states).hidden_states(batch) for name in (plain_path(plain), path))
    for row, length in enumerate((20, 9)):
        assert np.array_equal(whole[row, :length], found[row, :length])


def plain_path(session: Session) -> Path:
    return session._session.path  # type: ignore[no-any-return]


def test_a_graph_with_a_gate_is_made_again_from_its_own_weights(
    weights: tuple[dict[str, Any], dict[str, Any]], path: Path
) -> None:
    ranges = graph_ranges(path)
    assert set(ranges) == set(graph_ranges(plain_path_of(weights, path.parent)))
    again = build_graph(graph_weights(path, weights[1]), weights[1], "int8", None, ranges, gate()).SerializeToString()
    feeds = {"input_ids": drawn([12]), "attention_mask": np.ones((1, 12), np.int32)}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    first, second = (
        onnxruntime.InferenceSession(item, options).run(None, feeds)[0] for item in (path.read_bytes(), again)
    )
    assert np.array_equal(first, second)
    assert graph_constant(path, EXIT_THRESHOLD) == 0
    with pytest.raises(ModelError, match=r"no constant exit\.nothing"):
        graph_constant(path, "exit.nothing")


def plain_path_of(weights: tuple[dict[str, Any], dict[str, Any]], folder: Path) -> Path:
    return written(weights, folder / "again.int8.onnx", None)


def test_what_cannot_leave_is_refused(weights: tuple[dict[str, Any], dict[str, Any]]) -> None:
    tensors, config = weights
    with pytest.raises(ModelError, match="after layer 4 of 4"):
        build_graph(tensors, config, "fp32", early_exit=gate(depth=4))
    with pytest.raises(ModelError, match="ranges of its activations are fixed"):
        build_graph(tensors, config, "int8", early_exit=gate())
    with pytest.raises(ModelError, match="BERT models for entities alone"):
        build_graph(tensors, config, "fp32", {}, early_exit=gate())

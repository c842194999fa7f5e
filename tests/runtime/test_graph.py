"""The exported graphs against the Hugging Face model with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from onnx import numpy_helper

from graphs import logits, lone_session
from textome.errors import ModelError
from textome.runtime.graph import build_graph, quantise_rows
from textome.runtime.session import Session

SIZES = {
    "vocab_size": 120,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 512,
    "num_labels": 6,
}
RAGGED = [[1], [512], [3, 1, 7, 7], [511, 2, 64]]


def reference(**extra: Any) -> transformers.BertForTokenClassification:
    torch.manual_seed(0)
    model = transformers.BertForTokenClassification(transformers.BertConfig(**SIZES, **extra))
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("LayerNorm.weight" in name), std=0.08)
    return model.eval()


def graph(model: transformers.BertForTokenClassification, folder: Path, precision: Any) -> Session:
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    path = folder / f"model.{precision}.onnx"
    path.write_bytes(build_graph(tensors, model.config.to_dict(), precision).SerializeToString())
    return lone_session(path)


def inputs(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(len(lengths))
    return generator.integers(1, 120, (len(lengths), max(lengths))), np.array(lengths)


def expected(model: transformers.BertForTokenClassification, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    mask = torch.arange(ids.shape[1])[None] < torch.from_numpy(lengths)[:, None]
    with torch.no_grad():
        return model(torch.from_numpy(ids), attention_mask=mask.long()).logits.numpy()


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
@pytest.mark.parametrize("lengths", RAGGED)
def test_fp32_logits_equal_pytorch(lengths: list[int], activation: str, tmp_path: Path) -> None:
    model = reference(hidden_act=activation)
    ids, sizes = inputs(lengths)
    found = logits(graph(model, tmp_path, "fp32"), ids, sizes)
    wanted = expected(model, ids, sizes)
    assert found.shape == (len(lengths), max(lengths), 6)
    for row, length in enumerate(lengths):
        assert np.abs(found[row, :length].reshape(length, -1) - wanted[row, :length]).max() < 2e-5


def test_int8_is_close_and_smaller(tmp_path: Path) -> None:
    model = reference()
    ids, sizes = inputs([64] * 8)
    wanted = expected(model, ids, sizes)
    found = logits(graph(model, tmp_path, "int8"), ids, sizes).reshape(wanted.shape)
    assert np.abs(found - wanted).mean() < 0.05 * np.abs(wanted).std()
    assert (found.argmax(-1) == wanted.argmax(-1)).mean() > 0.95
    graph(model, tmp_path, "fp32")
    assert (tmp_path / "model.int8.onnx").stat().st_size < 0.5 * (tmp_path / "model.fp32.onnx").stat().st_size


def test_int8_weights_cannot_overflow_sums_of_16_bits(tmp_path: Path) -> None:
    """A processor without VNNI adds the products of two activations (0..255) and two weights in signed 16 bits."""
    tensors = {name: tensor.numpy() for name, tensor in reference().state_dict().items()}
    model = build_graph(tensors, reference().config.to_dict(), "int8")
    weights = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    products = [weights[node.input[1]] for node in model.graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(products) == 6 * SIZES["num_hidden_layers"]
    for matrix in products:
        assert 2 * 255 * int(np.abs(matrix.astype(np.int32)).max()) < 2**15


def test_bf16_is_the_model_with_rounded_matrices_and_half_as_large(tmp_path: Path) -> None:
    model = reference()
    ids, sizes = inputs([40, 3])
    session = graph(model, tmp_path, "bf16")
    graph(model, tmp_path, "fp32")
    sizes_of = {name: (tmp_path / f"model.{name}.onnx").stat().st_size for name in ("bf16", "fp32")}
    assert sizes_of["bf16"] < 0.75 * sizes_of["fp32"]  # positions are a third of so small a model, and stay as they are
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "word_embeddings" in name or (parameter.ndim == 2 and ".encoder." in name):
                parameter.copy_(parameter.bfloat16().float())
    wanted = expected(model, ids, sizes)
    found = logits(session, ids, sizes)
    for row, length in enumerate((40, 3)):
        assert np.abs(found[row, :length].reshape(length, -1) - wanted[row, :length]).max() < 2e-5


def test_padding_does_not_change_a_row(tmp_path: Path) -> None:
    session = graph(reference(), tmp_path, "fp32")
    ids, _ = inputs([9])
    alone = logits(session, ids, [9])
    wide = np.concatenate([np.pad(ids, ((0, 0), (0, 40)), constant_values=7), np.full((1, 49), 3)])
    assert np.abs(logits(session, wide, [9, 49])[0, :9] - alone[0]).max() < 1e-5


@pytest.mark.parametrize("bits", [7, 8])
def test_quantised_rows_are_within_half_a_step(bits: int) -> None:
    matrix = np.random.default_rng(0).normal(size=(5, 100)).astype(np.float32)
    matrix[2] = 0
    values, scales = quantise_rows(matrix, bits)
    assert np.abs(values).max() <= 2 ** (bits - 1) - 1
    assert (np.abs(values * scales[:, None] - matrix) <= scales[:, None] / 2 + 1e-6).all()


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = reference()
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    del tensors["bert.encoder.layer.2.output.dense.bias"]
    tensors["extra"] = np.zeros(1)
    tensors["classifier.bias"] = np.zeros(5)
    with pytest.raises(ModelError) as error:
        build_graph(tensors, model.config.to_dict(), "fp32")
    for part in ("missing: bert.encoder.layer.2.output.dense.bias", "extra", "(5,), expected (6,)"):
        assert part in str(error.value)


def test_activations_without_an_operator_are_refused() -> None:
    model = reference(hidden_act="quick_gelu")
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError, match="quick_gelu"):
        build_graph(tensors, model.config.to_dict(), "fp32")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.int8.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Session(path, {})

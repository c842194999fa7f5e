"""Weights read back from an exported graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers

from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import to_hugging_face
from textome.encoders.heads import TaskModel
from textome.errors import ModelError
from textome.runtime.graph import build_graph
from textome.runtime.graph_weights import graph_weights
from textome.tasks import HeadShape

SIZES = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "num_labels": 6,
}


@pytest.fixture(scope="module")
def model() -> transformers.BertForTokenClassification:
    torch.manual_seed(0)
    model = transformers.BertForTokenClassification(transformers.BertConfig(**SIZES))
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("LayerNorm.weight" in name), std=0.3)
    return model.eval()


def written(model: transformers.BertForTokenClassification, folder: Path, precision: str) -> tuple[Path, dict]:
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    path = folder / f"model.{precision}.onnx"
    path.write_bytes(build_graph(tensors, model.config.to_dict(), precision).SerializeToString())
    return path, model.config.to_dict()


def test_a_model_with_the_weights_of_a_fp32_graph_computes_what_the_model_did(model, tmp_path: Path) -> None:
    path, config = written(model, tmp_path, "fp32")
    other = transformers.BertForTokenClassification(transformers.BertConfig(**SIZES)).eval()
    other.load_state_dict({name: torch.from_numpy(item) for name, item in graph_weights(path, config).items()})
    ids = torch.randint(1, 90, (3, 20))
    with torch.no_grad():
        assert (other(ids).logits - model(ids).logits).abs().max() < 1e-5


def test_weights_of_a_bf16_graph_give_the_same_graph_again(model, tmp_path: Path) -> None:
    path, config = written(model, tmp_path, "bf16")
    found = graph_weights(path, config)
    name = "bert.encoder.layer.1.output.dense.weight"
    assert np.array_equal(found[name], model.state_dict()[name].bfloat16().float().numpy())
    again = build_graph(found, config, "bf16")
    assert again.graph.initializer == onnx.load(str(path)).graph.initializer


def test_weights_of_an_int8_graph_are_near_and_give_the_same_graph_again(model, tmp_path: Path) -> None:
    path, config = written(model, tmp_path, "int8")
    found = graph_weights(path, config)
    for name, tensor in model.state_dict().items():
        if "token_type" not in name and "position" not in name:
            assert np.abs(found[name] - tensor.numpy()).max() <= np.abs(tensor.numpy()).max() / 63 / 2 + 1e-6, name
    again = build_graph(found, config, "int8")
    for first, second in zip(onnx.load(str(path)).graph.initializer, again.graph.initializer, strict=True):
        assert first.name == second.name
        one, other = (onnx.numpy_helper.to_array(item) for item in (first, second))
        if one.dtype == np.int8:
            assert np.array_equal(one, other), first.name
        else:
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_weights_of_a_graph_with_several_heads_come_back(tmp_path: Path, precision: str) -> None:
    """Such a graph takes token types; a run can go on from it, as from one of entities."""
    config = transformers.BertConfig(**SIZES).to_dict()
    heads = {"topic": HeadShape(3, 1), "relations": HeadShape(4, 3 + 2 * 2, (2, 2))}
    torch.manual_seed(0)
    model = TaskModel(BertConfig.from_dict(config), heads)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tensors = {name: tensor.numpy() for name, tensor in to_hugging_face(model).items()}
    path = tmp_path / f"model.{precision}.onnx"
    path.write_bytes(build_graph(tensors, config, precision, heads).SerializeToString())
    found = graph_weights(path, config, heads)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        rounded = precision == "int8" and name.endswith("weight") and "encoder.layer" in name and "Norm" not in name
        near = np.abs(tensor).max() / 63 / 2 if rounded or "word_embeddings" in name else 0.0
        assert np.abs(found[name] - tensor).max() <= near + 1e-6, name


def test_what_is_not_an_entity_model_of_bert_is_refused(model, tmp_path: Path) -> None:
    path, config = written(model, tmp_path, "fp32")
    with pytest.raises(ModelError, match="not read back from graphs of DeBERTa"):
        graph_weights(path, config | {"model_type": "deberta-v2"})
    with pytest.raises(ModelError, match=r"no bert\.encoder\.layer\.2"):
        graph_weights(path, config | {"num_hidden_layers": 3})
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot be read"):
        graph_weights(path, config)

"""Vectors of texts against the Hugging Face model with the same weights, and of windows against those of their words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers

import textome
from graphs import lone_session
from textome.cli.verbs.training.export import export
from textome.errors import InputError, ModelError
from textome.runtime.batching import Batch
from textome.runtime.bundle import Bundle
from textome.runtime.embedder import Embedder
from textome.runtime.export import export_encoder
from textome.runtime.graph import build_graph
from textome.runtime.hidden_states import hidden_states_output, with_output
from textome.runtime.session import names_hidden_states
from tiny import make_base, without_names

TEXTS = [
    "aspirin is given for gout .",
    "no malaria was seen",
    "metformin",
    "patients with breast cancer took insulin daily",
]


def expected(bundle: Path, texts: list[str], pooling: str) -> np.ndarray:
    """One text at a time, so that there is no padding."""
    model = transformers.BertModel.from_pretrained(bundle, add_pooling_layer=False).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundle)
    rows = []
    for text in texts:
        with torch.no_grad():
            states = model(torch.tensor([tokenizer(text, truncation=False)["input_ids"]])).last_hidden_state[0]
        rows.append((states.mean(0) if pooling == "mean" else states[0]).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_equal_those_of_transformers(pooling: str, tiny_bundle: Path) -> None:
    found = Embedder.load(tiny_bundle, precision="fp32", threads=1).embed(TEXTS, pooling=pooling, normalise=False)
    assert found.dtype == np.float32
    assert np.abs(found - expected(tiny_bundle, TEXTS, pooling)).max() < 1e-5


def test_a_sentence_encoder_becomes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tensors of a bare encoder have other names, and the pooling is its own."""
    base = make_base(tmp_path / "base")
    (base / "1_Pooling").mkdir()
    (base / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    export(str(base), tmp_path / "vectors", ["fp32", "int8"], True)
    assert [path.name for path in (tmp_path / "vectors").glob("*.onnx")]
    embedder = Embedder.load(tmp_path / "vectors", precision="fp32", threads=1)
    assert embedder.pooling == "cls"
    assert np.abs(embedder.embed(TEXTS, normalise=False) - expected(base, TEXTS, "cls")).max() < 1e-5
    mean = embedder.embed(TEXTS, pooling="mean", normalise=False)
    assert np.abs(mean - expected(base, TEXTS, "mean")).max() < 1e-5
    documents = textome.load(tmp_path / "vectors", precision="fp32", threads=1)(TEXTS)
    vectors = [json.loads(document.metadata["embeddings"]) for document in documents]
    assert np.abs(np.array(vectors) - embedder.embed(TEXTS)).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "cannot be read"),
        ("tokenizer.json", "there is no tokenizer.json"),
        ("model.safetensors", "there is no model.safetensors"),
    ],
)
def test_what_a_sentence_encoder_lacks_is_named(name: str, message: str, tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    (base / name).unlink()
    with pytest.raises(ModelError, match=message):
        export_encoder(base, tmp_path / "vectors", "int8")
    assert not (tmp_path / "vectors").exists()


def test_a_bundle_with_several_tasks_gives_vectors_too(tiny_tasks: Path) -> None:
    bundle = tiny_tasks / "run" / "bundle"
    found = Embedder.load(bundle, precision="fp32", threads=1).embed(TEXTS, normalise=False)
    assert np.abs(found - expected(bundle, TEXTS, "mean")).max() < 1e-5
    close = Embedder.load(bundle, precision="int8", threads=1).embed(TEXTS)
    assert (close * found / np.linalg.norm(found, axis=1, keepdims=True)).sum(1).min() > 0.97


def test_batches_change_nothing_and_lengths_are_one(tiny_bundle: Path) -> None:
    embedder = Embedder.load(tiny_bundle, precision="fp32", threads=1)
    small = Embedder.load(tiny_bundle, precision="fp32", threads=1, token_budget=1)
    found = embedder.embed(TEXTS * 3)
    assert np.abs(found - small.embed(TEXTS * 3)).max() < 1e-5
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0)
    assert embedder.embed([]).shape == (0, 32)


def test_a_long_text_is_the_mean_of_its_windows(tiny_bundle: Path) -> None:
    """The window of 32 holds 30 words of the vocabulary."""
    embedder = Embedder.load(tiny_bundle, precision="fp32", threads=1)
    words = ("aspirin is given for gout " * 8).split()
    whole = embedder.embed([" ".join(words)], normalise=False)[0]
    first, second = embedder.embed([" ".join(words[:30]), " ".join(words[30:])], normalise=False)
    assert np.abs(whole - (30 * first + 10 * second) / 40).max() < 1e-5


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_text_without_words_is_named(text: str, tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match="record 2: a text without any word"):
        Embedder.load(tiny_bundle, threads=1).embed(["gout", text])


def test_an_unknown_pooling_is_told_what_there_is(tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match="choose mean or cls"):
        Embedder.load(tiny_bundle, threads=1).embed(["gout"], pooling="max")  # type: ignore[arg-type]


def test_a_graph_whose_states_have_no_name_is_told_what_to_do(tiny_bundle: Path, tmp_path: Path) -> None:
    other = without_names(tiny_bundle, tmp_path)
    assert not names_hidden_states(other / "model.fp32.onnx", hidden_states_output(Bundle.load(other).config, False))
    with pytest.raises(ModelError, match="export the model again with `textome export`"):
        Embedder.load(other, precision="fp32")
    assert len(textome.load(other, precision="fp32").annotate("aspirin is given for gout").entities) == 2


def test_an_added_output_is_what_onnx_reads_too(tiny_bundle: Path) -> None:
    graph = (tiny_bundle / "model.fp32.onnx").read_bytes()
    before = onnx.load_from_string(graph)
    model = onnx.load_from_string(with_output(graph, "a.name" * 40))
    (logits, added) = model.graph.output
    assert (logits.name, added.name) == ("logits", "a.name" * 40)
    assert added.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    del model.graph.output[1]
    assert model == before


def test_the_states_of_deberta_are_found(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.DebertaV2Config(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        relative_attention=True, position_buckets=8, share_att_key=True, pos_att_type=["p2c", "c2p"], type_vocab_size=0,
        norm_rel_ebd="layer_norm", position_biased_input=False, max_position_embeddings=64, num_labels=6,
    )  # fmt: skip
    model = transformers.DebertaV2ForTokenClassification(config).eval()
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items() if "position_ids" not in name}
    path = tmp_path / "model.fp32.onnx"
    path.write_bytes(build_graph(tensors, config.to_dict(), "fp32").SerializeToString())
    session = lone_session(path, 1, hidden_states_output(config.to_dict(), False))
    ids, lengths = np.random.default_rng(0).integers(3, 50, (2, 9)), np.array([9, 5])
    mask = torch.arange(9)[None] < torch.from_numpy(lengths)[:, None]
    with torch.no_grad():
        reference = model.deberta(torch.from_numpy(ids), attention_mask=mask.long()).last_hidden_state.numpy()
    found = session.hidden_states(Batch(ids, None, lengths))
    for row, length in enumerate(lengths):
        assert np.abs(found[row, :length] - reference[row, :length]).max() < 1e-4

"""Training that rounds as the int8 graph does: against ONNX's operators, against the exported graph, and its gradients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file

from captured import captured_job
from graphs import logits, lone_session
from textome.encoders.bert.model import BertConfig
from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.errors import InputError
from textome.runtime.graph import build_graph, quantise_rows
from textome.training import loop
from textome.training.finetune import finetune
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe
from textome.training.techniques.fake_int8 import add_fake_int8, rounded, rounded_rows
from tiny import make_recipe
from tiny_tasks import make_task_recipe
from training_runs import same_weights

numbers = st.floats(-100, 100, width=32).map(lambda value: 0.0 if abs(value) < 1e-20 else value)


@pytest.fixture(scope="module")
def operator() -> onnxruntime.InferenceSession:
    """DynamicQuantizeLinear and back, by ONNX Runtime."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "m"]) for name in "xy"]
    graph = helper.make_graph(nodes, "one", shapes[:1], shapes[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString())


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=numbers))
def test_activations_are_rounded_as_onnx_does(
    operator: onnxruntime.InferenceSession, values: np.ndarray[tuple[int, int], np.dtype[np.float32]]
) -> None:
    (theirs,) = operator.run(None, {"x": values})
    ours = rounded(torch.from_numpy(values)).numpy()
    scale = (max(float(values.max()), 0.0) - min(float(values.min()), 0.0)) / 255
    # A value half-way between two steps may go either way, since the division is not the same to the last bit.
    away = np.abs(values / max(scale, 1e-30) - np.floor(values / max(scale, 1e-30)) - 0.5)
    assert np.abs(ours - theirs)[away > 1e-3].max(initial=0) <= 1e-5 * max(1e-20, np.abs(values).max())
    assert np.abs(ours - values).max() <= 1.01 * scale + 1e-12


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=numbers), st.sampled_from([7, 8]))
def test_weights_are_rounded_as_the_export_does(
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]], bits: int
) -> None:
    integers, scales = quantise_rows(values, bits)
    theirs = integers * scales[:, None]
    ours = rounded_rows(torch.from_numpy(values), bits).numpy()
    step = scales[:, None]
    away = np.abs(values / step - np.floor(values / step) - 0.5)
    assert (np.abs(ours - theirs) <= 1e-5 * step)[away > 1e-3].all()


def test_the_gradient_goes_through_as_if_nothing_was_rounded() -> None:
    values = torch.randn(4, 5, requires_grad=True)
    weights = torch.randn(4, 5)
    for found in (rounded(values), rounded_rows(values, 7)):
        assert not torch.equal(found, values)
        (gradient,) = torch.autograd.grad((found * weights).sum(), values)
        assert torch.equal(gradient, weights)


def test_the_model_agrees_with_its_int8_graph(tiny_bundle: Path, tmp_path: Path) -> None:
    """With the one that takes the range of each pass, as training does."""
    described = json.loads((tiny_bundle / "config.json").read_text())
    graph = build_graph(load_numpy(tiny_bundle / "model.safetensors"), described, "int8")
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    config = read_encoder_config(described)
    model = TokenClassifier(config, 6).eval()
    load_tensors(model, load_file(tiny_bundle / "model.safetensors"), "tiny")
    session = lone_session(tmp_path / "model.onnx", None)
    generator = np.random.default_rng(0)
    sequences = [generator.integers(5, config.vocab_size, size) for size in (3, 11, 20, 32)]

    def scores() -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        with torch.no_grad():
            return [model(torch.from_numpy(ids), Layout.of([len(ids)])).numpy() for ids in sequences]

    plain = scores()
    remove = add_fake_int8(model.encoder)
    fake = scores()
    remove()
    assert all(np.array_equal(one, other) for one, other in zip(scores(), plain, strict=True))
    for ids, one, other in zip(sequences, plain, fake, strict=True):
        graph = logits(session, ids[None], [len(ids)])[0].reshape(len(ids), -1)
        # What int8 changes is told almost wholly; what is left are values half-way between two steps.
        assert np.abs(other - graph).max() < 0.01 * np.abs(graph).max()
        assert np.abs(other - graph).mean() < 0.1 * np.abs(one - graph).mean()


def test_a_run_trains_the_rounded_model_and_leaves_a_plain_bundle(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, epochs=12, int8_aware=True)
    bundle = finetune(load_recipe(recipe), tmp_path / "run")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["best"] > 0.9
    config = json.loads((bundle / "config.json").read_text())
    model = TokenClassifier(BertConfig.from_dict(config), 6)
    assert not load_tensors(model, load_file(bundle / "model.safetensors"), "bundle").fresh
    weight = model.encoder.layers[0].feed_forward.expand.weight
    assert not torch.allclose(weight, rounded_rows(weight, 7)), "the weights themselves are not rounded"


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(make_recipe(tmp_path, epochs=2, checkpoint_minutes=1e-9, int8_aware=True))
    undisturbed = finetune(recipe, tmp_path / "undisturbed")
    save = loop.save_checkpoint

    def stopping(*arguments: object, **keywords: object) -> None:
        save(*arguments, **keywords)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", stopping)
        with pytest.raises(KeyboardInterrupt):
            finetune(recipe, tmp_path / "run")
    assert same_weights(undisturbed, finetune(recipe, tmp_path / "run", True))


def test_what_it_does_not_go_with_is_refused(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    with pytest.raises(InputError, match=r"int8_aware and training\.lora_rank do not go together"):
        load_recipe(recipe, ["training.int8_aware=true", "training.lora_rank=2"])
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    job = captured_job(recipe, tmp_path / "captured", "training.int8_aware=true")
    names = [name for name, _ in job.model.named_parameters() if "original" in name]
    assert len(names) == 4 * config["num_hidden_layers"]
    with pytest.raises(InputError, match="int8_aware is for encoders of texts of these kinds: bert"):
        add_fake_int8(torch.nn.Linear(2, 2))


def test_tasks_take_it_too(tmp_path: Path) -> None:
    recipe = make_task_recipe(tmp_path, "single", epochs=1)
    bundle = plan_run(recipe, ["training.int8_aware=true"]).start(tmp_path / "run", False, lambda record: None)
    assert not any("parametrizations" in name for name in load_file(bundle / "model.safetensors"))

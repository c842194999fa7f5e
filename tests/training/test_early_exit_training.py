"""Tokens that leave early while a model learns: as in the graph, in half of the batches; and how their gate learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from captured import captured_job
from encoders.test_early_exit import SIZES as MODEL
from graphs import logits as graph_logits
from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import to_hugging_face
from textome.encoders.early_exit import EarlyExit
from textome.encoders.heads import TaskModel
from textome.encoders.layers.packing import Layout
from textome.errors import InputError
from textome.runtime.graph import build_graph
from textome.runtime.session import Session
from textome.tasks import HeadShape
from textome.training.techniques.early_exit import LEARNT_AFTER, ExitGate
from tiny import make_recipe

CONFIG = {name: size for name, size in MODEL.items() if name != "num_labels"} | {
    "model_type": "bert",
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "id2label": {str(number): str(number) for number in range(6)},
}
SIZES = [31, 12, 12, 3]


@pytest.fixture(scope="module")
def model() -> TaskModel:
    torch.manual_seed(0)
    model = TaskModel(read_encoder_config(CONFIG), {"entities": (6, 0)})
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.fixture
def gate() -> ExitGate:
    torch.manual_seed(1)
    gate = ExitGate(32, 2)
    torch.nn.init.normal_(gate.outside)
    return gate


def ids() -> Tensor:
    return torch.randint(1, 90, (sum(SIZES),), generator=torch.Generator().manual_seed(0))


def scored(model: TaskModel, gate: ExitGate, threshold: float | None) -> tuple[Tensor, list[Tensor]]:
    layout = Layout.of(SIZES)
    with gate.leaving(model.encoder, threshold) as seen:
        scores = model("entities", ids(), layout, torch.arange(sum(SIZES)))
    return scores, seen


@torch.no_grad()
def test_a_pass_whose_tokens_leave_has_the_scores_of_the_graph(
    model: TaskModel, gate: ExitGate, tmp_path: Path
) -> None:
    gate_scores = scored(model, gate, None)[1][0]
    threshold = float(gate_scores.median()) + 1e-4
    found, _ = scored(model, gate, threshold)
    dense, classifier = gate.dense, gate.classifier
    early_exit = EarlyExit(
        gate.depth,
        *(item.numpy() for item in (dense.weight, dense.bias, classifier.weight, classifier.bias)),
        threshold,
        model.heads["entities"].scored(gate.outside).numpy(),
    )
    tensors = {name: tensor.numpy() for name, tensor in to_hugging_face(model).items()}
    path = tmp_path / "model.fp32.onnx"
    path.write_bytes(build_graph(tensors, CONFIG, "fp32", early_exit=early_exit).SerializeToString())
    rows = np.zeros((len(SIZES), max(SIZES)), np.int64)
    for row, part in enumerate(torch.split(ids(), SIZES)):
        rows[row, : len(part)] = part.numpy()
    expected = graph_logits(Session(path, {"entities": HeadShape(6, 0)}, 1), rows, SIZES)
    for row, part in enumerate(torch.split(found, SIZES)):
        np.testing.assert_allclose(part.numpy(), expected[row, : len(part)], atol=1e-4)


@torch.no_grad()
def test_where_all_stay_nothing_changes_and_no_hook_remains(model: TaskModel, gate: ExitGate) -> None:
    whole = model("entities", ids(), Layout.of(SIZES), torch.arange(sum(SIZES)))
    assert torch.equal(scored(model, gate, None)[0], whole)
    assert torch.equal(scored(model, gate, -1e9)[0], whole)
    assert not torch.equal(scored(model, gate, 0.0)[0], whole)
    assert torch.equal(model("entities", ids(), Layout.of(SIZES), torch.arange(sum(SIZES))), whole)


# Two types; under a random field an I after an I would be likely, were there one.
OUTSIDE = {
    "linear": [9.0, 0, 0, 9, 0, 0],
    "crf": [9.0, 0, 0, 9, 0, 0, 0, 0, 9, 9.0, 0, 0, 9, 0, 0, 0, 0, 9],
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_the_gate_learns_which_words_have_an_entity_with_all_their_sub_words(
    model: TaskModel, gate: ExitGate, kind: str
) -> None:
    """Words of two tokens; those of the tokens 6 and 7 have an entity."""
    layout = Layout.of([10] * 8)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(gate.parameters(), 0.01)
    rows = torch.arange(80).view(8, 10)
    positions = rows[:, 1:9:2].flatten()
    frozen = [parameter.requires_grad_(False) for parameter in model.parameters()]
    for _ in range(60):
        tokens = torch.randint(8, 90, (80,), generator=generator)
        entity = torch.rand(len(positions), generator=generator) < 0.3
        tokens[positions[entity]], tokens[positions[entity] + 1] = 6, 7
        targets = torch.stack([entity.long(), torch.full((len(entity),), -100)], 1)
        outside = torch.tensor(OUTSIDE[kind]).expand(len(positions), -1)
        with gate.leaving(model.encoder, None) as seen:
            model("entities", tokens, layout, positions)
        loss = gate.loss(seen, outside, targets, [4] * 8, positions, layout)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for parameter in frozen:
        parameter.requires_grad_(True)
    scores = seen[0].detach()
    assert int(gate.batches) == 60
    assert gate.outside.abs().sum() > 0
    for offset in (0, 1):
        inside, others = scores[positions[entity] + offset], scores[positions[~entity] + offset]
        assert inside.mean() > others.mean() + 2
    assert scores[rows[:, 0]].max() < 0


def test_tokens_leave_in_half_of_the_batches_once_the_gate_has_learnt(gate: ExitGate) -> None:
    assert {gate.draw() for _ in range(50)} == {None}
    gate.batches.fill_(LEARNT_AFTER)
    drawn = [gate.draw() for _ in range(400)]
    assert 120 < drawn.count(None) < 280
    assert all(-6 <= value <= -2 for value in drawn if value is not None)


def test_the_job_of_a_run_learns_with_tokens_that_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textome.training.techniques.early_exit.LEARNT_AFTER", 1)
    monkeypatch.setattr("textome.training.techniques.early_exit.THRESHOLDS", (0.0, 0.1))
    job = captured_job(make_recipe(tmp_path), tmp_path / "run", "training.early_exit=1")
    gate = job.model.get_submodule("exit_gate")
    for batch in job.plan(0):
        job.loss(batch)[0].backward()
    assert gate.batches >= 1
    assert gate.outside.grad.abs().sum() > 0
    assert gate.dense.weight.grad.abs().sum() > 0
    assert not any(name.startswith("exit_gate") for name, _ in job.bare.named_parameters())


def test_a_layer_that_is_not_below_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.early_exit is 9, but the model has"):
        captured_job(make_recipe(tmp_path), tmp_path / "run", "training.early_exit=9")

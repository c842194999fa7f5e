"""Heads of entities with an LSTM, a random field, or both: trained, exported, run without PyTorch, and gone on with."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from one_model import entities_of
from textome.documents import Document
from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TaskModel
from textome.encoders.layers.packing import Layout
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.hugging_face import why_not_one_softmax
from textome.runtime.model import Model
from textome.training.kinds import plan_run
from tiny import make_base, make_recipe

HEADS = ["bilstm", "crf", "bilstm-crf"]
TEXT = "no gout was seen\n\naspirin is given for type 2 diabetes ."


def ignore(event: object) -> None:
    pass


@pytest.fixture(scope="module", params=HEADS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    path = make_recipe(folder, epochs=16, head_learning_rate=2e-2)
    plan = plan_run(path, [f"entities.head={request.param}", "entities.lstm_size=24"])
    return plan.start(folder / "run", False, ignore)


def test_entities_are_learnt_and_the_exported_graph_finds_them(bundle: Path) -> None:
    records = [json.loads(line) for line in (bundle.parent / "metrics.jsonl").read_text().splitlines()]
    scores = [next(iter(record["scores"].values())) for record in records if record["event"] == "validation"]
    assert max(scores) > 0.9
    for precision in ("fp32", "int8"):
        export_bundle(Bundle.load(bundle), bundle, precision)
        document = entities_of(bundle, precision=precision).annotate(TEXT)
        found = [(entity.text, entity.type) for entity in document.entities]
        assert found == [("gout", "Disease"), ("aspirin", "Chemical"), ("type 2 diabetes", "Disease")]
        assert all(0.2 < (entity.confidence or 0) <= 1 for entity in document.entities)


def test_the_graph_computes_what_the_model_does_for_texts_of_many_lengths_at_once(bundle: Path) -> None:
    read = Bundle.load(bundle)
    export_bundle(read, bundle, "fp32")
    model = Model.load(bundle, precision="fp32")
    texts = [TEXT, "gout", "patients with malaria took quinine daily", "aspirin is given for asthma ."]
    records = [record for text in texts for record in model.task("entities").records(Document.from_text(text))]
    examples = model.examples("entities", records)
    ours = TaskModel(read_encoder_config(read.config), {"entities": read.entities.head_shape}).eval()
    load_tensors(ours, load_file(bundle / "model.safetensors"), "bundle")
    for example, scores in zip(examples, model.scores("entities", examples), strict=True):
        ids = torch.from_numpy(example.input_ids.astype(np.int64))
        positions = torch.from_numpy(example.positions.astype(np.int64))
        with torch.no_grad():
            expected = ours("entities", ids, Layout.of([len(ids)]), positions)
        np.testing.assert_allclose(scores, expected.numpy(), atol=2e-5)


def test_a_run_goes_on_from_such_a_bundle_and_other_libraries_are_told(bundle: Path, tmp_path: Path) -> None:
    entities = Bundle.load(bundle).entities
    assert "head is" in why_not_one_softmax(entities)
    assert "load the model with Textome" in json.loads((bundle / "config.json").read_text())["textome"]
    path = make_recipe(tmp_path, epochs=1, learning_rate=1e-9)
    events: list[dict[str, object]] = []
    sets = [f"entities.head={entities.head}", "entities.lstm_size=24", f"model.base={bundle}"]
    after = plan_run(path, sets).start(tmp_path / "run", False, events.append)
    assert next(event for event in events if event["event"] == "heads")["new"] == []
    before, now = load_file(bundle / "model.safetensors"), load_file(after / "model.safetensors")
    assert before.keys() == now.keys()
    assert all(torch.allclose(before[name], now[name], atol=1e-5) for name in before)


def test_techniques_work_or_are_refused_with_a_reason(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1, token_budget=512)
    for key, value in (("r_drop", "0.5"), ("adversarial", "0.1"), ("word_mixing", "0.5"), ("int8_aware", "true")):
        sets = ["entities.head=bilstm-crf", f"training.{key}={value}"]
        assert plan_run(path, sets).start(tmp_path / key, False, ignore).is_dir()
    sets = ["entities.head=crf", "training.label_smoothing=0.1"]
    with pytest.raises(InputError, match="label_smoothing"):
        plan_run(path, sets).start(tmp_path / "smooth", False, ignore)


def test_the_head_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="entities: head: expected 'linear'"):
        plan_run(make_recipe(tmp_path), ["entities.head=gru"])


ORGANS = ("lung", "liver", "skin", "breast")
# The parts of a sentence, and of which types each is; an organ in the name of a disease is an entity inside another.
NESTED = (
    ("patients with {organ} cancer took aspirin", "{organ} cancer", "{organ}"),
    ("the {organ} was normal", "", "{organ}"),
    ("cancer of the {organ} was seen", "cancer of the {organ}", "{organ}"),
    ("gout was seen", "gout", ""),
)


def write_nested(path: Path) -> None:
    """A PubTator file in which organs stand alone and in the names of diseases, but "lung cancer" nowhere."""
    lines = []
    pairs = [pair for pair in itertools.product(NESTED, ORGANS) if pair != (NESTED[0], "lung")]
    for number, (template, organ) in enumerate(pairs * 3, 1):
        text, disease, part = (piece.format(organ=organ) for piece in template)
        lines += [f"{number}|t|{text}", f"{number}|a|"]
        for name, kind in ((disease, "Disease"), (part, "Organ")):
            if name:
                lines.append(f"{number}\t{text.index(name)}\t{text.index(name) + len(name)}\t{name}\t{kind}")
        lines.append("")
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("head", ["linear", *HEADS])
def test_every_head_finds_entities_inside_others_of_another_type(head: str, tmp_path: Path) -> None:
    """An organ inside a disease is found, and the disease around it, also one that the training data do not have."""
    make_base(tmp_path / "base")
    write_nested(tmp_path / "train.pubtator")
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"""
name = "nested"
[model]
base = "{tmp_path / "base"}"
window = 32
overlap = 8
[entities]
types = ["Disease", "Organ"]
head = "{head}"
lstm_size = 24
[[corpora]]
name = "nested"
train = ["train.pubtator"]
validation = ["train.pubtator"]
format = "pubtator"
types = {{ Disease = "Disease", Organ = "Organ" }}
[training]
epochs = 12
learning_rate = 5e-3
head_learning_rate = 2e-2
token_budget = 128
precision = "fp32"
seed = 7
"""
    )
    bundle = plan_run(path, []).start(tmp_path / "run", False, ignore)
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    model = entities_of(bundle, precision="fp32")
    document = model.annotate(
        "the skin was normal\n\npatients with lung cancer took aspirin\n\ncancer of the liver was seen"
    )
    found = [(entity.text, entity.type) for entity in document.entities]
    assert found == [
        ("skin", "Organ"),
        ("lung cancer", "Disease"),
        ("lung", "Organ"),
        ("cancer of the liver", "Disease"),
        ("liver", "Organ"),
    ]
    flat = entities_of(bundle, precision="fp32", flat=True).annotate("patients with lung cancer took aspirin")
    assert len(flat.entities) == 1

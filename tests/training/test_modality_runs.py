"""Whole runs on images, sounds and signals: learnt by heart, stopped and resumed, exported, and asked without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

import textome
from textome.cli.main import application
from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import load_tensors
from textome.encoders.sequence.model import SequenceModel
from textome.errors import InputError, ModelError
from textome.formats.reading.sources import Quarantine
from textome.runtime.bundle import Bundle
from textome.runtime.predictor import Predictor
from textome.tasks.target import Target
from textome.training.finetune import finetune
from textome.training.kinds import plan_run
from textome.training.losses import shares
from textome.training.modality.data import mixed, pack_sequences
from textome.training.recipe import Mixing
from tiny import make_base
from tiny_modalities import (
    IMAGES,
    SENSORS,
    SPEECH,
    recipe_of,
    tone,
    train,
    wav,
    write_images,
    write_signals,
    write_sounds,
)

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "image": (write_images, IMAGES),
    "speech": (write_sounds, SPEECH),
    "sensors": (write_signals, SENSORS),
}


@pytest.fixture(scope="module", params=list(CASES))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """The data and a model that has learnt them by heart."""
    folder = tmp_path_factory.mktemp(request.param)
    write, modality = CASES[request.param]
    place = write(folder)
    return folder / place, train(folder, place, modality)


def test_a_tiny_set_is_learnt_by_heart(bundle: tuple[Path, Bundle]):
    _, found = bundle
    assert found.provenance["test"]["accuracy"] == 1.0
    assert found.provenance["test"]["roc_auc"] == 1.0


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_the_graph_answers_as_the_model_does(bundle: tuple[Path, Bundle], precision: str):
    place, found = bundle
    shapes, target = found.modality.shapes(), found.target
    model = SequenceModel(BertConfig.from_dict(found.config), shapes, len(target.labels), target.pooling).eval()
    tensors = load_file(found.directory / "model.safetensors")
    load_tensors(model, {name: torch.from_numpy(array) for name, array in tensors.items()}, "bundle")
    records = [record for record, _ in Predictor(found, precision).stream(str(place), Quarantine())]
    items = [found.modality.features(record.content) for record in records]
    with torch.no_grad():
        expected = model(pack_sequences(items, shapes)).numpy()
    answers = np.stack(Predictor(found, precision).outputs(items))
    np.testing.assert_allclose(answers, expected, atol=1e-4 if precision == "fp32" else 1.0)
    assert (answers.argmax(1) == expected.argmax(1)).all()


def test_the_command_line_scores_predicts_and_tells(bundle: tuple[Path, Bundle], tmp_path: Path):
    place, found = bundle
    run = CliRunner()
    scored = run.invoke(application(), ["evaluate", "--model", str(found.directory), "--data", str(place), "--json"])
    assert json.loads(scored.stdout)["accuracy"] == 1.0
    result = run.invoke(application(), ["predict", f"{place}#0-50%", "--model", str(found.directory), "--to", "tsv"])
    header, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert header == ["file", "id", "label", "probability"]
    assert 0 < len(rows) < 24
    assert {row[2] for row in rows} <= set(found.target.labels)
    facts = json.loads(run.invoke(application(), ["info", str(found.directory), "--json"]).stdout)
    assert (facts["reads"], facts["task target"]["labels"]) == (found.reads, list(found.target.labels))


def test_a_pipeline_labels_records(bundle: tuple[Path, Bundle], tmp_path: Path):
    place, found = bundle
    pipeline = textome.load(found.directory, min_confidence=0)
    records = list(pipeline(pipeline.read(place)))
    assert [record.target for record in records] == [record.labels[0].name for record in records]
    label = records[0].labels[0]
    assert (label.task, label.confidence) == ("target", label.scores[label.name])
    annotated = CliRunner().invoke(application(), ["annotate", f"{place}#0-50%", "--model", str(found.directory)])
    rows = [json.loads(line) for line in annotated.stdout.splitlines()]
    assert {row["id"]: row["labels"][0]["name"] for row in rows}.items() <= {
        record.id: record.labels[0].name for record in records
    }.items()
    with pytest.raises(InputError, match=f"document '1': the model reads {found.reads}, which a text cannot write"):
        list(pipeline(["a text"]))


def test_a_bad_file_is_quarantined_and_the_others_go_on(tmp_path: Path):
    found = train(tmp_path, write_sounds(tmp_path), SPEECH)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.wav").write_bytes(wav(tone(300, 4000, 0.2), 4000))
    (tmp_path / "new" / "b.wav").write_bytes(b"RIFF")
    run = CliRunner()
    result = run.invoke(application(), ["predict", str(tmp_path / "new"), "--model", str(found.directory)])
    assert result.exit_code == 1
    (answer,) = map(json.loads, result.stdout.splitlines())
    assert answer["id"] == "a.wav"
    assert answer["label"] in answer["probabilities"]
    assert "b.wav: the sound is truncated" in result.stderr


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path):
    place = write_images(tmp_path)
    modality = IMAGES | {"shift": 0.2, "rotate": 10}
    changes = {"epochs": 3, "model": {"hidden_dropout": 0.1}, "mixing": {"mixup": 0.5}}
    whole = finetune(recipe_of(tmp_path, place, modality, **changes), tmp_path / "whole")

    class StoppedError(Exception):
        pass

    def stop(record: dict[str, Any]) -> None:
        if record["event"] == "validation" and record["epoch"] == 2:
            raise StoppedError

    recipe = recipe_of(tmp_path, place, modality, **changes)
    with pytest.raises(StoppedError):
        finetune(recipe, tmp_path / "parts", report=stop)
    parts = finetune(recipe, tmp_path / "parts", resume=True)
    first, second = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name], err_msg=name)


def test_batches_in_parts_have_the_gradient_of_the_whole(tmp_path: Path):
    place = write_signals(tmp_path)
    runs = [
        finetune(recipe_of(tmp_path, place, SENSORS, epochs=2, micro_budget=budget), tmp_path / str(budget))
        for budget in (None, 40)
    ]
    first, second = (load_file(folder / "model.safetensors") for folder in runs)
    for name, tensor in first.items():
        np.testing.assert_allclose(tensor, second[name], atol=2e-3, err_msg=name)


@pytest.mark.parametrize("compress", [False, True])
def test_forecasts_are_numbers_in_the_units_of_the_data(tmp_path: Path, compress: bool):
    lines = ["x,y"] + [f"{10 * np.sin(number / 3):.4f},{100 * np.cos(number / 3):.4f}" for number in range(120)]
    (tmp_path / "waves.csv").write_text("\n".join(lines) + "\n")
    modality = {"kind": "sensors", "window": 8, "horizon": 2, "hop": 1, "compress": compress}
    target = {"kind": "regression", "compress": compress}
    found = train(tmp_path, "waves.csv", modality, target=target, epochs=40)
    assert found.target.labels == ("x+1", "x+2", "y+1", "y+2")
    assert found.provenance["test"]["r2"] > 0.95
    result = CliRunner().invoke(
        application(), ["predict", str(tmp_path / "waves.csv"), "--model", str(found.directory)]
    )
    answer = json.loads(result.stdout.splitlines()[0])["values"]
    assert answer["y+1"] == pytest.approx(100 * np.cos(8 / 3), abs=15)


def test_starting_from_a_text_encoder_takes_its_layers(tmp_path: Path):
    place = write_images(tmp_path)
    base = make_base(tmp_path / "base")
    model = {"base": str(base), "layers": 1}
    found = train(tmp_path, place, IMAGES, epochs=1, learning_rate=1e-9, model=model)
    name = "encoder.layer.1.intermediate.dense.weight"  # of two layers, the last is kept
    after, before = load_file(found.directory / "model.safetensors"), load_file(base / "model.safetensors")
    (theirs,) = (key for key in before if key.endswith(name))
    np.testing.assert_allclose(after["bert.encoder.layer.0.intermediate.dense.weight"], before[theirs], atol=1e-6)
    fresh = train(tmp_path, place, IMAGES, epochs=1, learning_rate=1e-9, model=model | {"pretrained": False})
    assert fresh.config["hidden_size"] == found.config["hidden_size"] == 32
    assert fresh.config["initializer_range"] == pytest.approx(32**-0.5)
    with pytest.raises(InputError, match="has only 2 layers"):
        train(tmp_path, place, IMAGES, model=model | {"layers": 3})


def test_mixing_mixes_inputs_and_targets_alike():
    generator = np.random.default_rng(0)
    from textome.inputs.images import Images

    modality = Images(size=8, patch=2, means=(0.0,), deviations=(1.0,))
    images = [np.full((8, 8, 1), 10 * number, np.uint8) for number in range(6)]
    items = [modality.features(image) for image in images]
    targets = np.eye(6, dtype=np.float32)
    values = np.arange(6) * 10.0
    for mixing in (Mixing(mixup=1.0, cutmix=0.0), Mixing(mixup=0.0, cutmix=1.0)):
        found, rows = mixed(items, targets, mixing, generator)
        np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
        for item, row in zip(found, rows, strict=True):
            # The mean pixel of a mixture of plain images is that of their targets.
            assert item["image"].values.mean() == pytest.approx(float(row @ values), abs=1e-4)
        assert ((rows > 0).sum(1) == 2).any()
    one_of_them = items[0]["image"]
    assert (one_of_them.values == 0).all()


def test_the_loss_is_that_of_torch_and_unknown_rows_count_for_nothing():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, generator=generator)
    classes = torch.tensor([0, 2, 1, 1, 0])
    targets = torch.nn.functional.one_hot(classes, 3).float()
    weights = torch.tensor([0.5, 2.0, 1.0])
    for smoothing, given in ((0.0, None), (0.1, None), (0.0, weights)):
        expected = torch.nn.functional.cross_entropy(logits, classes, given, label_smoothing=smoothing)
        torch.testing.assert_close(shares(logits, targets, given, smoothing), expected)
    targets[3] = torch.nan
    kept = [0, 1, 2, 4]
    torch.testing.assert_close(
        shares(logits, targets, None, 0.0), torch.nn.functional.cross_entropy(logits[kept], classes[kept])
    )


def test_the_temperature_is_the_one_under_which_the_labels_are_most_probable():
    target = Target(kind="classification", labels=("a", "b"))
    generator = np.random.default_rng(0)
    scores = generator.normal(0, 1, (4000, 2))
    chance = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
    gold = np.eye(2, dtype=np.float32)[(generator.random(4000) < chance).astype(int)]
    gold[0] = np.nan
    found = target.with_confidences(gold, (3 * scores).astype(np.float32))  # three times too sure
    assert found.temperature == pytest.approx(3, rel=0.15)
    assert target.with_confidences(np.full((2, 2), np.nan, np.float32), scores[:2].astype(np.float32)) is target


def test_errors_say_what_to_do(tmp_path: Path):
    place = write_signals(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        finetune(recipe_of(tmp_path, "nothing.csv", SENSORS), tmp_path / "a")
    with pytest.raises(ValueError, match=r"training\.int8_aware does not work .*: the rounding of its graph"):
        recipe_of(tmp_path, place, SENSORS, int8_aware=True)
    with pytest.raises(ValueError, match="metric 'rmse' is none of sequence_classification"):
        recipe_of(tmp_path, place, SENSORS, target={"metric": "rmse"})
    path = tmp_path / "recipe.toml"
    path.write_text('task = "modality"\nname = "x"\n[data]\ntrain = ["a"]\n[modality]\nkind = "image"\npach = 4\n')
    with pytest.raises(InputError, match=r"did you mean 'patch'"):
        plan_run(path)
    found = Bundle.load(finetune(recipe_of(tmp_path, place, SENSORS, epochs=1), tmp_path / "b"))
    with pytest.raises(ModelError, match="textome export"):
        Predictor(found)
    described = json.loads((found.directory / "textome.json").read_text())
    (found.directory / "textome.json").write_text(json.dumps(described | {"pooling": "most"}))
    with pytest.raises(ModelError, match="pooling"):
        Bundle.load(found.directory)

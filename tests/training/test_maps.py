"""Whole runs on pixels: masks and boxes learnt by heart, exported, asked without PyTorch and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner

import textome
from textome.cli.main import application
from textome.encoders.checkpoint import load_tensors
from textome.encoders.transunet.model import TransUNet, TransUNetConfig
from textome.errors import InputError, ModelError
from textome.formats.reading.sources import Quarantine
from textome.inputs.images import Images
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.pixels.predictor import MapPredictor
from textome.training.finetune import finetune
from textome.training.maps.losses import areas, areas_and_depths, centres
from textome.training.models import MapEncoder
from textome.training.recipe import Recipe
from tiny_pixels import png, scene, write_masked, write_things, write_voc

MODEL = {"widths": [8, 8], "encoder_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
TRAINING = {"epochs": 10, "learning_rate": 1e-2, "token_budget": 64, "precision": "fp32", "device": "cpu", "seed": 3}
PIXELS = {"kind": "pixels", "tile": 32, "overlap": 8, "crops": 2}


def recipe_of(folder: Path, target: dict[str, Any], **changes: Any) -> Recipe[MapEncoder]:
    values = {
        "name": "tiny",
        "data": {"root": str(folder), "train": ["."], "validation": ["."], "test": ["."], "drop_leaks": False},
        "modality": PIXELS | changes.pop("modality", {}),
        "target": target,
        "model": MODEL,
        "training": TRAINING | changes,
    }
    return Recipe[MapEncoder].model_validate(values)


def train(folder: Path, target: dict[str, Any], **changes: Any) -> Bundle:
    run = folder.parent / f"run-{folder.name}"
    return Bundle.load(finetune(recipe_of(folder, target, **changes), run))


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """A folder of images with a mask for each thing, and a model of them in two precisions."""
    folder = tmp_path_factory.mktemp("pixels") / "things"
    write_things(folder)
    bundle = train(folder, {"kind": "segmentation", "objects": True})
    for precision in ("fp32", "int8"):
        export_bundle(bundle, bundle.directory, precision)
    return folder, bundle


def command(*arguments: object) -> Any:
    return CliRunner().invoke(application(), list(map(str, arguments)))


def test_things_are_learnt_by_heart_and_told_apart(things: tuple[Path, Bundle]) -> None:
    folder, bundle = things
    scores = json.loads((bundle.directory.parent / "scores.json").read_text())
    assert scores["dice"] > 0.9
    assert scores["object_f1"] > 0.9
    result = command("evaluate", "--data", folder, "--model", bundle.directory, "--precision", "fp32", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert scores["map50"] > 0.9
    for name in ("dice", "iou", "aji", "object_f1", "object_precision", "map", "map50"):
        assert told[name] == pytest.approx(scores[name], abs=1e-3), name


def test_the_graph_gives_what_the_model_gives(things: tuple[Path, Bundle]) -> None:
    _, bundle = things
    model = TransUNet(TransUNetConfig.from_dict(bundle.config))
    tensors = {
        name: torch.from_numpy(value) for name, value in load_file(bundle.directory / "model.safetensors").items()
    }
    load_tensors(model, tensors, "test")
    tile = np.random.default_rng(0).normal(size=(1, 32, 32)).astype(np.float32)
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(tile)[None])[0].numpy()
    predictor = MapPredictor.load(bundle.directory, "fp32")
    assert np.allclose(predictor._run(tile), predictor.only_task.activated(expected), atol=1e-4)


def test_an_image_is_answered_alike_alone_and_among_others(things: tuple[Path, Bundle]) -> None:
    folder, bundle = things
    predictor = MapPredictor.load(bundle.directory, "fp32")
    among = {record.id: prediction for record, prediction in predictor.stream(str(folder), Quarantine())}
    assert len(among) == 8
    alone = predictor.predict(scene(5)[0][:, :, None])
    assert np.array_equal(alone.objects, among["s5/s5.png"].objects)
    assert alone.objects.max() == 2


def test_an_image_larger_than_a_tile_is_answered_whole(things: tuple[Path, Bundle]) -> None:
    _, bundle = things
    predictor = MapPredictor.load(bundle.directory)
    large = np.block([[scene(1)[0], scene(2)[0]], [scene(3)[0], scene(0)[0]]])
    prediction = predictor.predict(large[:50, :60, None])
    assert prediction.classes.shape == prediction.objects.shape == (50, 60)
    assert prediction.classes[20, 20] == 1
    with pytest.raises(InputError, match="the model reads"):
        predictor.predict(np.zeros((4, 4, 3), np.uint8))


def test_masks_are_written_under_the_names_of_their_images(things: tuple[Path, Bundle], tmp_path: Path) -> None:
    _, bundle = things
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    for name, number in (("a.png", 1), ("deep/b.png", 2)):
        (images / name).write_bytes(png(scene(number)[0]))
    (images / "bad.png").write_bytes(png(scene(1)[0])[:50])
    Image.fromarray(scene(3)[0]).save(images / "a.tif")
    result = command("predict", images, "-m", bundle.directory, "--to", "png", "-o", tmp_path / "masks")
    assert result.exit_code == 1, result.output
    assert "the image is damaged or truncated" in result.stderr
    assert "another image has the mask a.png already" in result.stderr
    written = sorted(path.relative_to(tmp_path / "masks").as_posix() for path in (tmp_path / "masks").rglob("*.png"))
    assert written == ["a.png", "deep/b.png"]
    with Image.open(tmp_path / "masks" / "deep" / "b.png") as mask:
        assert mask.mode == "I;16"
        assert np.asarray(mask).max() == 2
    coco = tmp_path / "boxes.json"
    result = command("predict", images / "a.png", "-m", bundle.directory, "--to", "coco", "-o", coco)
    assert result.exit_code == 0, result.output
    values = json.loads(coco.read_text())
    assert values["images"] == [{"id": 1, "file_name": "a.png", "height": 32, "width": 32}]
    assert values["categories"] == [{"id": 1, "name": "object"}]
    assert len(values["annotations"]) == 2
    result = command("predict", images, "-m", bundle.directory, "--to", "png")
    assert isinstance(result.exception, InputError)
    assert "--to png needs --output: a folder" in str(result.exception)


def test_images_are_described_in_lines_and_tables(things: tuple[Path, Bundle], tmp_path: Path) -> None:
    _, bundle = things
    (tmp_path / "a.png").write_bytes(png(scene(1)[0]))
    result = command("predict", tmp_path / "a.png", "-m", bundle.directory)
    assert result.exit_code == 0, result.output
    line = json.loads(result.stdout)
    assert line["objects"] == 2
    assert 0.1 < line["shares"]["object"] < 0.4
    table = command("predict", tmp_path / "a.png", "-m", bundle.directory, "--to", "tsv").stdout.splitlines()
    assert table[0] == "file\tid\tobject\tobjects"
    assert table[1].endswith("\t2")
    told = command("info", bundle.directory).stdout
    assert "segmentation: object" in told
    records = MapPredictor.load(bundle.directory).documents(tmp_path / "a.png", Quarantine())
    (document,) = textome.load(model=str(bundle.directory))(records)
    assert [label.name for label in document.labels] == ["object", "objects"]


def test_a_model_of_areas_is_evaluated_before_it_is_exported(tmp_path: Path) -> None:
    folder = tmp_path / "masked"
    write_masked(folder)
    (folder / "masks" / "0.png").write_bytes(png(np.zeros((5, 5), np.uint8)))
    bundle = train(folder, {"kind": "segmentation"}, epochs=1, modality={"values": {"square": 255}, "scale": 0.5})
    report = json.loads((bundle.directory.parent / "data.json").read_text())["target"]
    assert report["quarantined"] == 1
    assert report["train_records"] == 7
    result = command("evaluate", "--data", folder, "--model", bundle.directory, "--json")
    assert result.exit_code == 1, result.output
    assert json.loads(result.stdout)["records"] == 7
    with pytest.raises(ModelError, match="textome export"):
        MapPredictor.load(bundle.directory)
    result = command("explain", folder, "--model", bundle.directory)
    assert result.exit_code != 0
    assert not isinstance(result.exception, KeyError | AttributeError | AssertionError)


def test_masks_without_things_cannot_teach_to_tell_them_apart(tmp_path: Path) -> None:
    folder = tmp_path / "masked"
    write_masked(folder, 2)
    with pytest.raises(InputError, match="no training record"):
        train(folder, {"kind": "segmentation", "objects": True})
    recipe = recipe_of(folder, {"kind": "segmentation"})
    other = recipe.model_copy(update={"input": Images()})
    with pytest.raises(InputError, match="masks and boxes need modality"):
        finetune(other, tmp_path / "other")


def test_the_loss_of_areas_is_cross_entropy_and_dice() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 4, 4, generator=generator)
    classes = torch.randint(0, 3, (2, 1, 4, 4), generator=generator)
    shares = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum(1, keepdims=True)
    truth = np.eye(3)[classes.numpy()[:, 0]].transpose(0, 3, 1, 2)
    entropy = -np.log((shares * truth).sum(1)).mean()
    dice = [
        (2 * (shares[:, number] * truth[:, number]).sum() + 1)
        / ((shares[:, number] ** 2).sum() + truth[:, number].sum() + 1)
        for number in (1, 2)
    ]
    expected = entropy + 1 - np.mean(dice)
    assert float(areas(scores, classes.float())) == pytest.approx(expected, rel=1e-5)
    depth = torch.rand(2, 1, 4, 4, generator=generator)
    both = areas_and_depths(torch.cat([scores, torch.zeros(2, 1, 4, 4)], 1), torch.cat([classes.float(), depth], 1))
    assert float(both) == pytest.approx(expected + np.log(2), rel=1e-5)


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """A folder of Pascal VOC, and a model of its boxes."""
    folder = tmp_path_factory.mktemp("boxes") / "voc"
    write_voc(folder)
    bundle = train(folder, {"kind": "detection", "cell": 4}, epochs=16)
    export_bundle(bundle, bundle.directory, "fp32")
    return folder, bundle


def test_boxes_are_learnt_by_heart_and_written(located: tuple[Path, Bundle], tmp_path: Path) -> None:
    folder, bundle = located
    scores = json.loads((bundle.directory.parent / "scores.json").read_text())
    assert scores["map50"] > 0.8
    assert scores["map"] <= scores["map50"]
    assert {"map50 round", "map50 square"} <= scores.keys()
    result = command("evaluate", "--data", folder, "--model", bundle.directory, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["map50"] == pytest.approx(scores["map50"], abs=1e-3)
    image = folder / "JPEGImages" / "1.png"
    line = json.loads(command("predict", image, "-m", bundle.directory).stdout)
    assert sorted(box["label"] for box in line["boxes"]) == ["round", "square"]
    table = command("predict", image, "-m", bundle.directory, "--to", "tsv").stdout.splitlines()
    assert table[0].split("\t") == ["file", "id", "label", "confidence", "left", "upper", "right", "lower"]
    assert len(table) == 3
    coco = tmp_path / "boxes.json"
    assert command("predict", image, "-m", bundle.directory, "--to", "coco", "-o", coco).exit_code == 0
    values = json.loads(coco.read_text())
    assert [category["name"] for category in values["categories"]] == ["round", "square"]
    assert all(0 <= item["score"] <= 1 for item in values["annotations"])
    result = command("predict", image, "-m", bundle.directory, "--to", "png", "-o", tmp_path / "masks")
    assert isinstance(result.exception, InputError)
    assert "gives no masks" in str(result.exception)


def test_the_loss_of_centres_is_that_of_its_paper() -> None:
    """Zhou et al. 2019, equations 1 to 4, pixel by pixel."""
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(1, 6, 3, 3, generator=generator)
    targets = torch.rand(1, 7, 3, 3, generator=generator) * 0.9
    targets[0, -1] = 0
    targets[0, 0, 1, 1] = targets[0, -1, 1, 1] = 1
    targets[0, 1, 0, 2] = targets[0, -1, 0, 2] = 1
    shares = 1 / (1 + np.exp(-scores.numpy()[0, :2]))
    heat = targets.numpy()[0, :2]
    right = (1 - shares) ** 2 * np.log(shares)
    wrong = (1 - heat) ** 4 * shares**2 * np.log(1 - shares)
    focal = -np.where(heat == 1, right, wrong).sum() / 2
    errors = np.abs(scores.numpy() - targets.numpy()[:, :6])[0, 2:, [1, 0], [1, 2]]
    expected = focal + 0.1 * errors[:, :2].sum() / 2 + errors[:, 2:].sum() / 2
    assert float(centres(scores, targets)) == pytest.approx(expected, rel=1e-5)

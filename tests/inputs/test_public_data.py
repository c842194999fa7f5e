"""The recipes, and the public data sets that they read: counts as their authors tell them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from textome.formats.reading.sources import Quarantine
from textome.inputs.images import Images
from textome.inputs.pixels.pixels import Pixels
from textome.inputs.pixels.regions import Picture
from textome.inputs.records import read_records
from textome.inputs.sensors import Sensors
from textome.inputs.speech import Speech
from textome.training.recipe import load_recipe

RECIPES = Path(__file__).resolve().parent.parent.parent / "recipes" / "modalities"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid(path: Path):
    recipe = load_recipe(path)
    assert recipe.description


def test_robot_failures(shared_data: Path):
    quarantine = Quarantine()
    counts = {}
    for name in ("lp1", "lp2", "lp3", "lp4", "lp5"):
        place = shared_data / "sensor" / "Robot-Execution-Failures" / f"{name}.data"
        records = list(Sensors(window=15).read(str(place), quarantine))
        assert {record.content.shape for record in records} == {(15, 6)}
        counts[name] = len(records)
    assert counts == {"lp1": 88, "lp2": 47, "lp3": 47, "lp4": 117, "lp5": 164}
    assert quarantine.count == 0


def test_spoken_digits(shared_data: Path):
    place = shared_data / "speech" / "FSDD" / "fsdd-recordings.tar"
    speech = Speech(rate=8000, max_seconds=2.5, names="(?P<label>[0-9])_(?P<speaker>[a-z]+)_[0-9]+")
    quarantine = Quarantine()
    records = list(speech.read(str(place), quarantine))
    assert quarantine.count == 0
    assert Counter(record.target for record in records) == {str(digit): 300 for digit in range(10)}
    assert set(Counter(record.metadata["speaker"] for record in records).values()) == {500}


def test_pneumonia_and_digits(shared_data: Path):
    place = shared_data / "vision" / "PneumoniaMNIST" / "pneumoniamnist.npz"
    records = list(read_records(Images(), str(place), Quarantine()))
    assert Counter(record.metadata["split"] for record in records) == {"train": 3882, "validation": 524, "test": 624}
    digits = list(read_records(Images(), f"{shared_data / 'vision' / 'MNIST-json10k'}#80-100%", Quarantine()))
    assert {record.target for record in digits} == set("0123456789")
    assert 1800 < len(digits) < 2200


@pytest.mark.slow
def test_blood_cells(shared_data: Path):
    quarantine = Quarantine()
    records = list(Images(channels=3).read(str(shared_data / "vision" / "BCCD" / "bccd.tar"), quarantine))
    counts = Counter(record.target for record in records)
    assert set(counts) == {"RBC", "WBC", "Platelets"}
    assert sum(counts.values()) + quarantine.count == 4888
    assert quarantine.count < 10


@pytest.mark.slow
def test_membranes_and_boxes_of_blood_cells(shared_data: Path):
    quarantine = Quarantine()
    records = list(
        Pixels(values={"membrane": 0}).read(str(shared_data / "vision/ISBI-membrane/membrane.tar.xz"), quarantine)
    )
    assert {record.metadata["name"] for record in records} == {str(number) for number in range(30)}
    assert all(isinstance(record, Picture) and record.regions is not None for record in records)
    assert not quarantine.count
    pictures = [
        record
        for record in Pixels(channels=3).read(str(shared_data / "vision" / "BCCD" / "bccd.tar"), quarantine)
        if isinstance(record, Picture)
    ]
    assert Counter(record.metadata["split"] for record in pictures) == {"train": 205, "validation": 87, "test": 72}
    assert sum(len(record.regions.boxes or ()) for record in pictures if record.regions) + quarantine.count == 4888


@pytest.mark.slow
def test_nuclei_have_a_mask_each(shared_data: Path):
    quarantine = Quarantine()
    records = list(Pixels().read(str(shared_data / "vision" / "DSB2018-nuclei" / "nuclei.tar.xz"), quarantine))
    assert len(records) == 220
    objects = [record.regions.objects for record in records if isinstance(record, Picture) and record.regions]
    assert sum(int(each.max()) for each in objects if each is not None) + quarantine.count == 5928

"""Tiny sets of images, sounds and signals, and a run that learns them by heart in seconds."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from textome.inputs.records import Floats
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.training.finetune import finetune
from textome.training.models import SequenceEncoder
from textome.training.recipe import Recipe

MODEL = {"layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "hidden_dropout": 0.0}
TRAINING = {"epochs": 30, "learning_rate": 1e-2, "token_budget": 512, "precision": "fp32", "device": "cpu", "seed": 7}
IMAGES = {"kind": "image", "size": 8, "patch": 4}
SPEECH = {
    "kind": "speech",
    "rate": 2000,
    "max_seconds": 0.5,
    "mels": 12,
    "names": r"(?P<label>\w+)_(?P<speaker>\w+)_\d+",
}
SENSORS = {"kind": "sensors", "window": 8}


def recipe_of(folder: Path, place: str, modality: dict[str, Any], **changes: Any) -> Recipe[SequenceEncoder]:
    """A recipe in which all of `place` is training, validation and test data."""
    values = {
        "name": "tiny",
        "data": {"root": str(folder), "train": [place], "validation": [place], "test": [place], "drop_leaks": False},
        "modality": modality,
        "target": changes.pop("target", {}),
        "mixing": changes.pop("mixing", {}),
        "model": MODEL | changes.pop("model", {}),
        "training": TRAINING | changes,
    }
    return Recipe[SequenceEncoder].model_validate(values)


def train(folder: Path, place: str, modality: dict[str, Any], **changes: Any) -> Bundle:
    """Train by `recipe_of` and export in both precisions."""
    run = folder / f"run-{len(list(folder.glob('run-*')))}"
    bundle = Bundle.load(finetune(recipe_of(folder, place, modality, **changes), run))
    for precision in ("fp32", "bf16", "int8"):
        export_bundle(bundle, bundle.directory, precision)
    return bundle


def write_images(folder: Path, count: int = 24) -> str:
    """PNG files in folders `left` and `right`, bright on that side."""
    generator = np.random.default_rng(1)
    for number in range(count):
        side = ("left", "right")[number % 2]
        pixels = generator.integers(0, 100, (8, 8)).astype(np.uint8)
        pixels[:, :4] += 120 * (side == "left")
        pixels[:, 4:] += 120 * (side == "right")
        (folder / "images" / side).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "images" / side / f"{number}.png")
    return "images"


def wav(samples: Floats, rate: int, channels: int = 1) -> bytes:
    """A WAV file of 16 bits."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(np.repeat(np.rint(samples * 32767).astype("<i2"), channels).tobytes())
    return stream.getvalue()


def tone(frequency: float, rate: int, seconds: float) -> Floats:
    """Half as loud as it can be."""
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def write_sounds(folder: Path, count: int = 24) -> str:
    """Tones that rise or fall, by two speakers, of different lengths."""
    generator = np.random.default_rng(2)
    (folder / "sounds").mkdir()
    for number in range(count):
        label = ("rise", "fall")[number % 2]
        first, second = (300, 600) if label == "rise" else (600, 300)
        length = generator.uniform(0.1, 0.2)
        samples = np.concatenate([tone(first, 2000, length), tone(second, 2000, length)])
        samples = samples + generator.normal(0, 0.01, len(samples)).astype(np.float32)
        speaker = ("ann", "bo")[number // 2 % 2]
        (folder / "sounds" / f"{label}_{speaker}_{number}.wav").write_bytes(wav(samples, 2000))
    return "sounds"


def write_signals(folder: Path, count: int = 24) -> str:
    """Series of two channels; the first goes up or down, the second is there in half of the series."""
    generator = np.random.default_rng(3)
    lines = ["id,time,a,b,label"]
    for number in range(count):
        label = ("up", "down")[number % 2]
        for moment in range(8):
            value = (moment if label == "up" else -moment) + generator.normal(0, 0.3)
            other = f"{generator.normal():.3f}" if number % 4 < 2 else ""
            lines.append(f"s{number},{moment},{value:.3f},{other},{label}")
    (folder / "signals.csv").write_text("\n".join(lines) + "\n")
    return "signals.csv"

"""Tiny sets of DNA, molecules and records of several parts, and recipes that train on them in seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.training.finetune import finetune
from textome.training.recipe import parse_recipe
from tiny_pixels import png

MODEL = {"layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "hidden_dropout": 0.0}
TRAINING = {"epochs": 12, "learning_rate": 1e-2, "token_budget": 512, "precision": "fp32", "device": "cpu", "seed": 7}


def train(folder: Path, train: str, modality: dict[str, Any], target: dict[str, Any], **changes: Any) -> Bundle:
    """Train on the place `train`, in which all is test data too, and export to fp32."""
    values = {
        "name": "tiny",
        "data": {"root": str(folder), "train": [train], "test": [train], "drop_leaks": False},
        "modality": modality,
        "target": target,
        "model": MODEL | changes.pop("model", {}),
        "training": TRAINING | changes,
    }
    run = folder / f"run-{len(list(folder.glob('run-*')))}"
    bundle = Bundle.load(finetune(parse_recipe(values, "tiny"), run))
    export_bundle(bundle, bundle.directory, "fp32")
    return bundle


def write_dna(folder: Path, records: int = 48) -> str:
    """A table in which the sequences of class "site" hold GTAAG or, on the other strand, CTTAC."""
    generator = random.Random(3)
    rows = []
    for number in range(records):
        bases = [generator.choice("ACGT") for _ in range(20)]
        if number % 2:
            place = generator.randrange(15)
            bases[place : place + 5] = generator.choice(("GTAAG", "CTTAC"))
        rows.append(f"{'site' if number % 2 else 'none'},s{number},{''.join(bases)}\n")
    (folder / "dna.csv").write_text("".join(rows))
    return "dna.csv"


def write_molecules(folder: Path, records: int = 40) -> str:
    """Chains with their number of carbons, and whether there is an oxygen, which half of the rows do not say."""
    generator = random.Random(4)
    lines = ["smiles,carbons,oxygen\n"]
    for number in range(records):
        carbons, oxygen = generator.randint(1, 9), generator.random() < 0.5
        known = str(int(oxygen)) if number % 2 else ""
        lines.append(f"{'C' * carbons}{'O' if oxygen else 'N'},{carbons},{known}\n")
    (folder / "molecules.csv").write_text("".join(lines))
    return "molecules.csv"


def write_pairs(folder: Path, records: int = 60) -> str:
    """Each class is told by the DNA in half of the records and by the note in the others; the other part says nothing."""
    generator = random.Random(5)
    lines, fasta = [], []
    for number in range(records):
        label = generator.choice(("a", "b"))
        by_dna = number % 2 == 0
        letter = ("A" if label == "a" else "T") if by_dna else "G"
        note = "nothing is said" if by_dna else f"it is {'red' if label == 'a' else 'blue'}"
        parts: dict[str, str | None] = {"dna": f"parts.fa::{number}", "note": note}
        if number % 10 == 4:
            parts["note"] = None
        fasta.append(f">{number}\n{letter * 10}\n")
        lines.append(json.dumps({"id": str(number), "label": label, "parts": parts}) + "\n")
    (folder / "parts.fa").write_text("".join(fasta))
    (folder / "pairs.jsonl").write_text("".join(lines))
    return "pairs.jsonl"


def write_reports(folder: Path, records: int = 60) -> str:
    """Scans, bright where they are opaque, with reports; a third has no report, a third no scan, and a third both."""
    generator = np.random.default_rng(6)
    (folder / "scans").mkdir()
    lines = []
    for number in range(records):
        opaque = number % 2 == 0
        pixels = generator.integers(0, 80, (8, 8)) + 150 * opaque
        (folder / "scans" / f"{number}.png").write_bytes(png(pixels.astype(np.uint8)))
        report = f"Chest film. {'There is an opacity.' if opaque else 'The lungs are clear.'} No fracture."
        parts = {"scan": f"scans/{number}.png", "report": report}
        if number % 3:
            parts[("scan", "report")[number % 3 - 1]] = None
        label = "opaque" if opaque else "clear"
        lines.append(json.dumps({"id": str(number), "label": label, "parts": parts}) + "\n")
    (folder / "reports.jsonl").write_text("".join(lines))
    return "reports.jsonl"

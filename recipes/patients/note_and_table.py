"""Invented patients with a note and a table each, for recipes/patients/note_and_table.toml. None of it is about anybody.

    python recipes/patients/note_and_table.py --output ../patients

Whether a patient comes back within 30 days is drawn from a risk to which the table (age, creatinine, days in hospital) and
what only the note says (lives alone, smokes, takes the tablets) give about the same.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

ALONE = ("lives alone", "has nobody at home", "is on his own since last year")
NOT_ALONE = ("lives with family", "is looked after by a daughter", "shares a flat with a friend")
SMOKES = ("smokes a pack a day", "still smokes", "a smoker for thirty years")
NO_SMOKE = ("never smoked", "gave up smoking", "a non-smoker")
FORGETS = ("often forgets the tablets", "takes tablets only when reminded", "stopped the tablets twice")
TAKES = ("takes the tablets as told", "knows the tablets well", "uses a box for the tablets")


def main() -> None:
    parser = argparse.ArgumentParser(description="Invented patients with a note and a table")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--patients", type=int, default=1500)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    with (
        (arguments.output / "table.csv").open("w", encoding="utf-8", newline="") as table,
        (arguments.output / "patients.jsonl").open("w", encoding="utf-8") as lines,
    ):
        rows = csv.writer(table)
        rows.writerow(["id", "age", "creatinine", "days", "ward"])
        for number in range(arguments.patients):
            name = f"p{number:04d}"
            age, creatinine, days = generator.normal(65, 12), generator.lognormal(4.5, 0.3), generator.poisson(6)
            said = generator.random(3) < 0.5
            risk = (age - 65) / 12 + (creatinine - 94) / 30 + (days - 6) / 4 + 2 * (said - 0.5).sum() - 0.5
            phrases = [
                generator.choice(one if holds else other)
                for one, other, holds in zip((ALONE, SMOKES, FORGETS), (NOT_ALONE, NO_SMOKE, TAKES), said, strict=True)
            ]
            generator.shuffle(phrases)
            cells = [f"{age:.0f}", f"{creatinine:.0f}", days, generator.choice(["A", "B", "C"])]
            rows.writerow([name, *("" if generator.random() < 0.1 else cell for cell in cells)])
            label = "back" if generator.random() < 1 / (1 + np.exp(-1.5 * risk)) else "not back"
            note = f"Discharged home. The patient {phrases[0]}, {phrases[1]}, and {phrases[2]}."
            parts = {"note": note, "table": f"table.csv::{name}"}
            lines.write(json.dumps({"id": name, "label": label, "parts": parts}) + "\n")


if __name__ == "__main__":
    main()

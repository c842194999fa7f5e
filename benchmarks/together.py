"""Several modalities together: scores on the test records of a recipe as they are and without each part, beside each alone.

    python benchmarks/together.py recipes/affinity/kiba_together.toml \\
        --models both=runs/kt_1/bundle,runs/kt_2/bundle molecule=runs/kt_molecule_1/bundle,runs/kt_molecule_2/bundle

Exported bundles of one name are seeds, of which the mean and the standard deviation of the recipe's metric are printed. A
model of one part has no score without that part.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from textome.inputs.together import Together
from textome.metrics.outputs import score_outputs
from textome.runtime.predictor import Predictor
from textome.tasks.target import Target
from textome.training.modality.data import ModalityRecords, load_records
from textome.training.recipe import load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=BUNDLE,BUNDLE")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.set)
    assert isinstance(recipe.input, Together)
    data, parts = load_records(recipe, recipe.input), list(recipe.input.parts)
    print(f"{len(data.train):,} training and {len(data.test):,} test records; {data.target.main_metric}\n")
    print(
        "| model | whole | " + " | ".join(f"without {part}" for part in parts) + " |\n|---|" + "---|" * (1 + len(parts))
    )
    for item in options.models:
        name, _, folders = item.partition("=")
        predictors = [Predictor.load(folder, threads=1) for folder in folders.split(",")]
        cells = []
        for missing in ("", *parts):
            seeds = [score(predictor, data, missing) for predictor in predictors]
            cells.append(f"{np.mean(seeds):.3f} ± {np.std(seeds):.3f}" if np.isfinite(seeds).all() else "")
        print("| " + " | ".join([name, *cells]) + " |", flush=True)


def score(predictor: Predictor, data: ModalityRecords, missing: str) -> float:
    """The metric over all test records; NaN where one has no part left that the model reads."""
    contents = [left(record.content, predictor, missing) for record in data.test]
    if not all(contents):
        return float("nan")
    assert isinstance(data.target, Target)
    gold = np.stack([data.target.encode(record) for record in data.test])
    return score_outputs(data.target.kind, gold, predictor.answer(contents))[data.target.main_metric]


def left(content: Mapping[str, Any], predictor: Predictor, missing: str) -> dict[str, Any]:
    assert isinstance(predictor.input, Together)
    return {name: value for name, value in content.items() if name in predictor.input.parts and name != missing}


if __name__ == "__main__":
    main()

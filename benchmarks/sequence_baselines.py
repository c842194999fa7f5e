"""Classical models of scikit-learn on the data and split of a recipe for DNA or molecules.

    python benchmarks/sequence_baselines.py recipes/modalities/splice.toml recipes/modalities/bbbp.toml --seeds 1 2 3

DNA        logistic regression over counts of words of 1 to 4 bases, not told where they stand, and over which base
           stands at each place; a random forest over the latter
molecules  a random forest over Morgan fingerprints of radius 2 with 2,048 bits, one for each target, and over the same
           descriptors that molecules_pretrain.toml learns
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from textome.inputs.chemistry import computed, fingerprints
from textome.inputs.dna import Dna
from textome.inputs.dna_tokens import kmer_counts, one_hot
from textome.inputs.molecules import Molecules
from textome.inputs.records import Record
from textome.metrics.outputs import score_outputs
from textome.tasks.target import Target
from textome.training.modality.data import ModalityRecords, load_records
from textome.training.recipe import load_recipe

PRETRAINED_ON = Path(__file__).resolve().parent.parent / "recipes" / "modalities" / "molecules_pretrain.toml"
Matrix = NDArray[np.floating[Any]]
Fit = Callable[[Matrix, Matrix, Matrix, int], Matrix]


def baselines(data: ModalityRecords, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """The name and all scores on the test data of each classical model for what a recipe reads."""
    assert isinstance(data.target, Target)
    rows = [np.stack([data.target.encode(record) for record in part]) for part in (data.train, data.test)]
    for name, features, fit in _models(data):
        train, test = (features(part) for part in (data.train, data.test))
        yield name, score_outputs(data.target.kind, rows[1], fit(train, rows[0], test, seed).astype(np.float32))


def _models(data: ModalityRecords) -> Iterator[tuple[str, Callable[[list[Record]], Matrix], Fit]]:
    if isinstance(data.modality, Dna):
        yield "word counts + logistic regression", lambda part: kmer_counts(_contents(part), 4), _classes(_linear)
        yield "bases by place + logistic regression", lambda part: one_hot(_contents(part)), _classes(_linear)
        yield "bases by place + random forest", lambda part: one_hot(_contents(part)), _classes(_forest)
    elif isinstance(data.modality, Molecules):
        pretrained_on = load_recipe(PRETRAINED_ON).input
        assert isinstance(pretrained_on, Molecules)
        descriptors = pretrained_on.descriptors
        fit = _numbers if data.target.kind == "regression" else _labels

        def structure(part: list[Record]) -> Matrix:
            return fingerprints([record.content[0] for record in part]).astype(np.float32)

        def described(part: list[Record]) -> Matrix:
            return np.array([computed(record.content[0], descriptors) for record in part], np.float32)

        yield "Morgan fingerprints + random forest", structure, fit
        yield "descriptors + random forest", described, fit
    else:
        raise SystemExit(f"there is no baseline here for {data.modality.kind}")


def _contents(part: list[Record]) -> list[str]:
    return [record.content for record in part]


def _linear(seed: int) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))


def _forest(seed: int) -> Any:
    return RandomForestClassifier(500, random_state=seed, n_jobs=-1)


def _classes(build: Callable[[int], Any]) -> Fit:
    def fit(train: Matrix, gold: Matrix, test: Matrix, seed: int) -> Matrix:
        model = build(seed).fit(train, gold.argmax(1))
        found = np.zeros((len(test), gold.shape[1]))
        found[:, model.classes_] = model.predict_proba(test)
        return found

    return fit


def _labels(train: Matrix, gold: Matrix, test: Matrix, seed: int) -> Matrix:
    """One forest for each label, on the molecules where it is known."""
    columns = []
    for column in gold.T:
        known = np.isfinite(column)
        forest = RandomForestClassifier(500, random_state=seed, n_jobs=-1).fit(train[known], column[known])
        columns.append(forest.predict_proba(test)[:, list(forest.classes_).index(1.0)])
    return np.stack(columns, 1)


def _numbers(train: Matrix, gold: Matrix, test: Matrix, seed: int) -> Matrix:
    columns = []
    for column in gold.T:
        known = np.isfinite(column)
        forest = RandomForestRegressor(500, random_state=seed, n_jobs=-1).fit(train[known], column[known])
        columns.append(forest.predict(test))
    return np.stack(columns, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    for path in arguments.recipes:
        recipe = load_recipe(path)
        assert recipe.input is not None
        data = load_records(recipe, recipe.input)
        print(f"{recipe.name}: {len(data.train):,} training and {len(data.test):,} test records")
        found: dict[str, list[float]] = {}
        metric = data.target.main_metric
        for seed in arguments.seeds:
            for name, scores in baselines(data, seed):
                found.setdefault(name, []).append(scores[metric])
        for name, values in found.items():
            print(f"  {name}: {metric} {np.mean(values):.4f} ± {np.std(values):.4f}")


if __name__ == "__main__":
    main()

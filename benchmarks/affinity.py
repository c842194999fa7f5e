"""Drug-target affinity: classical models beside a model of pairs on a recipe's test pairs, and the speed of screening.

    python benchmarks/affinity.py recipes/affinity/kiba.toml [--model runs/kiba/bundle]
    python benchmarks/affinity.py recipes/affinity/kiba.toml --set 'data.train=["pairs.tsv#molecule:0-70%"]' ...

    mean                the mean of the target's training pairs, else of all
    nearest neighbour   the weighted mean of the five most similar training pairs, by the Tanimoto similarity of the
                        molecules' fingerprints times that of the proteins' counts of words
    random forest       over Morgan fingerprints of 1,024 bits and the proteins' 400 dipeptides; --trees trees, each of
                        them drawn from --samples pairs

--screen N times N molecules of the training data against one protein with --model, as `textome screen` does, reading of the
SMILES included.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from textome.inputs.chemistry import fingerprint_counts, fingerprints
from textome.inputs.proteins import DIPEPTIDES, kmer_counts
from textome.inputs.records import Record
from textome.metrics.outputs import score_outputs
from textome.runtime.pairs import PairPredictor
from textome.training.modality.data import ModalityRecords, load_records
from textome.training.recipe import load_recipe

Matrix = NDArray[np.float32]
SHOWN = ("concordance", "mse", "r_m2", "coverage")
NEIGHBOURS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--model", help="a bundle of a model of pairs")
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--screen", type=int, default=0, metavar="N")
    parser.add_argument("--no-baselines", action="store_true")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.set)
    assert recipe.input is not None
    data = load_records(recipe, recipe.input)
    print(f"{len(data.train):,} training pairs, {len(data.test):,} test pairs\n")
    print("| model | concordance index | MSE | r_m^2 | inside the interval | seconds |\n|---|---|---|---|---|---|")
    if not options.no_baselines:
        for name, predict in (("mean", mean), ("nearest neighbour", nearest)):
            _show(name, data, predict)
        _show("random forest", data, lambda data: forest(data, options.trees, options.samples))
    if options.model:
        predictor = PairPredictor.load(options.model, threads=1)
        _show(predictor.name, data, lambda data: predictor.answer([record.content for record in data.test]))
        if options.screen:
            _screen(predictor, data, options.screen)


def mean(data: ModalityRecords) -> Matrix:
    proteins = [record.content["protein"] for record in data.train]
    values, overall = _values(data.train), float(_values(data.train).mean())
    sums: dict[str, list[float]] = {}
    for protein, value in zip(proteins, values, strict=True):
        sums.setdefault(protein, []).append(float(value))
    means = {protein: np.mean(known) for protein, known in sums.items()}
    return np.array([means.get(record.content["protein"], overall) for record in data.test], np.float32)


def nearest(data: ModalityRecords) -> Matrix:
    """Pairs that share no molecule and no protein with others are compared by both similarities."""
    sides = []
    for name in ("molecule", "protein"):
        contents = list(dict.fromkeys(record.content[name] for record in (*data.train, *data.test)))
        numbers = {content: number for number, content in enumerate(contents)}
        vectors = np.stack(
            [fingerprint_counts(content[0]) if name == "molecule" else kmer_counts(content) for content in contents]
        )
        train, test = (np.array([numbers[record.content[name]] for record in part]) for part in (data.train, data.test))
        sides.append((_tanimoto(vectors), train, test))
    (molecules, first, first_test), (proteins, second, second_test) = sides
    values = _values(data.train)
    found = np.empty(len(data.test), np.float32)
    for number, (one, two) in enumerate(zip(first_test, second_test, strict=True)):
        similarity = molecules[one][first] * proteins[two][second]
        best = np.argpartition(similarity, -NEIGHBOURS)[-NEIGHBOURS:]
        weights = similarity[best] ** 4 + 1e-9
        found[number] = weights @ values[best] / weights.sum()
    return found


def forest(data: ModalityRecords, trees: int, samples: int) -> Matrix:
    train, test = _features(data.train), _features(data.test)
    model = RandomForestRegressor(trees, max_features="sqrt", max_samples=min(samples, len(train)), random_state=0)
    return np.asarray(model.fit(train, _values(data.train)).predict(test), np.float32)


def _features(records: Sequence[Record]) -> Matrix:
    smiles = list(dict.fromkeys(record.content["molecule"][0] for record in records))
    bits = dict(zip(smiles, fingerprints(smiles, size=1024).astype(np.float32), strict=True))
    return np.stack(
        [
            np.concatenate([bits[r.content["molecule"][0]], kmer_counts(r.content["protein"])[: len(DIPEPTIDES)]])
            for r in records
        ]
    )


def _tanimoto(vectors: Matrix) -> Matrix:
    """(n, n) Tanimoto similarities of vectors of counts (Willett et al. 1998, table 1)."""
    products = vectors @ vectors.T
    squares = np.diag(products)
    return np.asarray(products / np.maximum(squares[:, None] + squares[None] - products, 1e-9))


def _values(records: Sequence[Record]) -> Matrix:
    targets = [record.target for record in records]
    return np.array([next(iter(target.values())) for target in targets if isinstance(target, Mapping)], np.float32)


def _show(name: str, data: ModalityRecords, predict: object) -> None:
    started = time.process_time()
    answers = predict(data)  # type: ignore[operator]
    seconds = time.process_time() - started
    rows = answers if answers.ndim == 2 else np.stack([answers, np.full(len(answers), np.nan)], 1)
    scores = score_outputs("affinity", _values(data.test)[:, None], rows)
    cells = [f"{scores[key]:.3f}" if answers.ndim == 2 or key != "coverage" else "" for key in SHOWN]
    print("| " + " | ".join([name, *cells, f"{seconds:.0f}"]) + " |", flush=True)


def _screen(predictor: PairPredictor, data: ModalityRecords, count: int) -> None:
    smiles = list(dict.fromkeys(record.content["molecule"][0] for record in data.train))
    library = [smiles[number % len(smiles)] for number in range(count)]
    target = predictor.vector("protein", data.train[0].content["protein"])
    fingerprint_counts.cache_clear()
    wall, processor = time.perf_counter(), time.process_time()
    # `__wrapped__`: each molecule is read anew, as those of a library are.
    predictor.screened([fingerprint_counts.__wrapped__(item) for item in library], [target])
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"\n{count:,} pairs in {wall:.1f} s, {processor:.1f} s of processor time")


if __name__ == "__main__":
    main()

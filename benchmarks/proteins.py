"""Proteins: classical models beside trained ones on the test records of a recipe, function or the effect of variants.

    python benchmarks/proteins.py recipes/modalities/enzymes.toml --models kmers=runs/enzymes_1/bundle,runs/enzymes_2/bundle
    python benchmarks/proteins.py recipes/modalities/gb1.toml --models gb1=runs/gb1/bundle --set 'data.test=[...]' ...

Function (several labels):
    frequencies         how often each label is in the training chains, the same for each test chain
    nearest by identity, by bit score   the labels of the k most similar training chains, weighted by a power of the
                        similarity; both are chosen by F-max on the validation chains. Alignments are MMseqs2's at its
                        highest sensitivity; identity is that of the equal residues of the shorter chain. Chains without any
                        hit have frequencies
    NAME and nearest    the weighted mean of a model's answer and that of the nearest by bit score; the weight is chosen in
                        the same way
Variants (numbers):
    ridge               over which residue stands at each position that varies, and the same with each pair of positions;
                        the penalty is chosen by leaving one training or validation record out

Bundles of one name are seeds, of which the mean and the standard deviation are printed.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import OneHotEncoder

from textome.inputs.proteins import Proteins
from textome.inputs.records import Record
from textome.metrics.outputs import f_max, score_outputs
from textome.runtime.predictor import Predictor
from textome.tasks.target import Target
from textome.training.modality.data import ModalityRecords, load_records
from textome.training.recipe import load_recipe

Matrix = NDArray[np.float32]
SHOWN = {"sequence_labels": ("f_max", "aupr", "macro_aupr", "roc_auc"), "regression": ("spearman", "rmse", "r2")}
PENALTIES = np.logspace(-2, 3, 11)
NEIGHBOURS, POWERS = (1, 3, 5, 10, 20), (1, 2, 3)
SHARES = np.linspace(0, 1, 11)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME=BUNDLE,BUNDLE")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.set)
    assert recipe.input is not None
    data = load_records(recipe, recipe.input)
    kind = data.target.kind
    gold = rows(data, data.test)
    shown = SHOWN[kind]
    print(f"{len(data.train):,} training, {len(data.validation):,} validation and {len(data.test):,} test records\n")
    print("| model | " + " | ".join(shown) + " |\n|---|" + "---|" * len(shown))
    baselines = function if kind == "sequence_labels" else variants
    for name, validation, answers in baselines(data):  # the last is the one that models are combined with
        show(name, [score_outputs(kind, gold, answers)], shown)
    for item in options.models:
        name, _, folders = item.partition("=")
        models = [Predictor.load(folder, threads=1) for folder in folders.split(",")]
        tests = [model.answer([record.content for record in data.test]) for model in models]
        show(name, [score_outputs(kind, gold, own) for own in tests], shown)
        if validation is None:
            continue
        expected, mixed = rows(data, data.validation), []
        for model, own in zip(models, tests, strict=True):
            known = model.answer([record.content for record in data.validation])
            share = max(SHARES, key=lambda share: f_max(expected, share * validation + (1 - share) * known)[0])
            mixed.append((share * answers + (1 - share) * own).astype(np.float32))
        show(f"{name} and nearest", [score_outputs(kind, gold, own) for own in mixed], shown)


def show(name: str, seeds: Sequence[dict[str, float]], shown: Sequence[str]) -> None:
    cells = []
    for key in shown:
        values = [scores[key] for scores in seeds]
        cells.append(f"{np.mean(values):.3f}" + (f" ± {np.std(values):.3f}" if len(values) > 1 else ""))
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def rows(data: ModalityRecords, records: Sequence[Record]) -> Matrix:
    assert isinstance(data.target, Target)
    return np.stack([data.target.encode(record) for record in records])


def function(data: ModalityRecords) -> Iterator[tuple[str, Matrix | None, Matrix]]:
    """Each baseline's name, with its answers for the validation and the test chains."""
    known = rows(data, data.train)
    yield "frequencies", None, np.repeat(known.mean(0)[None], len(data.test), 0)
    hits = alignments([*data.validation, *data.test], data.train)
    validation = rows(data, data.validation)
    for name, column in (("identity", 0), ("bit score", 1)):

        def answers(records: Sequence[Record], k: int, power: int, column: int = column) -> Matrix:
            found = []
            for record in records:
                nearest = sorted(hits[record.id], key=lambda hit: -hit[1][column])[:k]
                weights = np.array([similarity[column] for _, similarity in nearest]) ** power
                own = known[[number for number, _ in nearest]]
                found.append(weights @ own / weights.sum() if weights.any() else known.mean(0))
            return np.stack(found).astype(np.float32)

        choices = product(NEIGHBOURS, POWERS)
        k, power = max(choices, key=lambda choice: f_max(validation, answers(data.validation, *choice))[0])
        yield f"{k} nearest by {name}, power {power}", answers(data.validation, k, power), answers(data.test, k, power)
    without = sum(not hits[record.id] for record in data.test)
    print(f"({without} of {len(data.test)} test chains align with no training chain)")


def alignments(
    queries: Sequence[Record], targets: Sequence[Record]
) -> dict[str, list[tuple[int, tuple[float, float]]]]:
    """For each query the number of each target that it aligns with, the share of equal residues, and the bit score."""
    hits: dict[str, list[tuple[int, tuple[float, float]]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for name, records in (("queries", queries), ("targets", targets)):
            lines = [f">{number}\n{record.content}\n" for number, record in enumerate(records)]
            (Path(folder) / name).write_text("".join(lines))
        files = [f"{folder}/{name}" for name in ("queries", "targets", "hits", "work")]
        columns = "query,target,nident,qlen,tlen,bits"
        rule = ["-a", "-s", "7.5", "-e", "10000", "--format-output", columns, "--threads", "1", "-v", "1"]
        subprocess.run(["mmseqs", "easy-search", *files, *rule], check=True)
        for line in (Path(folder) / "hits").read_text().splitlines():
            query, target, equal, one, two, bits = line.split("\t")
            similarity = (int(equal) / min(int(one), int(two)), float(bits))
            hits[queries[int(query)].id].append((int(target), similarity))
    return hits


def variants(data: ModalityRecords) -> Iterator[tuple[str, Matrix | None, Matrix]]:
    assert isinstance(data.modality, Proteins)
    sites = data.modality.sites
    train = [*data.train, *data.validation]
    values = rows(data, train)[:, 0]
    singles = list(combinations(sites, 1))
    for name, groups in (("one-hot", singles), ("one-hot and pairs", [*singles, *combinations(sites, 2)])):
        letters = [
            [["".join(record.content[site] for site in group) for group in groups] for record in part]
            for part in (train, data.test)
        ]
        encoder = OneHotEncoder(handle_unknown="ignore").fit(letters[0])
        model = RidgeCV(PENALTIES).fit(encoder.transform(letters[0]).toarray(), values)
        answers = model.predict(encoder.transform(letters[1]).toarray())[:, None].astype(np.float32)
        yield f"ridge, {name}", None, answers


if __name__ == "__main__":
    main()

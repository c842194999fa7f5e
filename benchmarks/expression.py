"""Classes of samples by gene expression beside the lasso and a random forest: nested cross-validation, nothing leaks.

    python benchmarks/expression.py [recipes/modalities/leukaemia.toml] [--seeds 1 2 3] [--folds 5]

All samples of the recipe, training and test, are dealt into folds, by class and anew for each seed. In each fold genes
are chosen, and levels scaled, by the other folds alone, for every model by `inputs.expression`. The strength of the lasso
and the number of the forest's genes are chosen by accuracy in an inner cross-validation of the fold's training samples;
ours has the recipe's settings. The last lines are the published split: the recipe's training samples, tested on the others.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from textome.formats import Quarantine
from textome.inputs.expression import Expression
from textome.inputs.records import Record, read_records
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.predictor import Predictor
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parent.parent
GENES = (32, 128, 512)
STRENGTHS = (0.03, 0.1, 0.3, 1.0)
Matrix = NDArray[np.float64]
# Of training samples, tested samples, a setting and a seed, the probability of the last class of each tested sample.
Model = Callable[[Sequence[Record], Sequence[Record], Any, int], Matrix]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", type=Path, default=ROOT / "recipes" / "modalities" / "leukaemia.toml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    (table,) = recipe.tasks
    expression = recipe.input
    assert isinstance(expression, Expression)
    root = options.recipe.parent / recipe.data.root
    if "TEXTOME_DATA" in os.environ:
        root = Path(os.environ["TEXTOME_DATA"])
    train, test = (
        [record for path in paths for record in read_records(expression, str(root / path), Quarantine())]
        for paths in (table.train, table.test)
    )
    models: dict[str, tuple[Model, Sequence[Any]]] = {
        "Textome": (lambda *given: ours(options.recipe, expression, *given), (expression.max_genes,)),
        "lasso": (lambda *given: lasso(expression, *given), STRENGTHS),
        "random forest": (lambda *given: forest(expression, *given), GENES),
    }
    everyone = train + test
    print(
        f"{len(everyone)} samples, {options.folds} folds, seeds {options.seeds}: mean (standard deviation over seeds)"
    )
    for name, (model, settings) in models.items():
        rows = np.array([cross_validated(model, settings, everyone, options.folds, seed) for seed in options.seeds])
        means, deviations = rows.mean(0), rows.std(0, ddof=1) if len(rows) > 1 else np.zeros(3)
        print(f"  {name:<16}" + scores_of(means, deviations), flush=True)
    print(f"the published split, {len(train)} and {len(test)} samples")
    for name, (model, settings) in models.items():
        rows = np.array(
            [
                measured(test, model(train, test, chosen(model, settings, train, options.folds, seed), seed))
                for seed in options.seeds
            ]
        )
        print(
            f"  {name:<16}" + scores_of(rows.mean(0), rows.std(0, ddof=1) if len(rows) > 1 else np.zeros(3)), flush=True
        )


def scores_of(means: Matrix, deviations: Matrix) -> str:
    names = ("accuracy", "balanced accuracy", "ROC AUC")
    return ", ".join(f"{name} {mean:.3f} ({by:.3f})" for name, mean, by in zip(names, means, deviations, strict=True))


def cross_validated(
    model: Model, settings: Sequence[Any], records: Sequence[Record], folds: int, seed: int
) -> tuple[float, float, float]:
    said = np.zeros(len(records))
    for known, unseen in split(records, folds, seed):
        training = [records[index] for index in known]
        setting = chosen(model, settings, training, folds, seed)
        said[unseen] = model(training, [records[index] for index in unseen], setting, seed)
    return measured(records, said)


def chosen(model: Model, settings: Sequence[Any], records: Sequence[Record], folds: int, seed: int) -> Any:
    """The setting with the best accuracy in an inner cross-validation, the first of equal ones."""
    if len(settings) == 1:
        return settings[0]
    scores = []
    for setting in settings:
        said = np.zeros(len(records))
        for known, unseen in split(records, folds, seed):
            train, test = ([records[index] for index in part] for part in (known, unseen))
            said[unseen] = model(train, test, setting, seed)
        scores.append(measured(records, said)[0])
    return settings[int(np.argmax(scores))]


def split(records: Sequence[Record], folds: int, seed: int) -> list[tuple[Matrix, Matrix]]:
    labels = [str(record.target) for record in records]
    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels))


def measured(records: Sequence[Record], said: Matrix) -> tuple[float, float, float]:
    truth = np.array([str(record.target) for record in records]) == max(str(record.target) for record in records)
    guessed = said > 0.5
    return (
        float((guessed == truth).mean()),
        float(balanced_accuracy_score(truth, guessed)),
        float(roc_auc_score(truth, said)),
    )


def ours(
    path: Path, expression: Expression, train: Sequence[Record], test: Sequence[Record], genes: int, seed: int
) -> Matrix:
    """The recipe, trained on files written from these samples."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, records in (("train", train), ("test", test)):
            write(folder / f"{name}.csv", folder / "labels.csv", records, [*train, *test])
        recipe = load_recipe(path)
        (table,) = recipe.tasks
        own = {
            "name": "gene",
            "skip": (),
            "outcomes": "labels.csv",
            "sample": "sample",
            "label": "label",
            "max_genes": genes,
        }
        changes = {
            "tasks": [table.model_copy(update={"train": (str(folder / "train.csv"),), "test": ()})],
            "training": recipe.training.model_copy(update={"seed": seed}),
            "input": expression.model_copy(update=own),
        }
        bundle = Bundle.load(finetune(recipe.model_copy(update=changes), folder / "run"))
        export_bundle(bundle, bundle.directory, "fp32")
        predictor = Predictor(Bundle.load(bundle.directory), "fp32", 1)
        return np.asarray(predictor.answer([record.content for record in test])[:, -1], np.float64)


def write(matrix: Path, labels: Path, records: Sequence[Record], everyone: Sequence[Record]) -> None:
    genes = list(everyone[0].content)
    lines = ["gene," + ",".join(record.id for record in records)]
    lines += [f"{gene}," + ",".join(str(record.content.get(gene, "")) for record in records) for gene in genes]
    matrix.write_text("\n".join(lines) + "\n", encoding="utf-8")
    labels.write_text(
        "sample,label\n" + "".join(f"{record.id},{record.target}\n" for record in everyone), encoding="utf-8"
    )


def matrices(
    expression: Expression, train: Sequence[Record], test: Sequence[Record], genes: int
) -> tuple[Matrix, NDArray[np.bool_], Matrix]:
    """Standardised levels of the genes that tell training samples apart, and whether each is of the last class."""
    fitted = expression.model_copy(update={"max_genes": genes, "reading": "number"}).fitted(train)
    parts = [np.stack([dense(fitted, record) for record in records]) for records in (train, test)]
    labels = np.array([str(record.target) for record in train])
    return parts[0], labels == max(labels), parts[1]


def dense(fitted: Expression, record: Record) -> Matrix:
    part = fitted.features(record.content)["expression"]
    row = np.zeros(len(fitted.genes))
    row[part.positions[:, 0]] = part.values[np.arange(len(part.values)), part.positions[:, 0]]
    return row


def lasso(
    expression: Expression, train: Sequence[Record], test: Sequence[Record], strength: float, seed: int
) -> Matrix:
    """Logistic regression with an L1 penalty over all genes, which chooses among them itself."""
    known, truth, unseen = matrices(expression, train, test, 10_000)
    model = LogisticRegression(l1_ratio=1.0, solver="liblinear", C=strength, random_state=seed, max_iter=1000)
    return np.asarray(model.fit(known, truth).predict_proba(unseen)[:, 1])


def forest(expression: Expression, train: Sequence[Record], test: Sequence[Record], genes: int, seed: int) -> Matrix:
    known, truth, unseen = matrices(expression, train, test, genes)
    return np.asarray(RandomForestClassifier(500, random_state=seed).fit(known, truth).predict_proba(unseen)[:, 1])


if __name__ == "__main__":
    main()

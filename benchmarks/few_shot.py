"""The learning curve of a recipe for few examples: its test score at 8, 16, 32, 64 examples of each class and with all.

    python benchmarks/few_shot.py --few recipes/tasks/few_shot.toml --plain recipes/tasks/chemprot.toml --plot curve.svg

Beside the recipe for few examples stand the plain one, with the same examples, and a linear model over words (scikit-learn:
tf-idf of words and pairs, logistic regression). Each point is the mean over seeds, which draw the examples too. With all
examples only the plain recipe is trained. Scores are those of int8 graphs; each is kept in --output as it comes, and
started again the script goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import sklearn
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from textome.evaluation.evaluation import Data, evaluate
from textome.formats.reading.sources import Quarantine, atomic_file
from textome.metrics.labels import score_labels, value_of
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.training.kinds import plan_run
from textome.training.memory import keep_freed_memory
from textome.training.recipe import load_recipe
from textome.training.text.data import few

SIZES = (8, 16, 32, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=Path, required=True)
    parser.add_argument("--plain", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--all", action="store_true", help="train the plain recipe with all examples too (slow)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, default=Path("runs/few_shot.json"), help="the scores as they come")
    parser.add_argument("--plot", type=Path, help="an SVG of the curves")
    options = parser.parse_args()
    keep_freed_memory()
    print(f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, {torch.get_num_threads()} threads\n")
    curves: dict[str, dict[str, list[float]]] = {"few": {}, "plain": {}, "linear": {}}
    scores = Scores(options.output, [options.few.read_text(), options.plain.read_text(), *options.overrides])
    for size in options.sizes:
        for seed in options.seeds:
            common = [*options.overrides, f"training.seed={seed}"]
            for name, path in (("few", options.few), ("plain", options.plain)):
                score = scores.get(f"{name} {size} {seed}", path, [*common, *with_shots(path, size)])
                curves[name].setdefault(str(size), []).append(score)
            curves["linear"].setdefault(str(size), []).append(linear(options.few, common, size, seed))
        print(f"{size}: " + ", ".join(f"{name} {points[str(size)]}" for name, points in curves.items()), flush=True)
    if options.all:
        curves["plain"]["all"] = [scores.get("plain all", options.plain, options.overrides)]
        curves["linear"]["all"] = [linear(options.few, options.overrides, None, 0)]
    print_table(curves, [str(size) for size in options.sizes] + ["all"] * options.all)
    if options.plot:
        plot(curves, options.plot)


class Scores:
    """Test scores by name, kept in a file; those of other recipes or overrides (`made_by`) are forgotten."""

    def __init__(self, path: Path, made_by: list[str]) -> None:
        self._path, self._made_by = path, made_by
        known = json.loads(path.read_text()) if path.exists() else {}
        self._scores: dict[str, float] = known["scores"] if known.get("made_by") == made_by else {}

    def get(self, name: str, recipe: Path, overrides: list[str]) -> float:
        """The score of this name, by training the recipe where it is not known."""
        if name not in self._scores:
            self._scores[name] = trained(recipe, overrides)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(self._path) as stream:
                stream.write(json.dumps({"made_by": self._made_by, "scores": self._scores}, indent=2).encode())
        return self._scores[name]


def with_shots(path: Path, size: int) -> list[str]:
    """Overrides that leave so many examples of each class, nothing to validate on, and the last weights."""
    (task,) = tomllib.loads(path.read_text(encoding="utf-8"))["tasks"]
    return [f"tasks.{task['name']}.shots={size}", f"tasks.{task['name']}.validation=[]", "training.select=last"]


def trained(path: Path, overrides: list[str]) -> float:
    """The test score, in percent, of the bundle that a recipe gives."""
    recipe = load_recipe(path, overrides)
    (table,) = recipe.tasks
    with tempfile.TemporaryDirectory() as folder:
        bundle = plan_run(path, overrides).start(Path(folder) / "run", False, lambda record: None)
        export_bundle(Bundle.load(bundle), bundle, "int8")
        runner = Model.load(bundle, threads=torch.get_num_threads())
        paths = [recipe.path(path) for path in table.test]
        return round(100 * evaluate(runner, table.name, Data(paths, table.layout), Quarantine()).score, 2)


def linear(path: Path, overrides: list[str], size: int | None, seed: int) -> float:
    """The same score of a linear model over words, on the same examples."""
    recipe = load_recipe(path, overrides)
    (table,) = recipe.tasks

    def read(paths: tuple[str, ...]) -> list[Any]:
        return [record for path in paths for record in table.task.read(recipe.path(path), table.layout, Quarantine())]

    train, test = read(table.train), read(table.test)
    if size:
        train = few(table.task, train, size, seed)
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=30, max_iter=2000)
    )
    model.fit([item.text for item in train], [item.labels[0] for item in train])
    found = model.predict([item.text for item in test])
    gold = [frozenset(item.labels) for item in test]
    labels = sorted({label for item in (*train, *test) for label in item.labels})
    scores = score_labels(gold, [frozenset([name]) for name in found], labels, table.task.negative_labels)
    return round(100 * value_of(scores, table.task.metric), 2)


def print_table(curves: dict[str, dict[str, list[float]]], sizes: list[str]) -> None:
    print("\n| examples of each class | " + " | ".join(curves) + " |")
    print("|---" * (len(curves) + 1) + "|")
    for size in sizes:
        cells = [
            f"{statistics.mean(points[size]):.1f} ({min(points[size]):.1f} to {max(points[size]):.1f})"
            if size in points
            else ""
            for points in curves.values()
        ]
        print(f"| {size} | " + " | ".join(cells) + " |")


def plot(curves: dict[str, dict[str, list[float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "textome"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, points in curves.items():
        axes.plot(list(points), [statistics.mean(scores) for scores in points.values()], marker="o", label=name)
    axes.set(xlabel="examples of each class", ylabel="test score, %", ylim=(0, 100))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()

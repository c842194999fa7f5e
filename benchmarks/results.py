"""The table of docs/results/tasks.md: every task recipe from several encoders, beside the majority.

    python benchmarks/results.py [--starts general bundled] [--pretrained runs/minilm-biomedical/model] [--seeds 42]
                                 [--jobs 8] [--device auto] [--only ddi gad together] [--output runs/results] [--table]

`general` is the encoder that the recipes name, `bundled` that of the bundled entity model (`model.base = "default"`), and
`pretrained` the folder that --pretrained names.
Each run is `textome finetune`, `textome export --precision int8` and `textome evaluate` on the recipe's test data, in a
process of its own; what it found is a file in --output: started again, the script goes on with what is missing, and prints
the table of all that is there; `leaks` are the training records of all runs of a row that were left out since the test data
hold them. GAD is the mean of its ten folds. `together` trains entities, relations, sentence roles and
answers in one run, and `alone` the same parts of the same recipe one by one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textome.processors import available_threads

RECIPES = Path(__file__).resolve().parent.parent / "recipes" / "tasks"
STARTS = ("general", "pretrained", "bundled")


@dataclass(frozen=True)
class Run:
    """One training run.

    row    of the table
    part   a fold, or the one task of the recipe that is trained; "" for the whole recipe
    sets   the overrides that make it
    """

    row: str
    recipe: str
    part: str = ""
    sets: tuple[str, ...] = ()
    only: str = ""


def _gad(fold: int) -> Run:
    places = {split: f're/GAD/{fold}/{split}.tsv"]' for split in ("train", "test")}
    sets = tuple(f'tasks.gad.{split}=["{place}' for split, place in places.items())
    return Run("gad", "gad", f"fold{fold}", sets)


PLAIN = ("ddi", "chemprot", "hoc", "piboso", "pubmedqa", "bioasq", "bioasq_list", "bioasq_yesno", "bc5cdr_relations")
PARTS = ("entities", "chemprot", "roles", "factoid")
RUNS = [
    *(Run(name, name) for name in (*PLAIN, "biored")),
    *(_gad(fold) for fold in range(1, 11)),
    Run("together", "together"),
    *(Run("alone", "together", name, only=name) for name in PARTS),
]


def main() -> None:
    options = _options()
    options.output.mkdir(parents=True, exist_ok=True)
    runs = [run for run in RUNS if not options.only or run.row in options.only]
    if options.one:
        number, start, seed = options.one
        _write(options, RUNS[int(number)], start, int(seed))
        return
    if "pretrained" in options.starts and not options.pretrained:
        sys.exit("--starts pretrained: name the encoder's folder with --pretrained")
    wanted = [
        (run, start, seed)
        for start in options.starts
        for seed in options.seeds
        for run in runs
        if not _file(options.output, run, start, seed).exists()
    ]
    if not options.table:
        if any(run.row == "pubmedqa" for run, _, _ in wanted):
            _make_evidence_questions(options)
        print(f"{len(wanted)} runs, {options.jobs} at a time", file=sys.stderr, flush=True)
        with ThreadPoolExecutor(options.jobs) as pool:
            failed = sum(pool.map(lambda item: _start(options, *item), wanted))
        if failed:
            print(f"{failed} runs failed, see above", file=sys.stderr)
    print(table(options.output))


def _make_evidence_questions(options: argparse.Namespace) -> None:
    """What `pubmedqa.toml` reads besides, where it is not there yet."""
    if not (RECIPES.parent.parent / "runs" / "evidence-questions.jsonl").exists():
        data = ["--data", str(options.data)] if options.data else []
        subprocess.run([sys.executable, str(RECIPES.parent / "evidence_questions.py"), *data], check=True)


def table(folder: Path) -> str:
    """Means over seeds (of GAD over its folds first), Markdown; behind them the deviation over seeds, or the interval."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    starts = [start for start in STARTS if any(item["start"] == start for item in found)]
    rows = [
        f"| recipe (sha256) | task | metric | {' | '.join(starts)} | majority | leaks |",
        "|---" * (5 + len(starts)) + "|",
    ]
    for name in dict.fromkeys(run.row for run in RUNS):
        mine = [item for item in found if item["row"] == name]
        for task in dict.fromkeys(task for item in mine for task in item["tasks"]):
            results = [(item, item["tasks"][task]) for item in mine if task in item["tasks"]]
            cells = [
                _cell([(item["seed"], row) for item, row in results if item["start"] == start]) for start in starts
            ]
            item, row = results[0]
            majority = [each["majority"] for _, each in results if each.get("majority") is not None]
            last = f"{100 * statistics.mean(majority):.1f}" if majority else ""
            told = [each for each, _ in results if "leaks" in each]
            leaks = [each["leaks"] for each in told if each["start"] == told[0]["start"]]
            left_out = sum(each.get(task, sum(each.values())) for each in leaks) if leaks else ""
            rows.append(
                f"| `{item['recipe']}.toml` ({item['sha256'][:12]}){', ' + name if name == 'alone' else ''} | {task} | "
                f"{row['metric']} | {' | '.join(cells)} | {last} | {left_out} |"
            )
    return "\n".join(rows)


def _cell(results: list[tuple[int, dict[str, Any]]]) -> str:
    if not results:
        return ""
    seeds = sorted({seed for seed, _ in results})
    means = [statistics.mean(row["score"] for key, row in results if key == seed) for seed in seeds]
    text = f"**{100 * statistics.mean(means):.1f}**"
    if len(seeds) > 1:
        return f"{text} ± {100 * statistics.stdev(means):.1f} ({len(seeds)})"
    if len(results) > 1:
        return f"{text} ({', '.join(str(round(100 * row['score'], 1)) for _, row in results)})"
    low, high = results[0][1]["interval"]
    return f"{text} ({100 * low:.1f}-{100 * high:.1f})"


def _start(options: argparse.Namespace, run: Run, start: str, seed: int) -> bool:
    """Run one in its own process; returns whether it failed."""
    began = time.monotonic()
    command = [sys.executable, __file__, *sys.argv[1:], "--one", str(RUNS.index(run)), start, str(seed)]
    threads = str(max(1, available_threads() // options.jobs))
    variables = os.environ | {"OMP_NUM_THREADS": threads}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    label = " ".join(filter(None, (run.row, run.part, start, str(seed))))
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-12:])
        print(f"FAILED {label}\n{last}", file=sys.stderr, flush=True)
        return True
    result = json.loads(_file(options.output, run, start, seed).read_text(encoding="utf-8"))
    scores = ", ".join(f"{name} {row['metric']} {100 * row['score']:.2f}" for name, row in result["tasks"].items())
    print(f"{label}: {scores}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return False


def _write(options: argparse.Namespace, run: Run, start: str, seed: int) -> None:
    from textome.training.finetune import finetune
    from textome.training.memory import keep_freed_memory
    from textome.training.recipe import load_recipe

    keep_freed_memory()
    path = RECIPES / f"{run.recipe}.toml"
    sets = [f"training.seed={seed}", f"training.device={options.device}", *run.sets, *options.overrides]
    base = {"general": None, "pretrained": str(options.pretrained), "bundled": "default"}[start]
    sets += [f"model.base={json.dumps(base)}"] if base else []
    sets += [f"data.root={json.dumps(str(options.data.resolve()))}"] if options.data else []
    recipe = load_recipe(path, sets)
    folder = _file(options.output, run, start, seed).with_suffix("")
    if run.only:
        recipe = recipe.model_copy(update={"tasks": [table for table in recipe.tasks if table.name == run.only]})
    bundle = finetune(recipe, folder, resume=folder.exists())
    _textome("export", str(bundle), "--output", str(bundle), "--precision", "int8")
    result = {
        "row": run.row,
        "recipe": run.recipe,
        "part": run.part,
        "start": start,
        "seed": seed,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "overrides": [*run.sets, *options.overrides],
        "leaks": _leaks(bundle),
        "tasks": {table.name: _scored(bundle, table, recipe) for table in recipe.tasks},
    }
    target = _file(options.output, run, start, seed)
    draft = target.with_suffix(".partial")
    draft.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draft.replace(target)
    shutil.rmtree(folder)


def _leaks(bundle: Path) -> dict[str, int]:
    """By task."""
    described = json.loads((bundle / "textome.json").read_text(encoding="utf-8"))
    return dict(described["provenance"]["left_out_as_leaks"])


def _scored(bundle: Path, table: Any, recipe: Any) -> dict[str, Any]:
    """What `textome evaluate` says of a task of the bundle on its test data."""
    tests = [path for corpus in table.corpora for path in corpus.test] or table.test
    command = ["evaluate", "--model", str(bundle), "--task", table.name, "--json"]
    command += [word for path in tests for word in ("--data", recipe.path(path))]
    if table.layout:
        command += ["--format", table.layout]
    found = json.loads(_textome(*command))
    if table.corpora:
        return {"metric": "f1", "score": found["micro"]["f1"], "interval": found["micro"]["f1_interval"]}
    score = found.get("score", found.get(found["metric"]))
    kept = {name: found[name] for name in ("metric", "interval")}
    more = (
        "accuracy",
        "micro_f1",
        "macro_f1",
        "example_f1",
        "calibration_error",
        "strict",
        "lenient",
        "list_precision",
    )
    return (
        kept | {"score": score, "majority": found.get("majority")} | {key: found[key] for key in more if key in found}
    )


def _textome(*arguments: str) -> str:
    """What a command prints; code 1 says that records were set aside, as some are in these data."""
    done = subprocess.run(
        [sys.executable, "-m", "textome.cli.main", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        sys.exit(f"textome {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def _file(folder: Path, run: Run, start: str, seed: int) -> Path:
    return folder / f"{'-'.join(filter(None, (run.row, run.part, start, str(seed))))}.json"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=["general"])
    parser.add_argument("--pretrained", type=Path, help="folder of an encoder after `textome pretrain`")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", nargs="+", default=[], choices=sorted({run.row for run in RUNS}), metavar="ROW")
    parser.add_argument("--data", type=Path, help="the folder of data sets; default: that of the recipes")
    parser.add_argument("--output", type=Path, default=Path("runs/results"))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of what is there")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

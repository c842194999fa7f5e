"""Time and memory of a DeBERTa-v3 encoder beside the Hugging Face implementation, with the same random weights.

    python benchmarks/deberta.py [--layers 2] [--hidden 384] [--tokens 2048] [--device cpu] [--dtype bf16] [--dropout 0.1]

Each line is a batch of about `tokens` tokens, in sequences of one length, or ragged ones up to it, which the other side
pads to the longest; useful tokens are counted. Both sides take turns; the median of the repeats counts, after two that do
not. Memory is the most that tensors hold during a step, beyond what they held before it. bf16 is by autocast. First the
largest difference of what both give for a ragged batch is printed, of hidden states and of gradients; then what the linear
layers of tokens cost alone, which are the same on both sides and which no attention, however fast, can save.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import torch
import transformers
from torch import Tensor

from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.deberta.model import Deberta, DebertaConfig
from textome.encoders.layers.packing import Layout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 1024])
    parser.add_argument("--shapes", nargs="+", default=["equal", "ragged"], choices=["equal", "ragged"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--dropout", type=float, default=0.1, help="of hidden states and of attention weights")
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {name}, {vars(options)}")
    torch.manual_seed(0)
    theirs, ours = models(options, device)
    print(difference(theirs, ours, options), flush=True)
    print(linear_layers(ours, options, device), flush=True)
    columns = "us/token, Hugging Face | us/token, Textome | times | MB, Hugging Face | MB, Textome"
    print(f"| length | shape | | {columns} |\n|{'---|' * 8}", flush=True)
    for length in options.lengths:
        for shape in options.shapes:
            batch = Batch.of(length, shape, options.tokens, device)
            for kind in ("training", "inference"):
                for model in (theirs, ours):
                    model.train(kind == "training")
                calls = [step(model, batch, kind == "training", options) for model in (theirs, ours)]
                seconds, peaks = measured(calls, options.repeats, device)
                cells = [f"{value / sum(batch.lengths) * 1e6:.2f}" if value else "out of memory" for value in seconds]
                first, second = seconds
                times = f"{first / second:.2f}" if first and second else ""
                memory = " | ".join(f"{peak / 1e6:.0f}" for peak in peaks)
                print(f"| {length} | {shape} | {kind} | {' | '.join(cells)} | {times} | {memory} |", flush=True)


def models(options: argparse.Namespace, device: torch.device) -> tuple[transformers.DebertaV2Model, Deberta]:
    theirs = transformers.DebertaV2Model(
        transformers.DebertaV2Config(
            vocab_size=1000,
            hidden_size=options.hidden,
            num_hidden_layers=options.layers,
            num_attention_heads=options.hidden // 64,
            intermediate_size=4 * options.hidden,
            relative_attention=True,
            position_buckets=256,
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            norm_rel_ebd="layer_norm",
            position_biased_input=False,
            hidden_dropout_prob=options.dropout,
            attention_probs_dropout_prob=options.dropout,
        )
    )
    ours = Deberta(DebertaConfig.from_dict(theirs.config.to_dict()))
    load_tensors(ours, theirs.state_dict(), "the same weights")
    return theirs.to(device), ours.to(device)


@dataclass(frozen=True)
class Batch:
    """The same tokens packed and padded."""

    lengths: list[int]
    packed: Tensor
    layout: Layout
    padded: Tensor
    mask: Tensor

    @classmethod
    def of(cls, length: int, shape: str, tokens: int, device: torch.device) -> Batch:
        """Ragged lengths are spread evenly from an eighth of the longest to the longest."""
        lengths = [length] * max(1, tokens // length)
        if shape == "ragged":
            count = max(2, tokens * 16 // (9 * length))
            lengths = sorted(round(length * (1 + 7 * number / (count - 1)) / 8) for number in range(count))
        packed = torch.randint(1, 1000, (sum(lengths),))
        rows = torch.nn.utils.rnn.pad_sequence(list(packed.split(lengths)), batch_first=True)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        return cls(lengths, packed.to(device), Layout.of(lengths, device), rows.to(device), mask.long().to(device))


def hidden_states(model: torch.nn.Module, batch: Batch) -> Tensor:
    if isinstance(model, Deberta):
        return cast("Tensor", model(batch.packed, batch.layout))
    return cast("Tensor", model(batch.padded, attention_mask=batch.mask).last_hidden_state)


def step(model: torch.nn.Module, batch: Batch, training: bool, options: argparse.Namespace) -> Callable[[], None]:
    def run() -> None:
        with torch.set_grad_enabled(training), precision(options):
            hidden = hidden_states(model, batch)
            if training:
                hidden.float().square().mean().backward()
                model.zero_grad(set_to_none=True)

    return run


def precision(options: argparse.Namespace) -> AbstractContextManager[None]:
    return nullcontext() if options.dtype == "fp32" else torch.autocast(options.device, torch.bfloat16)


def difference(theirs: torch.nn.Module, ours: Deberta, options: argparse.Namespace) -> str:
    """The largest difference of hidden states and of gradients, without dropout, on a ragged batch."""
    batch = Batch.of(300, "ragged", 1024, torch.device(options.device))
    target = torch.randn(sum(batch.lengths), options.hidden, device=options.device)
    results = []
    for model in (theirs, ours):
        model.eval()
        with precision(options):
            hidden = hidden_states(model, batch)
        hidden = hidden[batch.mask.bool()] if model is theirs else hidden
        (hidden.float() - target).square().sum().backward()
        results.append(hidden.detach().float())
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters() if parameter.grad is not None}
    for parameter in ours.parameters():
        assert parameter.grad is not None
        parameter.data, parameter.grad = parameter.grad, parameter.data
    worst = 0.0
    for name, gradient in to_hugging_face(ours).items():
        worst = max(worst, float((gradient - expected[name]).norm() / expected[name].norm().clamp(min=1e-3)))
    for parameter in ours.parameters():
        assert parameter.grad is not None
        parameter.data, parameter.grad = parameter.grad, None
    theirs.zero_grad(set_to_none=True)
    hidden = (results[0] - results[1]).abs().max()
    return f"largest difference of hidden states {hidden:.1e}; of the gradient of a weight, relative {worst:.1e}"


def linear_layers(model: Deberta, options: argparse.Namespace, device: torch.device) -> str:
    """Microseconds a token of all linear layers that tokens pass, in inference and in training."""
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    inputs = [torch.randn(options.tokens, layer.in_features, device=device, requires_grad=True) for layer in layers]

    def run(training: bool) -> Callable[[], None]:
        def call() -> None:
            with torch.set_grad_enabled(training), precision(options):
                for layer, tokens in zip(layers, inputs, strict=True):
                    found = layer(tokens)
                    if training:
                        found.backward(torch.ones_like(found))

        return call

    seconds, _ = measured([run(False), run(True)], options.repeats, device)
    model.zero_grad(set_to_none=True)
    inference, training = (f"{(value or 0) / options.tokens * 1e6:.1f}" for value in seconds)
    return f"linear layers alone: {inference} us/token in inference, {training} in training"


def measured(
    calls: list[Callable[[], None]], repeats: int, device: torch.device
) -> tuple[list[float | None], list[float]]:
    """Median seconds, None where memory did not suffice, and the peak in bytes."""
    seconds: list[list[float] | None] = [[] for _ in calls]
    peaks = [0.0] * len(calls)
    for number in range(repeats + 2):
        for place, call in enumerate(calls):
            found = seconds[place]
            if found is None:
                continue
            try:
                if number == 1:
                    peaks[place] = peak(call, device)
                    continue
                start = clock(device)
                call()
                if device.type == "cuda":
                    torch.cuda.synchronize()
            except torch.OutOfMemoryError:
                seconds[place] = None
                gc.collect()
                torch.cuda.empty_cache()
                continue
            if number > 1:
                found.append(clock(device) - start)
    return [statistics.median(found) if found else None for found in seconds], peaks


def clock(device: torch.device) -> float:
    """Seconds; with one thread on a CPU those of the processor, so that other programs matter less."""
    return time.process_time() if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter()


def peak(call: Callable[[], None], device: torch.device) -> float:
    """The most bytes that tensors hold at once in a call, beyond those before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.max_memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(held, default=0.0)


if __name__ == "__main__":
    main()

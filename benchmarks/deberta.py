"""Training and inference time of a DeBERTa-v3 encoder beside the Hugging Face implementation, with the same random weights.

    python benchmarks/deberta.py [--layers 2] [--hidden 384] [--tokens 2048] [--repeats 3] [--device cpu]

Each line is a batch of `tokens` tokens in sequences of one length, so no padding on either side; the best of the repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import transformers

from textome.models.checkpoint import load_tensors
from textome.models.deberta import Deberta, DebertaConfig
from textome.models.packing import Layout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 1024])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
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
        )
    ).to(options.device)
    ours = Deberta(DebertaConfig.from_dict(theirs.config.to_dict()))
    load_tensors(ours, theirs.state_dict(), "the same weights")
    ours.to(options.device)
    print(f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads, {options}")
    print("| length | | Hugging Face, us/token | Textome, us/token | times |\n|---|---|---|---|---|", flush=True)
    for length in options.lengths:
        count = max(1, options.tokens // length)
        input_ids = torch.randint(1, 1000, (count, length), device=options.device)
        layout, mask = Layout.of([length] * count, options.device), torch.ones_like(input_ids)
        calls = (
            lambda: theirs(input_ids, attention_mask=mask).last_hidden_state,  # noqa: B023
            lambda: ours(input_ids.flatten(), layout),  # noqa: B023
        )
        for kind in ("training", "inference"):
            for model in (theirs, ours):
                model.train(kind == "training")
            slow, fast = (best(call, kind == "training", options) / (count * length) * 1e6 for call in calls)
            print(f"| {length} | {kind} | {slow:.1f} | {fast:.1f} | {slow / fast:.2f} |", flush=True)


def best(call: Callable[[], torch.Tensor], training: bool, options: argparse.Namespace) -> float:
    """Seconds of the fastest repeat, after one that is not counted."""
    seconds = []
    for _ in range(options.repeats + 1):
        start = time.perf_counter()
        with torch.set_grad_enabled(training):
            hidden = call()
            if training:
                hidden.square().mean().backward()
        if options.device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


if __name__ == "__main__":
    main()

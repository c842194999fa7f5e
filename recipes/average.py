"""The weighted mean of two bundles' weights, of which the second went on from the first (Wortsman et al. 2022).

    python recipes/average.py FIRST SECOND --share 0.6 --output BUNDLE [--without TYPE,...]

`share` is the second one's. FIRST may be a folder with a graph alone, or "default", the bundled model. A type that only the
second one knows keeps its head; those named by --without lose theirs. Everything but the weights is copied from the second,
and `provenance.means` of `textome.json` tells the first one's name and share. Fails where the other tensors differ.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textome.encoders.checkpoint import write_tensors
from textome.formats.reading.sources import atomic_file
from textome.runtime.bundle import Bundle, described
from textome.runtime.model_files import read_json
from textome.tasks.spans.iob import LABELS
from textome.training.bundles import base_directory, read_config, read_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--without", type=lambda text: text.split(","), default=[])
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        sys.exit(f"--share is {options.share}; give a number from 0 to 1")
    first = base_directory(options.first, "FIRST")
    one, other = (read_weights(folder, read_config(folder)) for folder in (first, options.second))
    known, types = Bundle.load(first).types, Bundle.load(options.second).types
    try:
        mean = mean_of(one, other, options.share, [known.index(name) if name in known else None for name in types])
    except ValueError as error:
        sys.exit(f"{first} and {options.second}: {error}; average two stages of one model")
    shutil.copytree(options.second, options.output, ignore=shutil.ignore_patterns("*.onnx", "*.safetensors"))
    description, config = (
        described(read_json(options.second / "textome.json")),
        read_json(options.second / "config.json"),
    )
    if options.without:
        drop_heads(options.without, types, mean, description["tasks"]["entities"], config)
    write_tensors(options.output / "model.safetensors", mean)
    means = description["provenance"].setdefault("means", [])
    means.append({"with": read_json(first / "textome.json")["name"], "share of that one": round(1 - options.share, 6)})
    for name, values in (("textome.json", description), ("config.json", config)):
        with atomic_file(options.output / name) as stream:
            stream.write((json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())


def mean_of(
    one: dict[str, Tensor], other: dict[str, Tensor], share: float, heads: Sequence[int | None]
) -> dict[str, Tensor]:
    """The tensors (1 - share) x one + share x other, with the heads of `other`.

    heads   for each head of `other` its number in `one`, or None where `one` has no such head

    Raises ValueError where names or shapes differ.
    """
    one = dict(one)
    for name in ("classifier.weight", "classifier.bias"):
        there, here = one[name].split(len(LABELS)), other[name].split(len(LABELS))
        one[name] = torch.cat([here[at] if head is None else there[head] for at, head in enumerate(heads)])
    if {name: item.shape for name, item in one.items()} != {name: item.shape for name, item in other.items()}:
        raise ValueError("their tensors differ")
    return {name: (1 - share) * item + share * other[name] for name, item in one.items()}


def drop_heads(
    without: Sequence[str],
    types: Sequence[str],
    tensors: dict[str, Tensor],
    task: dict[str, Any],
    config: dict[str, Any],
) -> None:
    """Take the heads of some types out of the tensors, of the entry of the task and of the labels of `config.json`."""
    kept = [name for name in types if name not in without]
    for name in ("classifier.weight", "classifier.bias"):
        heads = tensors[name].split(len(LABELS))
        tensors[name] = torch.cat([heads[types.index(kind)] for kind in kept])
    for key in ("types", "default_types"):
        task[key] = [kind for kind in task[key] if kind not in without]
    names = [f"{kind}:{label}" for kind in kept for label in LABELS]
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    config["label2id"] = {name: number for number, name in enumerate(names)}


if __name__ == "__main__":
    main()

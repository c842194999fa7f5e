"""The weighted mean of two bundles' weights, of which the second went on from the first (Wortsman et al. 2022).

    python recipes/average.py FIRST SECOND --share 0.6 --output BUNDLE

`share` is the second one's. FIRST may be a folder with a graph alone, or "default", the bundled model. A type that only the
second one knows keeps its head. Everything but the weights is copied from the second, and `provenance.means` of
`textome.json` tells the first one's name and share. Fails where the other tensors differ.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from torch import Tensor

from textome.encoders.checkpoint import write_tensors
from textome.formats.sources import atomic_file
from textome.runtime.bundle import read_json
from textome.tasks.iob import LABELS
from textome.training.bundles import base_directory, read_config, read_weights
from textome.training.kept_heads import keep_heads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        sys.exit(f"--share is {options.share}; give a number from 0 to 1")
    first = base_directory(options.first, "FIRST")
    description = read_json(options.second / "textome.json")
    types = description["tasks"]["entities"]["types"]
    other = read_weights(options.second, read_config(options.second))
    config = read_config(first)
    one, shared = keep_heads(read_weights(first, config), config, types)
    try:
        mean = mean_of(one, other, options.share, [types.index(name) for name in types if name not in shared])
    except ValueError as error:
        sys.exit(f"{first} and {options.second}: {error}; average two stages of one model")
    shutil.copytree(options.second, options.output, ignore=shutil.ignore_patterns("*.onnx", "*.safetensors"))
    write_tensors(options.output / "model.safetensors", mean)
    means = description["provenance"].setdefault("means", [])
    means.append({"with": read_json(first / "textome.json")["name"], "share of that one": round(1 - options.share, 6)})
    with atomic_file(options.output / "textome.json") as stream:
        stream.write((json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())


def mean_of(one: dict[str, Tensor], other: dict[str, Tensor], share: float, new: list[int]) -> dict[str, Tensor]:
    """The tensors (1 - share) x one + share x other; the heads of these numbers are those of `other` alone.

    Raises ValueError where names or shapes differ.
    """
    if {name: item.shape for name, item in one.items()} != {name: item.shape for name, item in other.items()}:
        raise ValueError("their tensors differ")
    mean = {name: (1 - share) * item + share * other[name] for name, item in one.items()}
    rows = [len(LABELS) * head + label for head in new for label in range(len(LABELS))]
    for name in ("classifier.weight", "classifier.bias"):
        mean[name][rows] = other[name][rows]
    return mean


if __name__ == "__main__":
    main()

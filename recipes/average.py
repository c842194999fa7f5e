"""The weighted mean of two bundles' weights, of which the second went on from the first (Wortsman et al. 2022).

    python recipes/average.py FIRST SECOND --share 0.6 --output BUNDLE

`share` is the second one's. Everything but the weights is copied from the second, and `provenance.means` of `textome.json`
tells the first one's name and share. Fails where their tensors differ.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file

from textome.encoders.checkpoint import write_tensors
from textome.formats.sources import atomic_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        sys.exit(f"--share is {options.share}; give a number from 0 to 1")
    one, other = (load_file(folder / "model.safetensors") for folder in (options.first, options.second))
    if {name: item.shape for name, item in one.items()} != {name: item.shape for name, item in other.items()}:
        sys.exit(f"{options.first} and {options.second} have different tensors; average two stages of one model")
    shutil.copytree(options.second, options.output, ignore=shutil.ignore_patterns("*.onnx", "*.safetensors"))
    mean = {name: (1 - options.share) * item + options.share * other[name] for name, item in one.items()}
    write_tensors(options.output / "model.safetensors", mean)
    description = json.loads((options.output / "textome.json").read_text(encoding="utf-8"))
    name = json.loads((options.first / "textome.json").read_text(encoding="utf-8"))["name"]
    means = description["provenance"].setdefault("means", [])
    means.append({"with": name, "share of that one": round(1 - options.share, 6)})
    with atomic_file(options.output / "textome.json") as stream:
        stream.write((json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()

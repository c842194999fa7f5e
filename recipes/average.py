"""The weighted mean of two bundles' weights, of which the second went on from the first, or both from a third (Wortsman et
al. 2022).

    python recipes/average.py FIRST SECOND --share 0.6 --output BUNDLE

`share` is the second one's. FIRST may be a folder with a graph alone, or a name such as "default", the bundled model. A
label that only the second one knows keeps its scores, and a linear head of entities counts as the conditional random
field that it begins as. Everything but the weights is copied from the second, and `provenance.means` of `textome.json`
has the first one's name and share. Fails where the other tensors differ.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from textome.encoders import encoder_of
from textome.encoders.checkpoint import write_tensors
from textome.formats.reading.sources import atomic_file
from textome.runtime.bundle import Bundle, described
from textome.runtime.model_files import read_json
from textome.training.bundles import base_directory, read_config, read_weights


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
    one, other = (read_weights(folder, read_config(folder)) for folder in (first, options.second))
    match_heads(one, Bundle.load(first), other, Bundle.load(options.second))
    if {name: item.shape for name, item in one.items()} != {name: item.shape for name, item in other.items()}:
        sys.exit(f"{first} and {options.second}: their tensors differ; average two stages of one model")
    mean = {name: (1 - options.share) * item + options.share * other[name] for name, item in one.items()}
    shutil.copytree(options.second, options.output, ignore=shutil.ignore_patterns("*.onnx", "*.safetensors"))
    write_tensors(options.output / "model.safetensors", mean)
    description = described(read_json(options.second / "textome.json"))
    means = description["provenance"].setdefault("means", [])
    means.append({"with": read_json(first / "textome.json")["name"], "share of that one": round(1 - options.share, 6)})
    with atomic_file(options.output / "textome.json") as stream:
        stream.write((json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())


def match_heads(one: dict[str, Tensor], first: Bundle, other: Mapping[str, Tensor], second: Bundle) -> None:
    """Give the tensors of the first bundle a row for each score of the second one's heads, its own where it has none."""
    layer = encoder_of(second.config).head_layer(second.config)
    for task_name, task in second.tasks.items():
        if task_name not in first.tasks:
            continue
        name = layer.of(task_name, len(second.tasks), task.head_shape.num_pooled_positions).classifier
        numbers = {output: number for number, output in enumerate(first.tasks[task_name].output_names)}
        firsts = [task.first_output(output, numbers) for output in task.output_names]
        for part in (f"{name}.weight", f"{name}.bias"):
            rows = [other[part][at] if own is None else one[part][numbers[own]] for at, own in enumerate(firsts)]
            one[part] = torch.stack(rows)


if __name__ == "__main__":
    main()

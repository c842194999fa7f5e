"""Speed against F1 where tokens leave an entity model early, by the threshold of its gate (recipes/early_exit_gate.py).

    OMP_NUM_THREADS=1 python benchmarks/early_exit.py --model BUNDLE --data FILE [TYPES=FILE ...] [--shift -2 -1 0 1 2]
        [--sentences N] [--rounds R] [--json]

Each row is a threshold: the gate's own and others above and below it, beside "never", which is the model without gate. Of
every file: the share of the words that leave, F1 (after the model's thresholds, over the types that the file has, or those
named before "="), and what it loses. The speed is of the graph alone, in processor seconds of alternating runs over the
sentences of all files, on one thread, and its ratio is to the graph that has no gate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from in_files import read
from one_sentence import in_one_sentence

from textome.encoders import EXIT_THRESHOLD
from textome.runtime.batching import Batch, batches
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.graph import build_graph
from textome.runtime.graph_weights import graph_constant, graph_ranges, graph_weights
from textome.tasks.entities import Entities, Recognised
from textome.tasks.examples import Example, Floats
from textome.tasks.spans.mentions import Sentence
from textome.text.tokenization import Tokenizer

Run = Callable[[dict[str, Any]], Floats]
TOKEN_BUDGET = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle whose int8 graph has a gate; by default the bundled one")
    parser.add_argument("--data", nargs="+", required=True, metavar="[TYPES=]FILE")
    parser.add_argument("--shift", nargs="+", type=float, default=[-2.0, -1.0, 0.0, 1.0, 2.0])
    parser.add_argument("--sentences", type=int, default=1000, help="of each file at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle = Bundle.load(resolve_model(options.model))
    path = bundle.onnx_path("int8")
    own = float(graph_constant(path, EXIT_THRESHOLD))
    plain = build_graph(graph_weights(path, bundle.config), bundle.config, "int8", ranges=graph_ranges(path))
    runs = {"no gate": runner(plain.SerializeToString(), None)}
    with_gate = path.read_bytes()
    for threshold in (-np.inf, *(own + shift for shift in sorted(options.shift))):
        runs["never" if threshold == -np.inf else f"{threshold:.2f}"] = runner(with_gate, threshold)
    tokenizer, task = Tokenizer.load(bundle.directory), bundle.entities
    files = {data: list(read(data, task))[: options.sentences] for data in options.data}
    examples = {
        data: task.examples(records, tokenizer, bundle.window, bundle.overlap) for data, records in files.items()
    }
    rows: dict[str, dict[str, Any]] = {name: {} for name in runs}
    for data, records in files.items():
        rows = {name: row | measured(runs[name], task, data, records, examples[data]) for name, row in rows.items()}
    seconds = alternated(runs, [item for own_examples in examples.values() for item in own_examples], options.rounds)
    for name, row in rows.items():
        row["seconds"] = statistics.median(seconds[name])
        row["times as fast"] = statistics.median(a / b for a, b in zip(seconds["no gate"], seconds[name], strict=True))
    report(rows, list(files), own, options.json)


def runner(graph: bytes, threshold: float | None) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    more = {} if threshold is None else {EXIT_THRESHOLD: np.array(threshold, np.float32)}
    return lambda feeds: session.run(None, feeds | more)[0]


def scores(run: Run, examples: Sequence[Example]) -> Iterator[tuple[int, Floats]]:
    """The number of each example with the scores (m, num_labels) of its words, in batches as for `textome annotate`."""
    for group in batches(np.array([len(item.input_ids) for item in examples]), TOKEN_BUDGET):
        batch = Batch.of([examples[index] for index in group])
        found = run({"input_ids": batch.input_ids, "attention_mask": batch.mask})
        yield from ((index, found[row, examples[index].positions]) for row, index in enumerate(group))


def measured(
    run: Run, task: Entities, data: str, records: Sequence[Sentence], examples: Sequence[Example]
) -> dict[str, float]:
    """The share of words that leave, which all have the same scores, and F1 in percent, of one file."""
    found = dict(scores(run, examples))
    ordered = [found[index] for index in range(len(examples))]
    words = np.concatenate(ordered)
    _, counts = np.unique(words, axis=0, return_counts=True)
    left = counts.max() / len(words) if counts.max() > 1 else 0.0
    decoded = task.decode(records, examples, ordered)
    kept = task.kept(item.entities for item in decoded)
    predictions = [Recognised(item.tokens, entities) for item, entities in zip(decoded, kept, strict=True)]
    name = Path(data.rpartition("=")[2]).parent.name + "/" + Path(data).name
    return {f"{name} left": 100 * left, f"{name} F1": 100 * task.score(records, predictions)["entity_f1"]}


def alternated(runs: dict[str, Run], examples: Sequence[Example], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each run over all examples, one after another in each round."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.process_time()
            for _ in scores(run, examples):
                pass
            found[name].append(time.process_time() - started)
    return found


def report(rows: dict[str, dict[str, Any]], files: Sequence[str], own: float, as_json: bool) -> None:
    if as_json:
        json.dump({"threshold": own, "rows": rows}, sys.stdout, indent=2)
        print()
        return
    columns = list(next(iter(rows.values())))
    print(f"the gate's own threshold is {own:.2f}\n\n| threshold | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[column]:.2f}" for column in columns) + " |")


if __name__ == "__main__":
    in_one_sentence(main)

"""Where the time of an entity graph goes: each operator's share, as ONNX Runtime measures it, on one thread.

    python benchmarks/profile_graph.py [--model BUNDLE] [--precision int8] [--texts FILE] [--sentences N]
        [--no-early-exit] [--json]

Run it on each kind of processor that counts: products take other instructions on AVX2, VNNI and AMX, so shares differ. The
times are those of the clock: on a machine with other work they are too long, and their shares nearly right. Operators are
listed with the part of the graph they stand in. (A file called profile.py here would hide Python's own module.)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
from one_sentence import in_one_sentence

from textome.cli.verbs.doctor import instructions
from textome.encoders import EXIT_THRESHOLD
from textome.formats import read_documents
from textome.runtime.batching import Batch, batches
from textome.runtime.bundle import Bundle, resolve_model
from textome.text.tokenization import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
PRODUCTS = {"MatMulIntegerToFloat", "MatMul", "Gemm", "MatMulInteger"}
TOKEN_BUDGET = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--precision", choices=["int8", "bf16", "fp32"])
    parser.add_argument("--texts", type=Path, default=ROOT / "examples" / "abstracts.xml")
    parser.add_argument("--sentences", type=int, default=400)
    parser.add_argument("--no-early-exit", action="store_true", help="every token passes all layers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle = Bundle.load(resolve_model(options.model))
    path = bundle.onnx_path(options.precision)
    times = profiled(bundle, path, options.texts, options.sentences, options.no_early_exit)
    total = sum(times.values())
    products = sum(time for (_, kind), time in times.items() if kind in PRODUCTS)
    if options.json:
        rows = [{"part": part, "operator": kind, "seconds": time} for (part, kind), time in times.most_common()]
        json.dump({"graph": path.name, "instructions": instructions(), "rows": rows}, sys.stdout, indent=2)
        print()
        return
    print(f"{bundle.name}, {path.name}, instructions: {', '.join(instructions()) or 'none known'}")
    print("\n| part | operator | ms | share |\n|---|---|---|---|")
    for (part, kind), time in times.most_common():
        if time > total / 1000:
            print(f"| {part} | {kind} | {1000 * time:.1f} | {time / total:.1%} |")
    print(f"\nproducts with weights: {products / total:.1%} of {total:.2f} s")


def profiled(bundle: Bundle, path: Path, texts: Path, number: int, whole: bool) -> Counter[tuple[str, str]]:
    """Seconds by (part of the graph, operator)."""
    task = bundle.entities
    records = [record for document in read_documents(texts) for record in task.records(document)]
    examples = task.examples(records, Tokenizer.load(bundle.directory), bundle.window, bundle.overlap)
    examples = [examples[index % len(examples)] for index in range(number)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        can_leave = EXIT_THRESHOLD in {item.name for item in session.get_overridable_initializers()}
        never = {EXIT_THRESHOLD: np.array(-np.inf, np.float32)} if whole and can_leave else {}
        for group in batches(np.array([len(item.input_ids) for item in examples]), TOKEN_BUDGET):
            batch = Batch.of([examples[index] for index in group])
            session.run(None, {"input_ids": batch.input_ids, "attention_mask": batch.mask} | never)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    found: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            found[part_of(event["name"]), event["args"]["op_name"]] += event["dur"] / 1e6
    return found


def part_of(name: str) -> str:
    """The part of the graph that a node's name tells."""
    if "exit." in name or name.endswith((".all_kernel_time", ".staying_kernel_time")):
        return "early exit"
    if ".attention" in name:
        return "attention"
    if ".intermediate" in name or ".layer." in name:
        return "feed-forward"
    return "embeddings" if "embeddings" in name else "rest"


if __name__ == "__main__":
    in_one_sentence(main)

"""Relations of documents, read once for all pairs (`one_pass`) and once for each pair: pairs a second, side by side.

    python benchmarks/relations.py [--recipe recipes/tasks/bc5cdr_relations.toml] [--documents 100] [--repeats 3]
                                   [--threads 2]

Both models have the recipe's encoder and heads that saw a handful of examples: what they find is worth nothing, what it
costs is what is measured, with int8 graphs on the recipe's test documents.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime

from textome.formats import read_documents
from textome.processors import available_threads
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "tasks" / "bc5cdr_relations.toml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_threads())
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    (table,) = recipe.tasks
    documents = list(islice(read_documents(recipe.path(table.test[0]), table.layout), options.documents))
    print(
        f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, {options.threads} threads, {recipe.model.base}"
    )
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for way, one_pass in (("once for each pair", "false"), ("one pass", "true")):
            sets = [f"tasks.{table.name}.one_pass={one_pass}", f"tasks.{table.name}.shots=8", "training.epochs=1"]
            sets += [f"tasks.{table.name}.validation=[]", "training.select=last"]
            bundle = plan_run(options.recipe, sets).start(Path(folder) / one_pass, False, lambda record: None)
            export_bundle(Bundle.load(bundle), bundle, "int8")
            models[way] = Model.load(bundle, threads=options.threads)
        tasks = [model.task(table.name) for model in models.values()]
        pairs = [len(task.records(task.ready(document))) for task in tasks for document in documents]
        count = sum(pairs) // len(models)
        print(f"{len(documents)} documents, {count} pairs\n")
        took: dict[str, list[float]] = {way: [] for way in models}
        for _ in range(options.repeats):
            for way, model in models.items():
                began = time.perf_counter()
                for _ in model(documents):
                    pass
                took[way].append(time.perf_counter() - began)
    slow, fast = (statistics.median(took[way]) for way in models)
    print("| a text is read | pairs/s | documents/s |\n|---|---|---|")
    for way, seconds in took.items():
        middle = statistics.median(seconds)
        print(f"| {way} | {count / middle:,.0f} | {len(documents) / middle:,.1f} |")
    print(f"\n{slow / fast:.1f} times as many in one pass (medians of {options.repeats})")


if __name__ == "__main__":
    main()

"""Which share of the time of annotation each step of the pipeline takes, on the test abstracts of BC5CDR.

    OMP_NUM_THREADS=1 python benchmarks/steps.py --data ../shared/data [--with deidentification]

One thread. Each step is timed over all documents at once, on what the step before it gave; the best of the rounds counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from textome.documents import Document
from textome.formats import read_documents
from textome.pipeline import Pipeline, Step, choose_pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description="The share of each step in the time of annotation")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--with", dest="add", action="append", default=[], metavar="STEP", help="add a step")
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    path = arguments.data / "re" / "BC5CDR-relations" / "CDR_TestSet.PubTator.txt.gz"
    documents = [item.with_annotations(()) for item in read_documents(path)][: arguments.documents]
    chosen = choose_pipeline(add=arguments.add)
    pipeline = chosen.load(threads=1)
    best: dict[str, float] = {}
    for _ in range(arguments.rounds):
        for kind, seconds in timed(pipeline, [step.kind for step in chosen.steps], documents):
            best[kind] = min(best.get(kind, seconds), seconds)
    total = sum(best.values())
    print(f"{len(documents)} abstracts, one thread\n{'step':<18}{'ms/abstract':>12}{'share':>9}")
    for kind, seconds in best.items():
        print(f"{kind:<18}{1000 * seconds / len(documents):>12.2f}{seconds / total:>9.1%}")
    print(
        f"{'all but models':<18}{1000 * (total - best['model']) / len(documents):>12.2f}{1 - best['model'] / total:>9.1%}"
    )


def timed(pipeline: Pipeline, kinds: list[str], documents: list[Document]) -> Iterator[tuple[str, float]]:
    step: Step
    for kind, step in zip(kinds, pipeline.steps, strict=True):
        started = time.perf_counter()
        documents = list(step(documents))
        yield kind, time.perf_counter() - started


if __name__ == "__main__":
    main()

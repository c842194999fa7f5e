"""The share of each part of the default pipeline in its time, from PubTator to JSON lines, on test abstracts of BC5CDR.

    OMP_NUM_THREADS=1 python benchmarks/steps.py --data ../shared/data [--with deidentification] [--model BUNDLE] [--json]

One thread, processor seconds. Each part is timed over all documents at once, on what the part before it gave; the best of
the rounds counts. A model is cut into its sentences, its tokens, the passes of its encoder, and the entities read from its
scores. Words are what stands between white space: tokens differ from vocabulary to vocabulary.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from one_sentence import in_one_sentence

from textome.documents import Document
from textome.formats import read_documents, write_documents
from textome.pipeline import Pipeline, choose_pipeline
from textome.runtime.model import Model

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--with", dest="add", action="append", default=[], metavar="STEP", help="add a step")
    parser.add_argument("--model", help="a bundle; by default the bundled one")
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    path = arguments.data / "re" / "BC5CDR-relations" / "CDR_TestSet.PubTator.txt.gz"
    chosen = choose_pipeline(models=[arguments.model] if arguments.model else [], add=arguments.add)
    pipeline = chosen.load(threads=1)
    kinds = [step.kind for step in chosen.steps]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "abstracts.pubtator")
        documents = [item.with_annotations(()) for item in read_documents(path)][: arguments.documents]
        write_documents(documents, source, "pubtator")
        best: dict[str, float] = {}
        for _ in range(arguments.rounds):
            for kind, seconds in timed(pipeline, kinds, source, Path(folder, "annotated.jsonl")):
                best[kind] = min(best.get(kind, seconds), seconds)
    report(best, documents, arguments.json)


def timed(pipeline: Pipeline, kinds: list[str], source: Path, target: Path) -> Iterator[tuple[str, float]]:
    clock = _Clock()
    documents = clock("reading", lambda: list(read_documents(source)))
    for kind, step in zip(kinds, pipeline.steps, strict=True):
        if isinstance(step, Model):
            for name in step.asked:
                documents = model_parts(clock, step, name, documents)
        else:
            documents = clock(kind, lambda step=step, given=documents: list(step(given)))  # type: ignore[misc]
    clock("writing", lambda: write_documents(documents, target, "jsonl"))
    yield from clock.seconds.items()


class _Clock:
    """Calls a function, and keeps the processor seconds that it took by the name of the part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, part: str, run: Callable[[], T]) -> T:
        started = time.process_time()
        result = run()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - started
        return result


def model_parts(clock: _Clock, model: Model, name: str, documents: list[Document]) -> list[Document]:
    """What `Model.apply` does, in its parts."""
    task = model.tasks[name]
    records: list[list[Any]] = clock(
        "model: sentences", lambda: [task.records(document, None) for document in documents]
    )
    examples = clock("model: tokens", lambda: model.examples(name, [record for own in records for record in own]))
    scores = clock("model: encoder", lambda: model.scores(name, examples))
    return clock("model: entities", lambda: model.complete(name, documents, records, examples, scores))


def report(best: dict[str, float], documents: list[Document], as_json: bool) -> None:
    total = sum(best.values())
    models = sum(seconds for part, seconds in best.items() if part.startswith("model"))
    words = sum(len(document.text.split()) for document in documents)
    rates = {"abstracts_per_s": len(documents) / total, "words_per_s": words / total}
    if as_json:
        json.dump({"documents": len(documents), "words": words, "seconds": best} | rates, sys.stdout, indent=2)
        print()
        return
    print(f"{len(documents)} abstracts, {words:,} words, one thread\n")
    print("| part | ms an abstract | share |\n|---|---|---|")
    for part, seconds in [*best.items(), ("all", total), ("all but models", total - models)]:
        print(f"| {part} | {1000 * seconds / len(documents):.2f} | {seconds / total:.1%} |")
    print(f"\n{rates['abstracts_per_s']:.1f} abstracts and {rates['words_per_s']:,.0f} words a second and core")


if __name__ == "__main__":
    in_one_sentence(main)

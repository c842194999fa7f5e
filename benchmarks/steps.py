"""The share of each part of the default pipeline in its time, from PubTator to JSON lines, on test abstracts of BC5CDR.

    OMP_NUM_THREADS=1 python benchmarks/steps.py --data ../shared/data [--with deidentification] [--model BUNDLE] [--json]

One thread, processor seconds. As in any other run, a model reads all documents of a round at once, and one after another
passes through the steps behind it. Each round has documents of its own, since caches know those that come again; the first
warms up and does not count. A model is cut into its sentences, its tokens, the passes of its encoder, and the entities read
from its scores. Words are what stands between white space: tokens differ from vocabulary to vocabulary. The memory is what
the peak of the process grew by behind the model, in the first round.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
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
    parser.add_argument("--documents", type=int, default=100, help="of a round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    path = arguments.data / "re" / "BC5CDR-relations" / "CDR_TestSet.PubTator.txt.gz"
    chosen = choose_pipeline(models=[arguments.model] if arguments.model else [], add=arguments.add)
    pipeline = chosen.load(threads=1)
    kinds = [step.kind for step in chosen.steps]
    documents = [item.with_annotations(()) for item in read_documents(path)]
    size = arguments.documents
    rounds = [documents[number * size :][:size] for number in range(arguments.rounds + 1)]
    if len(rounds[-1]) < size:
        parser.error(f"{path} has {len(documents)} documents, too few for {len(rounds)} rounds with the first")
    with tempfile.TemporaryDirectory() as folder:
        memory = run(_Clock(), pipeline, kinds, rounds[0], Path(folder))
        clock = _Clock()
        for part in rounds[1:]:
            run(clock, pipeline, kinds, part, Path(folder))
    report(clock.seconds, memory, documents[size : size * len(rounds)], arguments.json)


def run(clock: _Clock, pipeline: Pipeline, kinds: list[str], given: list[Document], folder: Path) -> float:
    """Annotate documents from a file to a file; by how many MB the peak of memory grew behind the models."""
    source = folder / "abstracts.pubtator"
    write_documents(given, source, "pubtator")
    documents: Iterable[Document] = clock("reading", lambda: list(read_documents(source)))
    before = peak()
    for kind, step in zip(kinds, pipeline.steps, strict=True):
        if isinstance(step, Model):
            for name in step.asked:
                documents = model_parts(clock, step, name, list(documents))
            before = peak()
        else:
            documents = clock.each(kind, step(documents))
    clock("writing", lambda: write_documents(documents, folder / "annotated.jsonl", "jsonl"))
    return peak() - before


def peak() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


class _Clock:
    """Calls functions, and keeps the processor seconds that each took by the name of its part, without those that other
    parts took in the meantime."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._others = 0.0

    def __call__(self, part: str, function: Callable[[], T]) -> T:
        before, self._others = self._others, 0.0
        started = time.process_time()
        result = function()
        elapsed = time.process_time() - started
        self.seconds[part] = self.seconds.get(part, 0.0) + elapsed - self._others
        self._others = before + elapsed
        return result

    def each(self, part: str, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents, one after another; making them is the part."""
        while (document := self(part, lambda: next(documents, None))) is not None:
            yield document


def model_parts(clock: _Clock, model: Model, name: str, documents: list[Document]) -> list[Document]:
    """What `Model.apply` does, in its parts."""
    task = model.tasks[name]
    records: list[list[Any]] = clock(
        "model: sentences", lambda: [task.records(document, None) for document in documents]
    )
    examples = clock("model: tokens", lambda: model.examples(name, [record for own in records for record in own]))
    scores = clock("model: encoder", lambda: model.scores(name, examples))
    return clock("model: entities", lambda: model.complete(name, documents, records, examples, scores))


def report(parts: dict[str, float], memory: float, documents: list[Document], as_json: bool) -> None:
    total = sum(parts.values())
    models = sum(seconds for part, seconds in parts.items() if part.startswith("model"))
    words = sum(len(document.text.split()) for document in documents)
    rates = {"abstracts_per_s": len(documents) / total, "words_per_s": words / total}
    if as_json:
        json.dump(
            {"documents": len(documents), "words": words, "seconds": parts, "memory_mb": memory} | rates,
            sys.stdout,
            indent=2,
        )
        print()
        return
    print(f"{len(documents)} abstracts, {words:,} words, one thread\n")
    print("| part | ms an abstract | share |\n|---|---|---|")
    for part, seconds in [*parts.items(), ("all", total), ("all but models", total - models)]:
        print(f"| {part} | {1000 * seconds / len(documents):.2f} | {seconds / total:.1%} |")
    print(f"\n{rates['abstracts_per_s']:.1f} abstracts and {rates['words_per_s']:,.0f} words a second and core")
    print(f"the steps behind the model take {memory:.0f} MB more")


if __name__ == "__main__":
    in_one_sentence(main)

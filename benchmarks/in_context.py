r"""Does a language model learn from the examples in its prompt? Accuracy by their number, on codes that it has never seen.

    python benchmarks/in_context.py prepare [--output runs/in_context]
    textome pretrain recipes/in_context.toml --output runs/in_context/first
    textome pretrain recipes/in_context.toml --output runs/in_context/second --set training.seed=2 \
        --set model.base=runs/in_context/first/model --set model.scratch=false
    python benchmarks/in_context.py score [--output runs/in_context]

A text is a code: pairs of a letter of abcd and the letter of wxyz that stands for it, drawn anew for each text, as in
"axbzax". A prompt has some pairs and then a letter. Nothing but the prompt tells what follows; a guess is right one time in
four. There are 256 codes; a fifth of them is never trained on.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from textome.corpus.store import write_description, write_shard
from textome.corpus.vocabulary import train_byte_vocabulary, write_vocabulary
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.generation.writer import Writer

ROOT = Path(__file__).resolve().parent.parent
KEYS, VALUES = "abcd", "wxyz"
PAIRS, TEXTS, PROMPTS = 20, 40_000, 400
SHOTS = (0, 1, 2, 4, 8, 16)
# The smallest vocabulary: all bytes and the end of a text, so that each letter is a token.
BYTES = 257


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "score"])
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "in_context")
    options = parser.parse_args()
    if options.step == "prepare":
        prepare(options.output)
    else:
        score(options.output)


def codes() -> tuple[list[str], list[str]]:
    """All codes, as the values of the keys in order: those to train on, and those kept for the test."""
    every = ["".join(values) for values in itertools.product(VALUES, repeat=len(KEYS))]
    order = np.random.default_rng(0).permutation(len(every)).tolist()
    cut = len(every) * 4 // 5
    return [every[number] for number in order[:cut]], [every[number] for number in order[cut:]]


def prepare(output: Path) -> None:
    """The vocabulary and the corpus."""
    training, _ = codes()
    generator = np.random.default_rng(1)
    tokenizer = train_byte_vocabulary([], BYTES)
    texts = [[_pairs(str(generator.choice(training)), PAIRS, generator)] for _ in range(TEXTS)]
    write_vocabulary(tokenizer, output / "vocabulary", lowercase=None)
    write_description(output / "corpus", tokenizer, [write_shard(output / "corpus", 0, texts, tokenizer)], {})


def score(output: Path) -> None:
    """Print the share of right answers by the number of pairs in the prompt, on codes that were not trained on."""
    _, held_out = codes()
    print(f"{'pairs in the prompt':32}" + "".join(f"{shots:>8}" for shots in SHOTS))
    for bundle in sorted(output.glob("*/model")):
        export_bundle(Bundle.load(bundle), bundle, "fp32")
        writer = Writer.load(bundle, precision="fp32")
        generator = np.random.default_rng(2)
        rows: dict[str, list[float]] = {"all": [], "the letter was shown": []}
        for shots in SHOTS:
            asked = [_prompt(str(generator.choice(held_out)), shots, generator) for _ in range(PROMPTS)]
            texts = writer.generate([prompt for prompt, _ in asked], max_new_tokens=1)
            right = [text.text == answer for (text,), (_, answer) in zip(texts, asked, strict=True)]
            shown = [prompt[-1] in prompt[:-1] for prompt, _ in asked]
            rows["all"].append(float(np.mean(right)))
            rows["the letter was shown"].append(_mean(right, shown))
        for name, values in rows.items():
            print(f"{f'{bundle.parent.name}, {name}':32}" + "".join(f"{100 * value:8.1f}" for value in values))


def _pairs(code: str, count: int, generator: np.random.Generator) -> str:
    return "".join(KEYS[key] + code[key] for key in generator.integers(len(KEYS), size=count))


def _prompt(code: str, shots: int, generator: np.random.Generator) -> tuple[str, str]:
    """A prompt, and what must follow it."""
    key = int(generator.integers(len(KEYS)))
    return _pairs(code, shots, generator) + KEYS[key], code[key]


def _mean(right: Sequence[bool], chosen: Sequence[bool]) -> float:
    values = [value for value, is_chosen in zip(right, chosen, strict=True) if is_chosen]
    return float(np.mean(values)) if values else float("nan")


if __name__ == "__main__":
    main()

